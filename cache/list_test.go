package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func wantList(t *testing.T, s *Store, want []Listed) {
	t.Helper()
	got, err := s.List()
	check(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("%d entries came back as %d, or others", len(want), len(got))
	}
}

// longList is of several values.
func longList() []Listed {
	list := make([]Listed, 5000)
	for i := range list {
		list[i] = Listed{fmt.Sprintf("%04d/%s", i, strings.Repeat("n", 195)), uint64(i) << 40}
	}
	return list
}

func TestList(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	wantList(t, s, nil)
	many := longList()
	other := slices.Clone(many)
	other[4000].URL = 1
	huge := []Listed{{"a", 1}, {strings.Repeat("n", maxValue-12), 2}, {"", 3}, {"b\nc\x00", 0}}
	for _, list := range [][]Listed{many, other, many[:1], many[1:4000], many[1000:2000], {}, huge, many, many[4990:]} {
		check(t, s.SetList(list))
		wantList(t, s, list)
		s = reopen(t, s)
		wantList(t, s, list)
	}
	tooLong := []Listed{{strings.Repeat("n", maxValue), 2}}
	if err := s.SetList(tooLong); err == nil || !strings.Contains(err.Error(), "too long for the state") {
		t.Errorf("a value for the value log is taken: %v", err)
	}
	wantList(t, s, many[4990:])
}

// TestListWasDamaged: what is damaged is absent from the list, and does not
// keep the next one from replacing all of it.
func TestListWasDamaged(t *testing.T) {
	rng := random(t)
	many := longList()
	_, first := encodeList(many)
	_, second := encodeList(many[first:])
	for _, next := range [][]Listed{{}, many[:1], many[:first], many} {
		s := open(t, t.TempDir(), Options{})
		check(t, s.SetList(many))
		flip(t, s.index, listKey(1), rng.Int())
		wantList(t, s, slices.Concat(many[:first], many[first+second:]))
		check(t, s.SetList(next))
		wantList(t, s, next)
		s = reopen(t, s)
		wantList(t, s, next)
	}
}

func TestListCutShort(t *testing.T) {
	list := []Listed{{"a", 1}, {"b/c", 1 << 63}}
	value, n := encodeList(list)
	if n != 2 {
		t.Fatalf("%d entries in a value", n)
	}
	one, _ := encodeList(list[:1])
	for k := 1; k < len(value); k++ {
		got, err := decodeList(nil, value[:k])
		if len(got) > 1 || (err == nil) != (k == 1 || k == len(one)) || err != nil && !errors.Is(err, errShort) {
			t.Errorf("the first %d of %d bytes: %+v, %v", k, len(value), got, err)
		}
	}
}

// FuzzDecodeList: any bytes are refused or mean one list.
func FuzzDecodeList(f *testing.F) {
	value, _ := encodeList([]Listed{{"a", 1}, {"b/c", 1 << 63}})
	f.Add(value)
	f.Add([]byte("a\nb"))
	f.Add([]byte{listFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		list, err := decodeList(nil, value)
		if err != nil || len(list) == 0 {
			return
		}
		var again []Listed
		for rest := list; len(rest) > 0; {
			value, n := encodeList(rest)
			if again, err = decodeList(again, value); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !slices.Equal(again, list) {
			t.Fatalf("%+v came back as %+v", list, again)
		}
	})
}

func TestWhatIsRememberedIsRecalled(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, want := range []string{"", "one", "another"} {
		if got, err := s.Recall("key"); got != want || err != nil {
			t.Errorf("recalled %q, %v, want %q", got, err, want)
		}
		check(t, s.Remember("key", map[string]string{"": "one", "one": "another"}[want]))
		s = reopen(t, s)
	}
	if got, err := s.Recall("other"); got != "" || err != nil {
		t.Errorf("recalled %q, %v", got, err)
	}
}
