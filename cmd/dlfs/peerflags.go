package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"dlfs/fetch/peerhttp"
)

// peerFlags are mount's and fetch's: other machines that have the same list.
type peerFlags struct {
	Peers     string        `placeholder:"WHO" help:"Share files with other machines that run dlfs with the same list, so that each byte comes from its origin once. WHO is a host list such as node[01-10]:3537, or @FILE that holds one, or slurm, or dns:NAME:PORT."`
	PeerSelf  string        `placeholder:"HOST:PORT" help:"Which of --peers this process is, where that cannot be told from the addresses of this machine."`
	PeerKey   string        `placeholder:"FILE" help:"The secret of the group: any bytes, 16 at least, in a file that its owner alone may read. Machines with another one are refused, and what is sent is encrypted. Make one with \"head -c 32 /dev/urandom > FILE\"."`
	PeerPlain bool          `help:"Send files to other machines without encryption. With --peer-key requests are signed; without a key, every program that reaches the port can read every file."`
	PeersWait time.Duration `default:"60s" help:"Wait so long for all of --peers to answer before anything is fetched that no reader waits for."`
}

// sound refuses flags that do not go together. It needs neither files nor the network;
// whether a secret is needed is told by security, and which machine this one is by
// join.
func (f *peerFlags) sound() error {
	switch {
	case f.Peers == "" && (f.PeerSelf != "" || f.PeerKey != "" || f.PeerPlain):
		return usageError("--peer-self, --peer-key and --peer-plain are of no use without --peers")
	case f.PeersWait < 0:
		return usageError("--peers-wait must not be below 0")
	}
	return nil
}

// security is how a group is closed to others.
type security struct {
	server, client *tls.Config   // nil for plain text
	key            *peerhttp.Key // that requests are signed with; nil if they are not
}

// security returns how the flags say that the group is closed: by a secret that all
// machines have, by certificates, or, with --peer-plain, by the network alone. It reads
// the files. Without any of them --peers is refused, since everybody who reaches the
// port could read the files.
func (f *peerFlags) security(r *requestFlags) (s security, err error) {
	var key *peerhttp.Key
	if f.PeerKey != "" {
		if key, err = readPeerKey(f.PeerKey); err != nil {
			return s, err
		}
	}
	switch {
	case f.PeerPlain:
		s.key = key
	case key != nil:
		s.server, s.client = key.TLS(), key.TLS()
	case r.Cert != "" && r.CACert != "":
		return certified(r)
	default:
		return s, usageError("--peers needs --peer-key FILE, or --cert and --cacert for certificates of your own, or --peer-plain on a network that only these machines reach")
	}
	return s, nil
}

// readPeerKey reads the file of --peer-key. A file that others may read is refused, since the key
// would be no secret.
func readPeerKey(path string) (*peerhttp.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError("--peer-key: %w", err)
	}
	open := fs.FileMode(0o077)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == 0 && os.Geteuid() != 0 {
		open = 0o037 // an ordinary user reads a file of root by its group, as of a Secret of Kubernetes
	}
	if mode := info.Mode().Perm(); mode&open != 0 {
		return nil, usageError("--peer-key: others may read %s (mode %#o); run \"chmod 600 %s\"", path, mode, path)
	}
	secret, err := readNamed(path)
	if err != nil {
		return nil, usageError("--peer-key: %w", err)
	}
	key, err := peerhttp.NewKey(secret)
	if err != nil {
		return nil, usageError("--peer-key %s: %w", path, err)
	}
	return key, nil
}

// certified returns the security of certificates that the user has: both sides show the
// one of --cert, and trust the authorities of --cacert alone, not those of the system,
// since any of these could let another machine in.
func certified(r *requestFlags) (s security, err error) {
	key := r.Key
	if key == "" {
		key = r.Cert
	}
	pair, err := loadPair(r.Cert, key)
	if err != nil {
		return s, usageError("--cert: %w", err)
	}
	pem, err := readNamed(r.CACert)
	if err != nil {
		return s, usageError("--cacert: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return s, usageError("--cacert: %s holds no certificate in PEM form; openssl x509 -inform der converts one in DER", r.CACert)
	}
	s.server = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.client = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool}
	return s, nil
}

// join opens this machine's place in the group, nil if the flags name no other machines. It
// blocks for names to be resolved, until ctx ends.
func (f *peerFlags) join(ctx context.Context, w *work) (*group, error) {
	if err := f.sound(); err != nil || f.Peers == "" {
		return nil, err
	}
	s, err := f.security(&w.flags.requestFlags)
	if err != nil {
		return nil, err
	}
	who := &members{who: f.Peers}
	names, err := who.names(ctx)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("--peers: %w", err)}
	}
	self, err := findSelf(ctx, names, f.PeerSelf)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("--peers: %w", err)}
	}
	l, err := listenAsPeer(ctx, self, names, f.PeerSelf != "")
	if err != nil {
		return nil, err
	}
	return newGroup(who, self, names, l, s, f.PeersWait, w.display.log), nil
}

// errNoSelf says that none of the names is this machine, by name or by address.
var errNoSelf = errors.New("none of them is this machine; name it with --peer-self=HOST:PORT")
