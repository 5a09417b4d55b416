package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMembersComeFromWhereTheFlagSays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	write(t, file, []byte("# the first rack\nn[1-2]:5\n\n n9:6 \n"))
	t.Setenv("SLURM_JOB_NODELIST", "c[1-9]")
	t.Setenv("SLURM_STEP_NODELIST", "c[01-02]")
	for who, want := range map[string]string{
		"n[1-2]:5": "n1:5 n2:5",
		"@" + file: "n1:5 n2:5 n9:6",
		"slurm":    "c01:3537 c02:3537",
	} {
		names, err := (&members{who: who}).names(t.Context())
		if got := strings.Join(names, " "); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", who, got, err, want)
		}
	}
	t.Setenv("SLURM_JOB_NODELIST", "")
	t.Setenv("SLURM_STEP_NODELIST", "")
	for _, who := range []string{"slurm", "@" + file + "x", "dns:name", "n[", ""} {
		if names, err := (&members{who: who}).names(t.Context()); err == nil {
			t.Errorf("%s: %v, want an error", who, names)
		}
	}
}

func TestSelfIsFoundOrToldWhyNot(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	other := "192.0.2.1:3537" // RFC 5737: no machine has it
	for _, c := range []struct {
		names []string
		told  string
		want  string
		why   string
	}{
		{[]string{other, "127.0.0.1:3537"}, "", "127.0.0.1:3537", ""},
		{[]string{other, host + ".example:3537"}, "", host + ".example:3537", ""},
		{[]string{"127.0.0.1:1", "127.0.0.2:1"}, "127.0.0.2:1", "127.0.0.2:1", ""},
		{[]string{"127.0.0.1:1", "127.0.0.2:1"}, "", "", "2 of them are this machine"},
		{[]string{other}, "", "", "none of them is this machine"},
		{[]string{other}, "127.0.0.1:1", "", "is none of them"},
		{[]string{other}, "a,b", "", "not of the form"},
	} {
		got, err := findSelf(t.Context(), c.names, c.told)
		if got != c.want || (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v, told %q: %q, %v; want %q %s", c.names, c.told, got, err, c.want, c.why)
		}
	}
}

func TestPublicAddressIsNotListenedAtUnasked(t *testing.T) {
	for addr, public := range map[string]bool{"10.0.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "100.64.0.1": false,
		"169.254.1.1": false, "fd00::1": false, "fe80::1": false, "8.8.8.8": true, "2001:4860::1": true} {
		if got := isPublic(netip.MustParseAddr(addr)); got != public {
			t.Errorf("%s is public: %v", addr, got)
		}
	}
	for _, self := range []string{"0.0.0.0:3537", "[::]:3537"} {
		if l, err := listenAsPeer(t.Context(), self, nil, true); err == nil || !strings.Contains(err.Error(), "no address of one machine") {
			t.Errorf("%s: %v, %v", self, l, err)
		}
	}
	if l, err := listenAsPeer(t.Context(), "8.8.8.8:3537", nil, false); err == nil || !strings.Contains(err.Error(), "--peer-self") {
		t.Errorf("a public address is listened at: %v, %v", l, err)
	}
}

func TestPeerFlagsThatDoNotGoTogether(t *testing.T) {
	dir := t.TempDir()
	key, open, short := filepath.Join(dir, "key"), filepath.Join(dir, "open"), filepath.Join(dir, "short")
	write(t, key, []byte(strings.Repeat("k", 32)))
	write(t, open, []byte(strings.Repeat("k", 32)))
	write(t, short, []byte("k"))
	for path, mode := range map[string]os.FileMode{key: 0o600, open: 0o640, short: 0o600} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for why, f := range map[string]*peerFlags{
		"without --peers":   {PeerKey: key},
		"below 0":           {Peers: "a", PeersWait: -1},
		"needs --peer-key":  {Peers: "a"},
		"chmod 600":         {Peers: "a", PeerKey: open},
		"needs 16 at least": {Peers: "a", PeerKey: short},
		"no such file":      {Peers: "a", PeerKey: key + "x"},
	} {
		err := f.sound()
		if err == nil {
			_, err = f.security(&requestFlags{})
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%+v: %v, want %q", *f, err, why)
		}
	}
	for _, f := range []*peerFlags{{Peers: "a", PeerKey: key}, {Peers: "a", PeerPlain: true}, {Peers: "a", PeerPlain: true, PeerKey: key}} {
		s, err := f.security(&requestFlags{})
		if err != nil || (s.server == nil) != f.PeerPlain || (s.key != nil) != (f.PeerPlain && f.PeerKey != "") {
			t.Errorf("%+v: %+v, %v", *f, s, err)
		}
	}
}

// A name that leads to the loopback is no address for other machines, unless a route to one of
// them tells another one.
func TestTowardsOthers(t *testing.T) {
	for _, names := range [][]string{{"self:1"}, {"self:1", "127.0.0.2:1"}, {"self:1", "no port"}, nil} {
		if a, err := towards(names, "self:1"); err == nil || !strings.Contains(err.Error(), "self:1 is a loopback address") {
			t.Errorf("%q: %v, %v", names, a, err)
		}
	}
	a, err := towards([]string{"self:1", "127.0.0.2:1", "192.0.2.1:1"}, "self:1") // RFC 5737: no machine has the last one
	if err == nil && (a.IsLoopback() || !a.IsValid()) {
		t.Errorf("address of this machine towards another one: %v", a) // a machine without a route has an error
	}
}
