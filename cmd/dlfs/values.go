package main

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// durations has kong read every flag of type time.Duration by parseDuration.
func durations() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
			return err
		}
		d, err := parseDuration(text)
		if err == nil {
			target.SetInt(int64(d))
		}
		return err
	}))
}

// parseDuration reads a duration of Go, such as 1m30s, or a number of seconds, such as
// 30 or 0.5, as wget and curl have them.
func parseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if n := seconds * float64(time.Second); err == nil && math.Abs(n) < math.MaxInt64 {
		return time.Duration(n), nil
	}
	return 0, fmt.Errorf("%q is no duration; write one such as 30s, 5m or 1h", printable(text))
}

// parseBytes reads a number of bytes as people write it: "10M", "1.5GiB", "500kB" or
// "0". K, M, G and T are powers of 1024; a number alone has the given unit.
func parseBytes(text string, unit float64) (int64, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	// "kB" and "KiB" are both 1024 bytes; "B" alone is one byte.
	if strings.HasSuffix(s, "b") {
		s, unit = strings.TrimSuffix(strings.TrimSuffix(s, "b"), "i"), 1
	}
	if i := strings.IndexAny(s, "kmgt"); i >= 0 && i == len(s)-1 {
		unit = math.Pow(1024, float64(strings.IndexByte("kmgt", s[i])+1))
		s = s[:i]
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	n := v * unit
	// The negated comparison also refuses NaN. Less than one byte is an error of the user, not 0.
	if err != nil || !(n >= 0 && n < math.MaxInt64) || n > 0 && n < 1 {
		return 0, fmt.Errorf("%q is no size; write one such as 500K, 10M or 1G", printable(text))
	}
	return int64(n), nil
}

// defaultMinFree is the default of --min-free, for commands that have no such flag.
const defaultMinFree mebibytes = 64 << 20

// mebibytes is a flag's number of bytes whose unit is MiB where the user gives none.
type mebibytes int64

// UnmarshalText reads what parseBytes does; a number alone is of MiB.
func (m *mebibytes) UnmarshalText(text []byte) error {
	n, err := parseBytes(string(text), 1<<20)
	*m = mebibytes(n)
	return err
}
