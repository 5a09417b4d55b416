package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// Version identifies one version of an origin file: what was pinned at the
// first probe and must agree with every later response.
type Version struct {
	Size         int64  // bytes
	ETag         string // strong entity tag as sent, quotes included; "" if none
	LastModified string // Last-Modified header as sent; "" if none
}

// ModTime is the Last-Modified time, zero if there is none, it does not parse as
// one of the three forms of RFC 9110 section 5.6.7, or filesystems cannot keep it.
func (v Version) ModTime() time.Time {
	for _, layout := range []string{imfFixdate, time.RFC1123, rfc850, time.ANSIC} {
		t, err := time.Parse(layout, v.LastModified)
		if err != nil {
			continue
		}
		if layout == rfc850 && time.Until(t) > 50*365*24*time.Hour {
			t = t.AddDate(-100, 0, 0) // a year of two digits means one in the past
		}
		if t.Before(firstModTime) || t.After(lastModTime) {
			break
		}
		return t
	}
	return time.Time{}
}

// rfc850 is an obsolete form of dates of HTTP that recipients must take.
const rfc850 = "Monday, 02-Jan-06 15:04:05 GMT"

// ext4 with small inodes keeps a time as 32 bits of seconds.
var (
	firstModTime = time.Unix(math.MinInt32, 0)
	lastModTime  = time.Unix(math.MaxInt32, 0)
)

// imfFixdate is how HTTP writes a date (RFC 9110 section 5.6.7). It needs no look
// for a time zone, which costs a listing of many files dear.
const imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"

// record is what the index keeps of one name: its version, the generation that
// names its blob and its bitmap chunks, the caller's note, and, once it is
// published, the modification time the published file had, to notice a later
// edit.
type record struct {
	gen       uint64
	version   Version
	note      Note
	published bool
	mtime     int64    // nanoseconds; meaningful once published, and with own
	own       uint64   // inode of the file that this store has published, and may be removing now; 0 if there is none
	replaces  standing // meaningful until it is published
	extends   bool     // what it replaces is an unfinished file that it has the data of
}

// recordFormat is the format that is written, and the one that is read.
const recordFormat = 2

// The bits of a record's second byte.
const (
	flagPublished = 1 << iota
	flagVerified
	flagReplaces // what it replaces, and Note.Refuted, follow at the end
	flagExtends
	flagRefuted // Note.Refuted follows at the end, of a blob that replaces nothing
	flagOwn     // record.own follows at the end, of a blob without the two
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errShort   = errors.New("value is cut short")
)

// sealBytes is how much seal adds to a value.
const sealBytes = crc32.Size

// seal appends a CRC32C over key and value, so that a value that was damaged,
// or that stands under another key, does not check.
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return binary.BigEndian.AppendUint32(value, sum)
}

// unseal returns what seal was given, or why it cannot be trusted.
func unseal(key, sealed []byte) ([]byte, error) {
	n := len(sealed) - sealBytes
	if n < 0 {
		return nil, errShort
	}
	value := sealed[:n:n]
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	if got := binary.BigEndian.Uint32(sealed[n:]); got != sum {
		return nil, fmt.Errorf("checksum is %08x, want %08x", got, sum)
	}
	return value, nil
}

// encode returns the bytes of a record: the format, a byte of flags, then the fields in a fixed
// order. Optional fields at the end are there if their flag is set. decodeRecord reads it.
func (r record) encode() []byte {
	b := []byte{recordFormat, 0}
	if r.published {
		b[1] |= flagPublished
	}
	if r.note.Verified {
		b[1] |= flagVerified
	}
	if r.replaces != (standing{}) {
		b[1] |= flagReplaces
	}
	if r.extends {
		b[1] |= flagExtends
	}
	if r.note.Refuted != "" && !r.published && b[1]&flagReplaces == 0 {
		b[1] |= flagRefuted
	}
	if r.own != 0 && b[1]&(flagReplaces|flagRefuted) == 0 {
		b[1] |= flagOwn
	}
	b = binary.BigEndian.AppendUint64(b, r.gen)
	b = binary.AppendVarint(b, r.version.Size)
	b = binary.AppendVarint(b, r.mtime)
	for _, s := range []string{r.version.ETag, r.version.LastModified, r.note.Digest} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint64(b, r.note.URL)
	if b[1]&flagReplaces != 0 {
		b = binary.BigEndian.AppendUint64(b, r.replaces.ino)
		b = binary.AppendVarint(b, r.replaces.size)
		b = binary.AppendVarint(b, r.replaces.mtime)
	}
	if b[1]&(flagReplaces|flagRefuted) != 0 {
		b = append(b, r.note.Refuted...)
	}
	if b[1]&flagOwn != 0 {
		b = binary.BigEndian.AppendUint64(b, r.own)
	}
	return b
}

// decodeRecord parses what encode wrote. The checksum has been verified, but a value
// of another format must still be refused, never misread.
func decodeRecord(b []byte) (r record, err error) {
	if len(b) < 10 {
		return r, errShort
	}
	if b[0] != recordFormat {
		return r, fmt.Errorf("record format %d, want %d", b[0], recordFormat)
	}
	r.published = b[1]&flagPublished != 0
	r.note.Verified = b[1]&flagVerified != 0
	r.extends = b[1]&flagExtends != 0
	replaces, refuted, own := b[1]&flagReplaces != 0, b[1]&flagRefuted != 0, b[1]&flagOwn != 0
	r.gen = binary.BigEndian.Uint64(b[2:])
	b = b[10:]
	for _, p := range []*int64{&r.version.Size, &r.mtime} {
		v, n := binary.Varint(b)
		if n <= 0 {
			return r, errShort
		}
		*p, b = v, b[n:]
	}
	for _, p := range []*string{&r.version.ETag, &r.version.LastModified, &r.note.Digest} {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > uint64(len(b)-n) {
			return r, errShort
		}
		*p, b = string(b[n:n+int(v)]), b[n+int(v):]
	}
	if len(b) < 8 {
		return r, errShort
	}
	r.note.URL, b = binary.BigEndian.Uint64(b), b[8:]
	if replaces {
		if err := r.decodeReplaces(b); err != nil {
			return r, err
		}
		if r.replaces == (standing{}) {
			return r, errors.New("a file is told to be replaced where none is named")
		}
	}
	if refuted && (replaces || r.published) {
		return r, errors.New("a digest is told to be wrong where none can be")
	}
	if refuted {
		r.note.Refuted = string(b)
	}
	if own {
		if len(b) != 8 || replaces || refuted {
			return r, errShort
		}
		r.own = binary.BigEndian.Uint64(b)
	}
	if r.version.Size < 0 {
		return r, fmt.Errorf("size %d is negative", r.version.Size)
	}
	return r, nil
}

// decodeReplaces parses what the blob is to replace: the rest of a record.
func (r *record) decodeReplaces(b []byte) error {
	if len(b) < 8 {
		return errShort
	}
	r.replaces.ino, b = binary.BigEndian.Uint64(b), b[8:]
	for _, p := range []*int64{&r.replaces.size, &r.replaces.mtime} {
		v, n := binary.Varint(b)
		if n <= 0 {
			return errShort
		}
		*p, b = v, b[n:]
	}
	r.note.Refuted = string(b)
	return nil
}

// The prefixes of the keys of the index: records by name, and bits by generation.
var (
	recordPrefix = []byte("f/")
	chunkPrefix  = []byte("b/")
)

// recordKey returns the key of the record of a name.
func recordKey(name string) []byte { return append(slices.Clip(recordPrefix), name...) }

// chunkKey returns the key of chunk c of a generation. The numbers are big-endian, so
// that the keys of a generation follow one another in the index, in the order of the
// chunks.
func chunkKey(gen uint64, c int64) []byte {
	k := binary.BigEndian.AppendUint64(slices.Clip(chunkPrefix), gen)
	return binary.BigEndian.AppendUint32(k, uint32(c))
}

// generationPrefix returns what the keys of all chunks of a generation begin with.
func generationPrefix(gen uint64) []byte { return chunkKey(gen, 0)[:10] }
