package main

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/mattn/go-runewidth"

	"dlfs/fetch"
)

// meter turns totals into rates.
type meter struct {
	samples []sample // of the last rateWindow, oldest first
}

// sample is how many bytes had come at a moment.
type sample struct {
	at    time.Time
	bytes int64
}

// rateWindow is over how long a rate is measured. A shorter one would jump with each block.
const rateWindow = 10 * time.Second

// frame is what there is to show at one moment.
type frame struct {
	fetch.Totals
	rate float64       // bytes a second, over the last while
	eta  time.Duration // 0 if it cannot be told
}

// frame looks at set now.
func (m *meter) frame(set *fetch.Set) frame {
	t := set.Totals()
	return frameOf(t, m.rate(time.Now(), t.OriginBytes+t.PeerBytes))
}

// rate is in bytes a second, where so many bytes have come until now.
func (m *meter) rate(now time.Time, bytes int64) float64 {
	m.samples = append(m.samples, sample{now, bytes})
	// The first sample that stays is the newest one that is older than the window.
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) > rateWindow {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	dt := now.Sub(first.at).Seconds()
	if dt <= 0 {
		return 0
	}
	return max(0, float64(bytes-first.bytes)/dt)
}

// frameOf is the frame of totals at a rate in bytes a second.
func frameOf(t fetch.Totals, rate float64) frame {
	f := frame{Totals: t, rate: rate}
	if left := f.TotalBytes - f.PresentBytes; f.rate > 0 && left > 0 {
		f.eta = timeLeft(left, f.rate)
	}
	return f
}

// etaMost is the longest estimate that is shown: a longer one says nothing. A Duration can be
// some three times as long.
const etaMost = 100 * 365 * 24 * time.Hour

// timeLeft estimates how long bytes take at a rate; 0 if that cannot be told.
func timeLeft(bytes int64, rate float64) time.Duration {
	seconds := float64(bytes) / rate
	if seconds > etaMost.Seconds() {
		return 0
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}

// jsonFrame is a line of --progress=json.
type jsonFrame struct {
	fetch.Totals
	BytesPerSecond int64 `json:"bytes_per_second"`
	ETASeconds     int64 `json:"eta_seconds"` // 0 if it cannot be told
}

// json returns the frame as a line of --progress=json has it.
func (f frame) json() jsonFrame {
	return jsonFrame{f.Totals, int64(f.rate), int64(f.eta / time.Second)}
}

// lineIn tells a frame in one line of a width: whole if it fits, else without what is
// least needed.
func (f frame) lineIn(width int) string {
	files := fmt.Sprintf("%d/%d", f.FilesComplete, f.FilesTotal)
	rate := ", " + bytesText(int64(f.rate)) + "/s"
	eta := f.etaText()
	if eta != "" {
		eta = ", " + eta
	}
	lines := []string{
		f.line(),
		files + " files" + shareText(f.Totals) + troubleText(f.Totals) + rate + eta,
		files + shareText(f.Totals) + troubleText(f.Totals) + rate,
		files + shareText(f.Totals) + troubleText(f.Totals),
	}
	for _, line := range lines {
		if runewidth.StringWidth(line) <= width {
			return line
		}
	}
	return runewidth.Truncate(lines[len(lines)-1], width, "…")
}

// line tells a frame in one line.
func (f frame) line() string {
	s := totalsText(f.Totals) + ", " + bytesText(int64(f.rate)) + "/s"
	if eta := f.etaText(); eta != "" {
		s += ", " + eta
	}
	return s
}

// etaText is marked with ~ while not all sizes are known.
func (f frame) etaText() string {
	if f.eta == 0 {
		return ""
	}
	about := ""
	if f.FilesKnown < f.FilesTotal {
		about = "~"
	}
	return about + f.eta.String() + " left"
}

// totalsText is the totals in words. A + says that the sizes of some files are not known yet.
func totalsText(t fetch.Totals) string {
	more := ""
	if t.FilesKnown < t.FilesTotal {
		more = "+"
	}
	s := fmt.Sprintf("%d/%d files, %s of %s%s", t.FilesComplete, t.FilesTotal,
		bytesText(t.PresentBytes), bytesText(t.TotalBytes), more)
	return s + shareText(t) + troubleText(t)
}

// shareText is which part of all is there, as far as that can be told.
func shareText(t fetch.Totals) string {
	if t.FilesKnown == 0 {
		return ""
	}
	return fmt.Sprintf(", %d%%", presentOf(t, 100))
}

// presentOf returns which part of n is there, from 0 to n: of 100 it is the percentage, of a width
// the length of a bar. A file whose size is not known counts as much as the others do on average,
// so that the share does not jump back when sizes become known.
func presentOf(t fetch.Totals, n int) int {
	switch {
	case t.FilesComplete == t.FilesTotal:
		return n
	case t.FilesKnown == 0:
		return 0
	case t.TotalBytes == 0: // those that are known are empty
		return share(int64(t.FilesComplete), int64(t.FilesTotal), n)
	}
	// The share of the known files, times the share of the files that are known.
	known := float64(t.FilesKnown) / float64(t.FilesTotal)
	return int(known * float64(share(t.PresentBytes, t.TotalBytes, n)))
}

// troubleText tells what failed, and a pause.
func troubleText(t fetch.Totals) (s string) {
	if failed := t.FilesFailed - t.FilesNeedURL; failed > 0 {
		s += fmt.Sprintf(", %d failed", failed)
	}
	if t.FilesNeedURL > 0 {
		s += fmt.Sprintf(", %d need a URL", t.FilesNeedURL)
	}
	if t.Paused {
		s += ", paused"
	}
	return s
}

// percent is a share for a person: ? of an unknown whole, 100% of nothing.
func percent(part, whole int64) string {
	switch {
	case whole < 0:
		return "?"
	case whole == 0:
		return "100%"
	}
	return fmt.Sprintf("%d%%", share(part, whole, 100))
}

// share returns which part of n part is of whole, which is above 0. Both may be
// near 2^63.
func share(part, whole int64, n int) int {
	switch {
	case part <= 0:
		return 0
	case part >= whole:
		return n
	}
	// part * n may need more than 64 bits.
	hi, lo := bits.Mul64(uint64(part), uint64(n))
	quo, _ := bits.Div64(hi, lo, uint64(whole)) // hi is below whole, as part is
	return int(quo)
}

// bytesText returns a number of bytes as a person reads it, such as "1.5 GiB"; "0 B" if it is
// negative.
func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// rateText is the mean rate of n bytes in d, "" if no time has passed.
func rateText(n int64, d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf(", %s/s", bytesText(int64(float64(n)/d.Seconds())))
}
