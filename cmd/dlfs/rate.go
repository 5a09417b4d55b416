package main

import (
	"fmt"
	"strings"
)

// rate is a limit in bytes a second; 0 is no limit.
type rate int64

// UnmarshalText reads what people write: "10M", "1.5MiB/s", "500k", or "0", "none",
// "off" and "unlimited" for no limit. K, M, G and T are powers of 1024.
func (r *rate) UnmarshalText(text []byte) error {
	s := strings.ToLower(strings.TrimSpace(string(text)))
	if s == "none" || s == "off" || s == "unlimited" {
		*r = 0
		return nil
	}
	n, err := parseBytes(strings.TrimSuffix(s, "/s"), 1)
	if err != nil {
		return fmt.Errorf("%q is no rate; write one such as 500K, 10M or none", printable(string(text)))
	}
	*r = rate(n)
	return nil
}

// String returns the rate as people read it, such as "10 MiB/s", and "none" for 0.
func (r rate) String() string {
	if r == 0 {
		return "none"
	}
	return bytesText(int64(r)) + "/s"
}
