package listfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"dlfs/listfile/digest"
)

// ParseChecksums reads a checksum file, in any mix of the forms of sha256sum and
// its kin ("HEX  NAME", "HEX *NAME", escaped with a leading backslash), of BSD
// ("SHA256 (NAME) = HEX") and of md5checksums.txt ("HEX  ./NAME"), and returns
// the digests by name. Lines that are no checksums, such as those of a signature
// around them, are counted and skipped; a file of nothing else is a problem. A name
// with two digests keeps the stronger one; two of the same algorithm that differ are
// a problem. The errors are as of Parse.
func ParseChecksums(r io.Reader, file string) (sums map[string]digest.Digest, skipped int, err error) {
	p, err := newParser(file, Options{})
	if err != nil {
		return nil, 0, err
	}
	in, done, err := unpack(bufio.NewReaderSize(r, sampleBytes))
	defer done()
	if err != nil {
		return nil, 0, fmt.Errorf("%s: unpack: %w", printable(file), err)
	}
	sums = map[string]digest.Digest{}
	first := 0
	err = p.eachLine(in, func(text string, line int) {
		name, sum, err := checksumLine(strings.TrimPrefix(text, string(byteOrderMark)))
		if errors.Is(err, errNoChecksum) {
			if skipped++; skipped == 1 {
				first = line
			}
			return
		}
		if name = strings.TrimPrefix(name, "./"); err == nil && name == "" {
			err = errNoChecksum // "./" is no file
		}
		if err == nil {
			err = merge(sums, name, sum)
		}
		if err != nil {
			p.fail(line, err)
		}
	})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: read line %d: %w", printable(file), p.reached+1, err)
	}
	if len(sums) == 0 && skipped > 0 {
		p.fail(first, errNoChecksum)
	}
	return sums, skipped, p.faults.err()
}

// merge adds a digest of a name. Of two algorithms the stronger one is kept; two
// digests of one algorithm that differ are an error. A missing name has the zero
// Digest, whose algorithm None is weaker than all others.
func merge(sums map[string]digest.Digest, name string, sum digest.Digest) error {
	was := sums[name]
	if was.Algorithm == sum.Algorithm && was != sum {
		return fmt.Errorf("%s has two digests; remove one", quote(name))
	}
	if sum.Algorithm > was.Algorithm {
		sums[name] = sum
	}
	return nil
}

var (
	// gnuLine is a line of sha256sum: a backslash if the name is escaped, the digest,
	// one or more blanks, "*" for binary mode, and the name. bsdLine is ALGORITHM
	// (NAME) = HEX.
	gnuLine = regexp.MustCompile(`^(\\?)([0-9a-fA-F]{32,128})[ \t]+\*?(.+)$`)
	bsdLine = regexp.MustCompile(`^([A-Za-z0-9-]+) \((.+)\) = ([0-9a-fA-F]+)$`)

	// unescapeGNU undoes the escapes of sha256sum in a name whose line begins with a
	// backslash (GNU coreutils manual, "md5sum invocation").
	unescapeGNU = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r")
)

// errNoChecksum says that a line is none of a checksum file. Some callers skip such a
// line and others report the error.
var errNoChecksum = errors.New("no checksum on this line; write HEX  NAME")

// checksumLine takes a line of a checksum file apart: "HEX  NAME", as sha256sum writes it, or
// "ALGORITHM (NAME) = HEX", as BSD's tools do. errNoChecksum says that the line is neither,
// or of an algorithm that is not known here.
func checksumLine(text string) (name string, sum digest.Digest, err error) {
	text = strings.TrimRight(text, blanks)
	if m := bsdLine.FindStringSubmatch(text); m != nil {
		a, known := algorithm(m[1])
		if !known {
			return "", sum, errNoChecksum
		}
		sum, err = digest.FromHex(a, m[3])
		return m[2], sum, err
	}
	m := gnuLine.FindStringSubmatch(text)
	if m == nil {
		return "", sum, errNoChecksum
	}
	if name = m[3]; m[1] != "" {
		name = unescapeGNU.Replace(name)
	}
	if !isHex(m[2]) { // of an algorithm that is not known here, or a word
		return "", sum, errNoChecksum
	}
	sum, err = digest.FromHex(digest.None, m[2])
	return name, sum, err
}

// ApplyChecksums gives the entries the digests of their names, as ParseChecksums
// returns them. A digest of the list itself of the same algorithm must agree; of two
// algorithms the stronger one stays. It returns how many entries have one of the
// digests. The error joins one line for each entry whose two digests differ; the other
// entries have their digests then, too.
func (l *List) ApplyChecksums(sums map[string]digest.Digest) (n int, err error) {
	for i := range l.Entries {
		e := &l.Entries[i]
		sum, ok := sums[e.Name]
		if !ok {
			continue
		}
		n++
		if e.Details == nil {
			e.Details = &Details{Size: -1}
		}
		was := e.Details.Digest
		if was.Algorithm == sum.Algorithm && was != sum {
			err = errors.Join(err, fmt.Errorf("digest of %s is another one in the list, line %d; remove one", quote(e.Name), e.Line))
		}
		if sum.Algorithm > was.Algorithm {
			e.Details.Digest = sum
		}
	}
	return n, err
}

// checksum takes a line of a checksum file that is used as a list; the URL is the base
// URL and the name. Without a base URL no line can be an entry. In a file signed with
// PGP, lines that are no checksums are counted in List.Ignored; in others they are
// problems.
func (p *parser) checksum(text string, line int) {
	name, sum, err := checksumLine(text)
	if errors.Is(err, errNoChecksum) && (p.signed || isClearsigned(text)) {
		p.signed = true
		p.list.Ignored++
		return
	}
	if err == nil && p.base == nil {
		err = errors.New("a list of checksums has no URLs; give --base-url, or give the file as --checksums beside a list of URLs")
		p.stop(line, err)
		return
	}
	if err != nil {
		p.fail(line, err)
		return
	}
	d := &draft{name: strings.TrimPrefix(name, "./"), details: Details{Size: -1, Digest: sum}, line: line, dialect: Checksums}
	p.complete(d)
	p.accept(d)
}

// isChecksum reports whether a line is one of a checksum file.
func isChecksum(text string) bool {
	_, _, err := checksumLine(text)
	return err == nil
}

// isClearsigned reports whether a line begins a text with a signature of PGP (RFC 9580 section 7).
func isClearsigned(text string) bool { return strings.HasPrefix(text, "-----BEGIN PGP SIGNED MESSAGE") }
