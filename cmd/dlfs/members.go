package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"dlfs/fetch/peers"
)

// members is what --peers says: where the names of the machines come from.
type members struct{ who string }

// isDNS reports whether the machines are the addresses of one DNS name. These may
// change, and are looked up again while the process runs.
func (m *members) isDNS() bool { return strings.HasPrefix(m.who, "dns:") }

// names returns the machines, each as HOST:PORT: those of Slurm's environment, of a file, of the
// addresses that a DNS name has at this moment, or of the host list itself. It blocks for DNS,
// until ctx ends. Each call looks anew.
func (m *members) names(ctx context.Context) ([]string, error) {
	switch {
	case m.who == "slurm":
		list := cmp.Or(os.Getenv("SLURM_STEP_NODELIST"), os.Getenv("SLURM_JOB_NODELIST"))
		if list == "" {
			return nil, errors.New("slurm: neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST is set; run dlfs with srun")
		}
		return peers.ParseHosts(list)
	case strings.HasPrefix(m.who, "@"):
		text, err := readNamed(m.who[1:])
		if err != nil {
			return nil, err
		}
		return peers.ParseHosts(joinLines(string(text)))
	case m.isDNS():
		host, port, err := net.SplitHostPort(strings.TrimPrefix(m.who, "dns:"))
		if err != nil {
			return nil, fmt.Errorf("%q is not of the form dns:NAME:PORT", m.who)
		}
		addrs, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return nil, err
		}
		// Machines compare their lists, and DNS gives the addresses in any order.
		slices.Sort(addrs)
		for i, a := range addrs {
			addrs[i] = net.JoinHostPort(a, port)
		}
		return addrs, nil
	}
	return peers.ParseHosts(m.who)
}

// joinLines makes one host list of the lines of a file, with commas between. Empty
// lines and lines that begin with # are left out.
func joinLines(text string) string {
	var lists []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lists = append(lists, line)
		}
	}
	return strings.Join(lists, ",")
}

// findSelf returns which of the names is this process. It is told, the value of
// --peer-self, if that is not empty; else the only name that is the name of this
// machine; else the only one with an address of this machine. It looks names up until
// ctx ends. The error says how to name this process.
func findSelf(ctx context.Context, names []string, told string) (string, error) {
	if told != "" {
		one, err := peers.ParseHosts(told)
		if err != nil || len(one) != 1 {
			return "", fmt.Errorf("--peer-self %s is not of the form HOST:PORT; write it as --peers has it", told)
		}
		if !slices.Contains(names, one[0]) {
			return "", fmt.Errorf("--peer-self %s is none of them; write it as --peers has it", one[0])
		}
		return one[0], nil
	}
	// Names are compared first, since that needs no network.
	own, err := named(names)
	if err != nil {
		return "", err
	}
	if len(own) == 0 {
		if own, err = addressed(ctx, names); err != nil {
			return "", err
		}
	}
	switch len(own) {
	case 0:
		return "", errNoSelf
	case 1:
		return own[0], nil
	}
	return "", fmt.Errorf("%d of them are this machine, %s and %s among them; name this process with --peer-self=HOST:PORT", len(own), own[0], own[1])
}

// named returns the names that are the name of this machine, as Slurm or the kernel has it,
// whole or up to the first dot.
func named(names []string) (own []string, err error) {
	kernel, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name of this machine: %w", err)
	}
	for _, name := range names {
		host, _, _ := net.SplitHostPort(name) // ParseHosts has made it of a host and a port
		short, _, _ := strings.Cut(host, ".")
		for _, mine := range []string{kernel, os.Getenv("SLURMD_NODENAME")} {
			// The first label of an address, such as 10 of 10.0.0.1, is no name.
			if mine != "" && (host == mine || short == mine) && !slices.Contains(own, name) && net.ParseIP(host) == nil {
				own = append(own, name)
			}
		}
	}
	return own, nil
}

// addressed returns the names that stand for an address of this machine, sorted. A name
// that cannot be resolved is taken for that of another machine, since a machine that
// has yet to start may have no name yet. At most 16 are looked up at once.
func addressed(ctx context.Context, names []string) (own []string, err error) {
	ifaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	local := map[string]bool{}
	for _, a := range ifaces {
		if n, ok := a.(*net.IPNet); ok {
			local[n.IP.String()] = true
		}
	}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(16)
	for _, name := range names {
		host, _, _ := net.SplitHostPort(name)
		g.Go(func() error {
			addrs, err := net.DefaultResolver.LookupHost(ctx, host)
			if err != nil {
				return nil
			}
			for _, a := range addrs {
				ip := net.ParseIP(a)
				// Debian has the machine's own name lead to 127.0.1.1, which no interface has.
				if local[a] || ip != nil && ip.IsLoopback() {
					mu.Lock()
					own = append(own, name)
					mu.Unlock()
					break
				}
			}
			return nil
		})
	}
	g.Wait() // no lookup returns an error
	slices.Sort(own)
	return own, nil
}

// listenAsPeer listens at the address of this process's own name, and at no other. Where the
// name stands for a loopback address only on this machine, as /etc/hosts of some systems has
// it, it is the address from which the other machines are reached.
func listenAsPeer(ctx context.Context, self string, names []string, told bool) (net.Listener, error) {
	host, port, err := net.SplitHostPort(self)
	if err != nil {
		return nil, err
	}
	addrs, err := ownAddresses(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("--peers: the address of %s, which is this machine: %w", self, err)
	}
	// An address that others can reach is taken, if the name has one.
	at := addrs[0].Unmap()
	for _, a := range addrs {
		if !a.Unmap().IsLoopback() {
			at = a.Unmap()
			break
		}
	}
	// The loopback as an address or as "localhost" is what the user wants: all processes are here.
	if _, err := netip.ParseAddr(host); err != nil && at.IsLoopback() && host != "localhost" {
		if at, err = towards(names, self); err != nil {
			return nil, err
		}
	}
	if at.IsUnspecified() {
		return nil, usageError("--peers: %s is no address of one machine; write the address at which others reach it", self)
	}
	if !told && isPublic(at) {
		return nil, usageError("--peers: %s is the public address %s; if every machine that reaches it may try to connect, name it with --peer-self=%s", self, at, self)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(at, portOf(port)).String())
	if err != nil {
		return nil, fmt.Errorf("--peers: serve other machines: %w", err)
	}
	return l, nil
}

// ownAddresses returns the addresses of host, which is this machine. Where DNS does not know
// the name yet, as when a pod of Kubernetes begins, they are those of the name that the kernel
// has, if that is the first part of host.
func ownAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err == nil {
		return addrs, nil
	}
	kernel, err2 := os.Hostname()
	if short, _, _ := strings.Cut(host, "."); err2 != nil || short != kernel {
		return nil, err
	}
	addrs, err2 = net.DefaultResolver.LookupNetIP(ctx, "ip", kernel)
	if err2 != nil {
		return nil, err // the first error names what --peers has
	}
	return addrs, nil
}

// portOf returns the number of a port that is given as a number or as the name of a service.
func portOf(text string) uint16 {
	n, err := net.LookupPort("tcp", text)
	if err != nil {
		return 0 // ParseHosts lets none of these through
	}
	return uint16(n)
}

// isPublic reports whether an address may be reached from the internet: it is not of a private,
// local or shared network.
func isPublic(a netip.Addr) bool {
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !shared.Contains(a)
}

// towards returns the address of this machine from which another one of the names is
// reached. A UDP socket is connected for that, which only chooses a route (udp(7));
// nothing is sent.
func towards(names []string, self string) (netip.Addr, error) {
	for _, name := range names {
		if name == self {
			continue
		}
		c, err := net.Dial("udp", name)
		if err != nil {
			continue
		}
		local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		c.Close() // nothing was sent
		if !local.IsLoopback() {
			return local, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("--peers: %s is a loopback address on this machine, which others cannot reach; use its address in the list", self)
}
