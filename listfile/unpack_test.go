package listfile

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// packedLists are one small table, packed.
var packedLists = map[string]string{
	"bzip2": "QlpoOTFBWSZTWZytI6gAAA1ZgAAQAASwEDJHVgAgACEqaAbUaAoaaYAFW2Mu4hBAoaKkHNW6eYRf4u5IpwoSE5WkdQA=",
	"xz":    "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AAiACBdADcYSf36Yvzvh+VYgkTrYOZG0lmVvMgaoVP42wmIp8AAACNf1oGBsRtAAAE8I6a9EvEftvN9AQAAAAAEWVo=",
	"zstd":  "KLUv/QRY/QAAyG5hbWUsdXJsCmEsaHR0cDovL2gvMQpiMgoBAGGbTSNgP0U=",
}

// greedyXZ is the same list, packed so that unpacking it needs 1 GiB.
const greedyXZ = "/Td6WFoAAATm1rRGAgAhASQAAABeH8f54AAiACBdADcYSf36Yvzvh+VYgkTrYOZG0lmVvMgaoVP42wmIp8AAACNf1oGBsRtAAAE8I6a9EvEftvN9AQAAAAAEWVo="

func TestPackedLists(t *testing.T) {
	for name, text := range packedLists {
		packed, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Parse(strings.NewReader(string(packed)), "list", Options{})
		if err != nil || told(l) != "a http://h/1\nb http://h/2\n" || l.Dialect != CSV {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
		for n := 7; n < len(packed); n += 3 { // cut off anywhere
			if l, err := Parse(strings.NewReader(string(packed[:n])), "list", Options{}); err == nil && len(l.Entries) != 2 {
				t.Errorf("%s: the first %d bytes were taken for a list of %d entries", name, n, len(l.Entries))
			}
		}
	}
	packed, err := base64.StdEncoding.DecodeString(greedyXZ)
	if err != nil {
		t.Fatal(err)
	}
	used := allocated(func() { _, err = Parse(strings.NewReader(string(packed)), "list", Options{}) })
	if err == nil || errors.As(err, new(Errors)) || used > 10<<20 {
		t.Errorf("a list that wants 1 GiB: %v, %d MiB allocated", err, used>>20)
	}
}
