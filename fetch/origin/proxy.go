package origin

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// ProxyFrom returns what Options.Proxy is to be. all is the proxy for every host;
// if it is empty the environment decides, as it does for curl: http_proxy and
// https_proxy for URLs of that scheme, all_proxy for a scheme that has none. The
// hosts of no_proxy are asked directly, also where all is given. Each variable
// may be in lower or upper case; lower case counts first. HTTP_PROXY does not
// count in a CGI program, where a request sets it.
//
// A value that is not a proxy is an error: a request must not take another way
// than the user wanted. The error names the variable and does not quote its
// value, which may hold a password.
func ProxyFrom(all string, getenv func(string) string) (func(*http.Request) (*url.URL, error), error) {
	noProxy, _ := firstSet(getenv, "no_proxy", "NO_PROXY")
	if all != "" {
		u, err := parseProxy("--proxy", all)
		if err != nil {
			return nil, err
		}
		return proxyForAll(u, noProxy), nil
	}
	c := &httpproxy.Config{NoProxy: noProxy}
	for _, scheme := range []struct {
		value     *string
		variables []string
	}{
		{&c.HTTPProxy, []string{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}},
		{&c.HTTPSProxy, []string{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}},
	} {
		if getenv("REQUEST_METHOD") != "" { // a CGI program
			scheme.variables = without(scheme.variables, "HTTP_PROXY")
		}
		value, variable := firstSet(getenv, scheme.variables...)
		if value == "" {
			continue
		}
		u, err := parseProxy(variable, value)
		if err != nil {
			return nil, fmt.Errorf("environment variable %w, or unset it", err)
		}
		*scheme.value = u.String()
	}
	proxy := c.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) { return proxy(req.URL) }, nil
}

// firstSet returns the first variable that has a value.
func firstSet(getenv func(string) string, variables ...string) (value, variable string) {
	for _, variable := range variables {
		if value := strings.TrimSpace(getenv(variable)); value != "" {
			return value, variable
		}
	}
	return "", ""
}

// without returns the elements of list that are not s.
func without(list []string, s string) (rest []string) {
	for _, x := range list {
		if x != s {
			rest = append(rest, x)
		}
	}
	return rest
}

// parseProxy parses the URL of a proxy. The scheme may be left out. An error says
// that it is the value of name.
func parseProxy(name, text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !isPort(u.Port()) { // err may quote a password
		return nil, fmt.Errorf("%s does not parse; write http://HOST:PORT", name)
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, fmt.Errorf("%s: scheme %.20q is not supported; use http, https or socks5", name, u.Scheme)
}

// isPort reports whether s is a port that can be connected to, or empty.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil && n > 0
}

// proxyForAll returns a function that names the same proxy for every host that
// noProxy does not list.
func proxyForAll(u *url.URL, noProxy string) func(*http.Request) (*url.URL, error) {
	c := &httpproxy.Config{HTTPProxy: u.String(), HTTPSProxy: u.String(), NoProxy: noProxy}
	proxy := c.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		if isLoopback(req.URL.Hostname()) && !lists(noProxy, req.URL) {
			return u, nil // package httpproxy never asks a proxy for this machine
		}
		return proxy(req.URL)
	}
}

// isLoopback reports whether a host is "localhost" or an address of the loopback, which
// no proxy is asked for.
func isLoopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && at.IsLoopback()
}

// lists reports whether noProxy names a host of this machine: by itself, as part
// of a network, or with all others.
func lists(noProxy string, u *url.URL) bool {
	host := u.Hostname()
	at, addrErr := netip.ParseAddr(host)
	for _, entry := range strings.FieldsFunc(noProxy, func(r rune) bool { return r == ',' || r == ' ' }) {
		network, err := netip.ParsePrefix(entry)
		switch {
		case entry == "*", strings.EqualFold(strings.Trim(entry, "[]"), host), strings.EqualFold(entry, u.Host):
			return true
		case err == nil && addrErr == nil && network.Contains(at):
			return true
		}
	}
	return false
}

// refusedByProxy returns an error that names the proxy if it does not connect to the
// origin (RFC 9110 section 9.3.6). A proxy that cannot reach the origin at the moment
// answers 5xx, and may be asked again.
func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	code := resp.StatusCode
	if code/100 == 2 {
		return nil
	}
	e := &Error{Err: fmt.Errorf("proxy %s answers %s", proxy.Host, resp.Status)}
	if code/100 == 4 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests {
		e.Kind = Permanent
	}
	if code == http.StatusProxyAuthRequired {
		e.Err = fmt.Errorf("%w; %s", e.Err, proxyLogin)
	}
	return e
}

// proxyLogin says how to log in at a proxy.
const proxyLogin = "give the login with --proxy http://USER:PASSWORD@HOST:PORT"
