package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"dlfs/fetch"
)

// statusPrinter prints a status as it comes: head, then each entry, then end. So a
// long list takes no memory.
type statusPrinter interface {
	head(s *Status) error
	entry(e fetch.EntryStatus) error
	end() error
}

// alignedTogether is how many entries have their columns aligned.
const alignedTogether = 1000

// textStatus prints for a person: a line for each entry, and the whole at the end.
type textStatus struct {
	t     *tabwriter.Writer
	whole string
	n     int
}

func (p *textStatus) head(s *Status) error {
	p.whole = s.line()
	return nil
}

func (p *textStatus) entry(e fetch.EntryStatus) error {
	fmt.Fprintf(p.t, "%s\t%s\t%s of %s\t%s\n", printable(e.State), percent(e.Present, e.Size), bytesText(e.Present), sizeText(e.Size), printable(nameAndError(e)))
	if p.n++; p.n%alignedTogether == 0 {
		return p.t.Flush()
	}
	return nil
}

func (p *textStatus) end() error {
	fmt.Fprintln(p.t, p.whole)
	return p.t.Flush()
}

func nameAndError(e fetch.EntryStatus) string {
	if e.Error == "" {
		return e.Name
	}
	return e.Name + ": " + e.Error
}

// jsonStatus prints JSON, as encoding/json does with the indent.
type jsonStatus struct {
	w      io.Writer
	indent string
	tail   string // what ends it
	n      int
}

func (p *jsonStatus) head(s *Status) error {
	text, err := json.MarshalIndent(s, "", p.indent)
	if err != nil {
		return err
	}
	entries := bytes.LastIndex(text, []byte("[]")) // which come last
	p.tail = string(text[entries+2:]) + "\n"
	_, err = p.w.Write(text[:entries+1])
	return err
}

func (p *jsonStatus) entry(e fetch.EntryStatus) error {
	prefix := p.indent + p.indent
	text, err := json.MarshalIndent(e, prefix, p.indent)
	if err != nil {
		return err
	}
	comma := ","
	if p.n++; p.n == 1 {
		comma = ""
	}
	_, err = fmt.Fprintf(p.w, "%s\n%s%s", comma, prefix, text)
	return err
}

func (p *jsonStatus) end() error {
	close := "]"
	if p.n > 0 {
		close = "\n" + p.indent + "]"
	}
	_, err := io.WriteString(p.w, close+p.tail)
	return err
}
