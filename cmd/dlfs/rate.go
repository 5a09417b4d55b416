package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rate is bytes a second; 0 is no limit.
type rate int64

// UnmarshalText reads what people write: "10M", "1.5MiB/s", "500k", "0" or
// "none". K, M, G and T are powers of 1024.
func (r *rate) UnmarshalText(text []byte) error {
	s := strings.ToLower(strings.TrimSpace(string(text)))
	if s == "none" || s == "off" || s == "unlimited" {
		*r = 0
		return nil
	}
	s = strings.TrimSuffix(s, "/s")
	s = strings.TrimSuffix(strings.TrimSuffix(s, "b"), "i")
	unit := 1.0
	if i := strings.IndexAny(s, "kmgt"); i >= 0 && i == len(s)-1 {
		unit = math.Pow(1024, float64(strings.IndexByte("kmgt", s[i])+1))
		s = s[:i]
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	n := v * unit
	if err != nil || !(n >= 0 && n < math.MaxInt64) || n > 0 && n < 1 {
		return fmt.Errorf("%q is no rate; write one such as 500K, 10M or none", printable(string(text)))
	}
	*r = rate(n)
	return nil
}

// String is what a person reads.
func (r rate) String() string {
	if r == 0 {
		return "none"
	}
	return bytesText(int64(r)) + "/s"
}
