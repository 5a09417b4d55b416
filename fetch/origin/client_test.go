package origin

import (
	"testing"
	"time"
)

func TestHost(t *testing.T) {
	tests := map[string]string{
		"http://host/a":             "host",
		"http://user:pw@host:80/?x": "host:80",
		"https://[::1]:443/":        "[::1]:443",
		"http://host/%zz":           "host",
		"/path":                     "",
		"":                          "",
	}
	for in, want := range tests {
		if got := Host(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	c := New(Options{})
	o := c.opts
	if o.MaxPerHost != 16 || o.ConnectTimeout != 20*time.Second ||
		o.Timeout != 30*time.Second || o.Tries != 12 || o.RetryWait != 500*time.Millisecond {
		t.Errorf("defaults %+v", o)
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.Credentials.UserAgent = "tester/1"
		_, p, err := x.get(nil, 0, 10)
		x.wantBytes(p, 10, err)
		_, _, err = x.probe(true)
		if err != nil {
			t.Error(err)
		}
		for _, r := range x.Log() {
			if r.Header.Get("User-Agent") != "tester/1" || r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("%s: header %v", r.Method, r.Header)
			}
		}
	})
}
