package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"dlfs/fetch"
)

// activeShown is how many active files are shown below the overall bar.
const activeShown = 8

// picture is what the bars show, made outside of the drawing.
type picture struct {
	frame
	active []fetch.EntryStatus
}

// showBars draws one overall bar and a line for each active file below it. mpb
// does the drawing: it moves the cursor, follows the width of the terminal, and
// prints log lines above.
func (d *display) showBars(look func() *picture) {
	var now atomic.Pointer[picture]
	now.Store(look())
	bars := mpb.New(mpb.WithOutput(raw(d.std.err)), mpb.WithAutoRefresh(), mpb.WithRefreshRate(redraw))
	d.bars.Store(bars)
	bar := bars.New(1, drawn(func(width int) string { return now.Load().overall(width) }), mpb.BarFillerTrim(), mpb.BarBtmExtender(activeLines(&now)...))
	d.stopped.Go(func() { // owned by the display; close waits
		t := time.NewTicker(redraw)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				now.Store(look())
			case <-d.stop:
				now.Store(&picture{frame: look().frame})
				bar.SetCurrent(1) // completes it: one last drawing
				bars.Wait()
				return
			}
		}
	})
}

// drawn makes the text of a line for the width of the terminal, in columns, at each
// redraw.
type drawn func(width int) string

// Build implements mpb.BarFillerBuilder.
func (line drawn) Build() mpb.BarFiller { return line }

// Fill implements mpb.BarFiller.
func (line drawn) Fill(w io.Writer, s decor.Statistics) error {
	_, err := io.WriteString(w, line(s.AvailableWidth))
	return err
}

// activeLines are the lines below the overall bar. mpb wants each for itself; one that is
// empty takes no room.
func activeLines(now *atomic.Pointer[picture]) (lines []mpb.BarFiller) {
	for i := range activeShown {
		lines = append(lines, drawn(func(width int) string {
			active := now.Load().active
			if i >= len(active) {
				return ""
			}
			return activeLine(active[i], width) + "\n"
		}))
	}
	return lines
}

// overall returns the first line, at most width columns wide: a bar if there is room
// beside the figures, and the figures.
func (p *picture) overall(width int) string {
	text := p.lineIn(width)
	room := width - runewidth.StringWidth(text) - 1
	if room < 12 {
		return text
	}
	return drawShare(func(n int) int { return presentOf(p.Totals, n) }, min(room, 40)) + " " + text
}

// activeLine returns the line of one active file, at most width columns wide: the end
// of its name, a bar and its sizes. Where there is no room for both, the bar is left
// out.
func activeLine(e fetch.EntryStatus, width int) string {
	const bar, least = 16, 16 // columns: of the bar, and of a name beside it
	tail := fmt.Sprintf(" %4s of %s", percent(e.Present, e.Size), sizeText(e.Size))
	name := width - bar - 3 - len(tail)
	if name >= least {
		name = min(name, 48)
		return "  " + runewidth.FillRight(endOf(printable(e.Name), name), name) + " " + drawBar(e.Present, e.Size, bar) + tail
	}
	tail = fmt.Sprintf(" %4s", percent(e.Present, e.Size))
	if name = width - 2 - len(tail); name < 1 {
		return runewidth.Truncate(tail, width, "")
	}
	return "  " + runewidth.FillRight(endOf(printable(e.Name), name), name) + tail
}

// endOf returns the end of a name in at most width columns. The end is shown because
// files of one list mostly begin alike.
func endOf(name string, width int) string {
	if over := runewidth.StringWidth(name) - width; over > 0 {
		return runewidth.TruncateLeft(name, over+1, "…")
	}
	return name
}

// sizeText returns a size in bytes as people read it, "?" if it is not known.
func sizeText(n int64) string {
	if n < 0 {
		return "?"
	}
	return bytesText(n)
}

// drawBar draws part of whole in width columns.
func drawBar(part, whole int64, width int) string {
	return drawShare(func(n int) int {
		if whole <= 0 {
			return 0
		}
		return share(part, whole, n)
	}, width)
}

// drawShare draws a part in width columns; of tells which part of n that is.
func drawShare(of func(n int) int, width int) string {
	inner := width - 2
	full := of(inner)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", inner-full) + "]"
}
