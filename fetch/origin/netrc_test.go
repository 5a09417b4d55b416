package origin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNetrcLogins(t *testing.T) {
	tests := []struct {
		name, text, host, user string
		login, password        string // both "" if none is to be found
	}{
		{"one line", "machine h login joe password secret", "h", "", "joe", "secret"},
		{"many lines", "machine h\n\tlogin joe\r\n\tpassword\n  secret\n", "h", "", "joe", "secret"},
		{"any order and case", "MACHINE H Password secret Login joe", "h", "", "joe", "secret"},
		{"another host", "machine h login joe password secret", "x.h", "", "", ""},
		{"the right one of several", "machine a login x password y\nmachine h login joe password secret\nmachine z login x password y", "h", "", "joe", "secret"},
		{"the first of several", "machine h login joe password secret machine h login x password y", "h", "", "joe", "secret"},
		{"by user", "machine h login x password y machine h login joe password secret", "h", "joe", "joe", "secret"},
		{"no such user", "machine h login x password y", "h", "joe", "", ""},
		{"default", "machine a login x password y\ndefault login joe password secret", "", "", "joe", "secret"},
		{"default is for no host by name", "default login joe password secret", "default", "", "", ""},
		{"account", "machine h account a login joe account b password secret", "h", "", "joe", "secret"},
		{"macro", "machine h login joe password secret macdef init\nlogin x\nmachine h password y\n\nmachine a login x", "h", "", "joe", "secret"},
		{"after a macro", "machine a\nmacdef init\ncd /x\n \t\nmachine h login joe password secret", "h", "", "joe", "secret"},
		{"comments", "# machine h login x\nmachine h # login x\n login joe #password x\n\t# more\npassword secret", "h", "", "joe", "secret"},
		{"number sign in a value", "machine h login joe#1 password #secret", "h", "", "joe#1", "#secret"},
		{"quotes", `machine "h" login "joe smith" password "a\"b\\c\td\ne\xf#"`, "h", "", "joe smith", "a\"b\\c\td\nexf#"},
		{"quote within a word", `machine h login j"oe password se"cret`, "h", "", `j"oe`, `se"cret`},
		{"empty password", `machine h login joe password ""`, "h", "", "joe", ""},
		{"keyword as a value", "machine h login password password login", "h", "", "password", "login"},
		{"words of others", "machine h port 80 protocol https login joe password secret", "h", "", "joe", "secret"},
		{"before any machine", "login x password y machine h login joe password secret", "h", "", "joe", "secret"},
		{"byte order mark", "\ufeffmachine h login joe password secret", "h", "", "joe", "secret"},
		{"empty", "", "h", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := parseNetrc(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			login, password, ok := n.login(tt.host, tt.user)
			if login != tt.login || password != tt.password || ok != (tt.login != "") {
				t.Errorf("got %q, %q, %v; want %q, %q", login, password, ok, tt.login, tt.password)
			}
		})
	}
	if _, _, ok := (*Netrc)(nil).login("h", ""); ok {
		t.Error("no netrc has a login")
	}
}

func TestNetrcErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"machine h\nlogin joe\npassword \"secret\nmachine x": "line 3: quote is not closed",
		"machine h\npassword":                                "line 2: password has no value",
		"\nmachine \"\" login joe password secret":           "line 2: machine without a name",
	} {
		path := filepath.Join(t.TempDir(), "netrc")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadNetrc(path); err == nil || err.Error() != path+": "+want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestNetrcOpenToOthersIsUsedWithAWarning(t *testing.T) {
	for mode, warn := range map[fs.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		path := filepath.Join(t.TempDir(), "netrc")
		if err := os.WriteFile(path, []byte("machine h login joe password secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		n, err := loadNetrc(path)
		if err != nil {
			t.Fatal(err)
		}
		if (n.Warning != "") != warn || strings.Contains(n.Warning, "secret") {
			t.Errorf("%v: warning %q", mode, n.Warning)
		}
		if _, password, _ := n.login("h", ""); password != "secret" {
			t.Errorf("%v: password %q", mode, password)
		}
	}
	if _, err := loadNetrc(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestNetrcPath(t *testing.T) {
	t.Setenv("HOME", "/home/joe")
	t.Setenv("NETRC", "")
	if got := NetrcPath(); got != "/home/joe/.netrc" {
		t.Errorf("got %q", got)
	}
	t.Setenv("NETRC", "/etc/netrc")
	if got := NetrcPath(); got != "/etc/netrc" {
		t.Errorf("got %q", got)
	}
}

func FuzzNetrc(f *testing.F) {
	f.Add("machine h login joe password \"se\\ncret\" macdef init\n\n# x", "joe smith", `a"b\c#`)
	f.Fuzz(func(t *testing.T, text, login, password string) {
		if _, err := parseNetrc(text); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %q", err)
		}
		if strings.Contains(login+password, "\n") {
			return // escaped, it is read back; as it is, it ends the line
		}
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
		n, err := parseNetrc(`machine h login "` + quote(login) + `" password "` + quote(password) + `"`)
		if err != nil {
			t.Fatal(err)
		}
		if l, p, ok := n.login("h", ""); l != login || p != password || !ok {
			t.Errorf("got %q, %q, %v; want %q, %q", l, p, ok, login, password)
		}
	})
}

func TestNetrcWithoutEnd(t *testing.T) {
	if _, err := loadNetrc("/dev/zero"); err == nil || !strings.Contains(err.Error(), "is longer than any netrc file") {
		t.Errorf("%v", err)
	}
}

// loadNetrc is ReadNetrc of the file of that name.
func loadNetrc(path string) (*Netrc, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadNetrc(f)
}
