package main

import (
	"strings"
	"testing"
)

func TestRates(t *testing.T) {
	tests := []struct {
		in   string
		want rate
		says string
	}{
		{"0", 0, "none"}, {"none", 0, "none"}, {"1", 1, "1 B/s"}, {"100b", 100, "100 B/s"},
		{"500k", 500 << 10, "500 KiB/s"}, {"10M", 10 << 20, "10 MiB/s"}, {"1.5MiB/s", 3 << 19, "1.5 MiB/s"},
		{"1GB", 1 << 30, "1.0 GiB/s"}, {" 2 T ", 2 << 40, "2.0 TiB/s"},
	}
	for _, tt := range tests {
		var got rate
		if err := got.UnmarshalText([]byte(tt.in)); err != nil || got != tt.want || got.String() != tt.says {
			t.Errorf("%q is %d (%v), %v, want %d (%s)", tt.in, got, got, err, tt.want, tt.says)
		}
	}
	for _, in := range []string{"", "fast", "-1", "0.5", "1X", "M", "1MM", "nan", "inf", "1e30", "10M 5"} {
		var got rate
		if err := got.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is %d, want an error", in, got)
		}
	}
}

// TestWrongRequestFlags is every mistake that the command line alone tells. No
// message holds what may be a secret.
func TestWrongRequestFlags(t *testing.T) {
	good := func() requestFlags {
		return requestFlags{NoNetrc: true, ConnectFor: 1, IdleFor: 1, RetryWait: 1, MaxWait: 1, Tries: 1}
	}
	tests := []struct {
		set  func(f *requestFlags)
		want string
	}{
		{func(f *requestFlags) { f.Tries = -1 }, "--tries must be at least 1, or 0 for ever"},
		{func(f *requestFlags) { f.IdleFor = 0 }, "--connect-timeout, --timeout, --max-wait and --retry-wait must be above 0"},
		{func(f *requestFlags) { f.NetrcPath = "x" }, "--no-netrc and --netrc-path contradict one another"},
		{func(f *requestFlags) { f.Key = "k" }, "--key is of no use without --cert"},
		{func(f *requestFlags) { f.Header = []string{"A: 1", "SECRET"} }, `the value of --header number 2 is not of the form "NAME: VALUE"`},
		{func(f *requestFlags) { f.Header = []string{"A B: SECRET"} }, `the value of --header number 1 is not of the form "NAME: VALUE"`},
		{func(f *requestFlags) { f.Header = []string{"range: SECRET"} }, "--header range: dlfs alone decides about this field; leave it out"},
		{func(f *requestFlags) { f.Header = []string{"A: SECRET\r\nB: 2"} }, "--header A: its value holds a control character; remove it"},
		{func(f *requestFlags) { f.Proxy = "http://u:SECRET@h:x" }, "--proxy does not parse; write http://HOST:PORT"},
		{func(f *requestFlags) { f.Proxy = "ftp://u:SECRET@h" }, `--proxy: scheme "ftp" is not supported; use http, https or socks5`},
		{func(f *requestFlags) { f.BearerEnv = "DLFS_NO_SUCH" }, "--bearer-env: the environment variable DLFS_NO_SUCH is not set; set it to the token"},
	}
	for _, tt := range tests {
		f := good()
		tt.set(&f)
		err := f.validate()
		if err == nil {
			_, err = f.clientOptions(nil, 1)
		}
		if err == nil || err.Error() != tt.want || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}
