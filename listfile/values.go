package listfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"dlfs/listfile/digest"
)

// isMissing reports whether a field says that there is no value, in the words of
// pandas, R, Excel and of people.
func isMissing(text string) bool {
	switch strings.ToLower(text) {
	case "", "-", "na", "n/a", "#n/a", "nan", "null", "none", "<na>":
		return true
	}
	return false
}

// parseSize reads a number of bytes, from 0 to 2^63 - 1. Programs whose numbers all
// have a fraction, such as pandas, write 100.0 and 1e3; these are taken where they are
// whole and below 2^53, up to which a float64 is exact. The error quotes the text.
func parseSize(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err == nil {
		return int64(n), nil
	}
	const exact = 1 << 53 // from here on a float64 skips whole numbers
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f >= exact || f != math.Trunc(f) || strings.ContainsAny(text, "xX_") {
		return 0, fmt.Errorf("size %s is not a number of bytes", quote(text))
	}
	return int64(f), nil
}

// isRounded reports whether a size is told in larger units, as "1.2 GB", so that the
// number of bytes is not known.
func isRounded(text string) bool { return roundedSize.MatchString(text) }

// roundedSize matches sizes in units from kilobytes to terabytes, of 1000 or of 1024.
var roundedSize = regexp.MustCompile(`(?i)^[0-9.]+ ?[kmgt](i?b)?$`)

// multihashes are the first bytes of a digest that tells its algorithm and its
// length (the multihash format), in hexadecimal.
var multihashes = map[string]digest.Algorithm{
	"1114": digest.SHA1, "1220": digest.SHA256, "1340": digest.SHA512, "d50110": digest.MD5,
}

// errDigestForm is of a value that is a digest of no known form.
var errDigestForm = errors.New("digest is of no known form; write ALGORITHM:HEX")

// parseDigest reads a digest: hexadecimal digits, base64 where the algorithm is
// known, a multihash, or one of these after "ALGORITHM:" or "ALGORITHM=". If a is
// None, the value tells the algorithm, or is errDigestForm.
func parseDigest(a digest.Algorithm, text string) (digest.Digest, error) {
	if name, sum, found := strings.Cut(text, ":"); found || strings.Contains(text[:min(len(text), 8)], "=") {
		if !found {
			name, sum, _ = strings.Cut(text, "=")
		}
		said, known := algorithm(name)
		if !known || a != digest.None && said != a {
			return digest.Digest{}, errDigestForm
		}
		return digest.FromHex(said, sum)
	}
	d, err := digest.FromHex(a, text)
	if err == nil {
		return d, nil
	}
	for begin, of := range multihashes {
		if rest, found := strings.CutPrefix(strings.ToLower(text), begin); found && (a == digest.None || a == of) {
			if d, err := digest.FromHex(of, rest); err == nil {
				return d, nil
			}
		}
	}
	if a != digest.None {
		if d, err := digest.FromBase64(a, text); err == nil {
			return d, nil
		}
		return digest.Digest{}, err
	}
	return digest.Digest{}, errDigestForm
}

// algorithm knows an algorithm of a digest by its name, in any case, also as "MD5Sum".
// CRC32C is not accepted in lists: it is an error-detecting code that only servers
// send.
func algorithm(name string) (digest.Algorithm, bool) {
	a, known := digest.ParseAlgorithm(strings.TrimSuffix(strings.ToLower(name), "sum"))
	return a, known && a != digest.CRC32C
}

// isDigest reports whether a field is a digest that tells its algorithm by itself: by a
// name before it, by its length, or as a multihash.
func isDigest(text string) bool {
	if strings.Contains(text, "://") {
		return false
	}
	_, err := parseDigest(digest.None, text)
	return err == nil
}

// isHex reports whether a text is hexadecimal digits of a digest's length.
func isHex(text string) bool {
	switch len(text) {
	case 32, 40, 64, 128:
		_, err := hex.DecodeString(text)
		return err == nil
	}
	return false
}

// parseTime reads a time as RFC 3339 has it, or as whole seconds since 1970-01-01 UTC,
// of at most 40 bits.
func parseTime(text string) (t time.Time, err error) {
	if seconds, err := strconv.ParseInt(text, 10, 40); err == nil {
		return time.Unix(seconds, 0).UTC(), nil
	}
	return time.Parse(time.RFC3339, text)
}

// splitURLs takes a field apart that holds several URLs, parted by semicolons. A
// semicolon may as well stand in a URL, so each part must look like one.
func splitURLs(field string) []string {
	parts := strings.Split(strings.Trim(field, "; "), ";")
	for i, part := range parts {
		parts[i] = strings.Trim(part, blanks)
		if urlStart(parts[i]) != 0 && !isHostPath(parts[i]) {
			return []string{field}
		}
	}
	return parts
}

// isHostPath reports whether a text looks like a URL without its scheme:
// www.example.org/a.bin or 127.0.0.1:8000/a.bin.
func isHostPath(text string) bool {
	host, _, found := strings.Cut(text, "/")
	if !found || !strings.ContainsAny(host, ".:") {
		return false
	}
	for i := range len(host) {
		if !isSchemeByte(host[i]) && host[i] != ':' || host[i] == '+' {
			return false
		}
	}
	return host[0] != '.' && host[0] != ':'
}
