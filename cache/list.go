package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// Listed is one entry of the list a store is used with.
type Listed struct {
	Name string
	URL  uint64 // a hash of the entry's URL, which the state never holds; 0 if not known
}

// A value of the list holds consecutive entries, listBytes of them or one:
//
//	0, then for each entry: length of the name (uvarint), name, URL (8 bytes)
const (
	listFormat = 0
	listBytes  = 64 << 10
)

var listPrefix = []byte("l/")

// listKey returns the key of the n-th part of the list that the store remembers.
func listKey(n int) []byte {
	return binary.BigEndian.AppendUint32(slices.Clip(listPrefix), uint32(n))
}

// encodeList returns a value with the first n entries of list, at least one.
func encodeList(list []Listed) (value []byte, n int) {
	value = []byte{listFormat}
	for n < len(list) && (n == 0 || len(value)+len(list[n].Name) < listBytes) {
		value = binary.AppendUvarint(value, uint64(len(list[n].Name)))
		value = append(value, list[n].Name...)
		value = binary.BigEndian.AppendUint64(value, list[n].URL)
		n++
	}
	return value, n
}

// decodeList appends the entries of a value to list.
func decodeList(list []Listed, value []byte) ([]Listed, error) {
	if len(value) == 0 || value[0] != listFormat {
		return list, errors.New("value of the list has another format")
	}
	for value = value[1:]; len(value) > 0; {
		size, n := binary.Uvarint(value)
		if n <= 0 || uint64(len(value)-n) < 8 || size > uint64(len(value)-n-8) {
			return list, errShort
		}
		name, rest := value[n:n+int(size)], value[n+int(size):]
		list = append(list, Listed{string(name), binary.BigEndian.Uint64(rest)})
		value = rest[8:]
	}
	return list, nil
}

// list returns the list last written with setList, less what is damaged.
func (x *index) list() (list []Listed, err error) {
	err = x.scan(listPrefix, func(key, value []byte) {
		var short error
		if list, short = decodeList(list, value); short != nil {
			x.log.Warn("part of the recorded list is not readable; it is taken for a list without it", "err", short)
		}
	})
	if errors.Is(err, errDamaged) {
		return list, nil
	}
	return list, err
}

// setList replaces the list, writing only what differs.
func (x *index) setList(list []Listed) error {
	b, values := x.batch(), 0
	for ; len(list) > 0 && b.err == nil; values++ {
		value, n := encodeList(list)
		list = list[n:]
		old, err := x.get(listKey(values))
		if err != nil {
			b.err = err
		} else if !bytes.Equal(old, value) {
			b.set(listKey(values), value)
		}
	}
	rest, err := x.keys(listPrefix, listKey(values))
	b.err = errors.Join(b.err, err)
	for _, key := range rest {
		b.delete(key)
	}
	return x.write(b)
}

// remember keeps a value for recall.
func (x *index) remember(key, value string) error {
	b := x.batch()
	b.set([]byte("m/"+key), []byte(value))
	return x.write(b)
}

// recall returns what remember was told, "" if nothing.
func (x *index) recall(key string) (string, error) {
	value, err := x.get([]byte("m/" + key))
	return string(value), err
}
