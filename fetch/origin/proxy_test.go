package origin

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"dlfs/cache/hosttest"
)

// TestProxyFrom is which proxy a URL is asked through, as curl chooses it.
func TestProxyFrom(t *testing.T) {
	type env = map[string]string
	tests := []struct {
		all  string
		env  env
		url  string
		want string // "" for none
	}{
		{"", nil, "http://h/a", ""},
		{"", env{"http_proxy": "p:1"}, "http://h/a", "http://p:1"},
		{"", env{"http_proxy": "p:1"}, "https://h/a", ""},
		{"", env{"HTTPS_PROXY": "https://u:w@p:1/"}, "https://h/a", "https://u:w@p:1/"},
		{"", env{"http_proxy": "p:1", "HTTP_PROXY": "q:1"}, "http://h/a", "http://p:1"},
		{"", env{"ALL_PROXY": "p:1"}, "http://h/a", "http://p:1"},
		{"", env{"ALL_PROXY": "socks5h://p:1"}, "https://h/a", "socks5h://p:1"},
		{"", env{"all_proxy": "p:1", "http_proxy": "q:2"}, "http://h/a", "http://q:2"},
		{"", env{"all_proxy": "p:1", "http_proxy": "q:2"}, "https://h/a", "http://p:1"},
		{"", env{"all_proxy": "p:1", "no_proxy": "h,other"}, "https://h/a", ""},
		{"", env{"all_proxy": "p:1", "NO_PROXY": "*"}, "https://h/a", ""},
		{"", env{"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, "http://h/a", ""},
		{"", env{"http_proxy": "  "}, "http://h/a", ""},
		{"p:1", nil, "https://h/a", "http://p:1"},
		{"p:1", env{"http_proxy": "q:2"}, "http://h/a", "http://p:1"},
		{"p:1", env{"NO_PROXY": ".example"}, "http://h.example/a", ""},
		{"p:1", env{"NO_PROXY": ".example"}, "http://h.other/a", "http://p:1"},
		{"p:1", env{"http_proxy": "p:x"}, "http://h/a", "http://p:1"}, // which is not used
		{"p:1", nil, "http://localhost:8/a", "http://p:1"},
		{"p:1", env{"no_proxy": "h, localhost"}, "http://localhost:8/a", ""},
		{"p:1", env{"no_proxy": "127.0.0.0/8"}, "http://127.0.0.1:8/a", ""},
		{"p:1", env{"no_proxy": "::1"}, "http://[::1]:8/a", ""},
		{"p:1", env{"no_proxy": "127.0.0.1:9"}, "http://127.0.0.1:8/a", "http://p:1"},
	}
	for _, tt := range tests {
		proxy, err := ProxyFrom(tt.all, func(name string) string { return tt.env[name] })
		if err != nil {
			t.Errorf("%q, %v: %v", tt.all, tt.env, err)
			continue
		}
		req, err := http.NewRequest(http.MethodGet, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if u, err := proxy(req); err != nil {
			t.Errorf("%q, %v: %v", tt.all, tt.env, err)
		} else if u != nil {
			got = u.String()
		}
		if got != tt.want {
			t.Errorf("%q, %v: %s is asked through %q, want %q", tt.all, tt.env, tt.url, got, tt.want)
		}
	}
}

// TestWrongProxyIsAnError: no wrong value has a request go another way, and no
// error quotes one.
func TestWrongProxyIsAnError(t *testing.T) {
	for _, value := range []string{"http://u:SECRET@h:x", "http://[", "http://u:SECRET@", ":3128", "h:0", "h:70000",
		"h SECRET", "ftp://u:SECRET@h", "socks4://h:1", "http:///SECRET", "%zz"} {
		for _, variable := range []string{"", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
			all, env := value, map[string]string{}
			if variable != "" {
				all, env[variable] = "", value
			}
			_, err := ProxyFrom(all, func(name string) string { return env[name] })
			if err == nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), variable) {
				t.Errorf("%s=%s: got error %v", variable, value, err)
			}
		}
	}
}

// TestProxyThatDoesNotConnect: what a proxy answers to CONNECT is told as the proxy's
// word, and a refusal is for good.
func TestProxyThatDoesNotConnect(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	for status, want := range map[string]struct {
		kind Kind
		says string
	}{
		"403 Forbidden":                     {Permanent, "answers 403 Forbidden"},
		"407 Proxy Authentication Required": {Permanent, "give the login with --proxy http://USER:PASSWORD@HOST:PORT"},
		"502 Bad Gateway":                   {Transient, "answers 502 Bad Gateway"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() { // joined below
			defer close(served)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				http.ReadRequest(bufio.NewReader(c)) // whatever it is
				io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
				c.Close()
			}
		}()
		client := New(Options{Tries: 1, Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()})})
		_, _, err = client.Resource("https://data.example/f", ResourceOptions{}).Probe(t.Context(), false)
		var e *Error
		if !errors.As(err, &e) || e.Kind != want.kind || !strings.Contains(err.Error(), "proxy "+l.Addr().String()) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v", status, err)
		}
		client.Close()
		l.Close()
		<-served
	}
}

// A proxy that wants a login for a request over http, too, is told as the proxy.
func TestProxyThatWantsALogin(t *testing.T) {
	x := overTCP(t)
	base, _ := answering(t, func(string) string {
		return "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
	})
	_, err := fetchOnce(t, x, base+"/a.bin")
	if wantKind(t, err, Permanent); !strings.Contains(err.Error(), "proxy answers 407") || !strings.Contains(err.Error(), "--proxy") {
		t.Error(err)
	}
}
