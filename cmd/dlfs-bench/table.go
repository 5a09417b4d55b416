package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// report is what a run found out.
type report struct {
	Machine string      `json:"machine"`
	Short   bool        `json:"short"`
	Rounds  int         `json:"rounds"`
	Rows    []rowReport `json:"rows"`
	LeftOut []string    `json:"left_out"`
}

// rowReport has all samples of a row.
type rowReport struct {
	Name    string             `json:"name"`
	Figures map[string]figures `json:"figures"` // by contestant
	Failed  string             `json:"failed,omitempty"`
	goals   []goal
}

// print prints the machine, the table and what was left out.
func (r *report) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nMedians of %d rounds (least – most).", r.Machine, r.Rounds)
	if r.Short {
		b.WriteString(" A short run: smaller sizes, so that starting and stopping weighs more than in a long one.")
	}
	b.WriteString("\n\n| what | figure | dlfs | compared with | ratio | goal | |\n|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		b.WriteString(row.String())
	}
	for i, line := range r.LeftOut {
		if i == 0 {
			b.WriteString("\nLeft out:\n\n")
		}
		fmt.Fprintf(&b, "- %s\n", line)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// String returns a line for each goal.
func (r *rowReport) String() string {
	if r.Failed != "" {
		return fmt.Sprintf("| %s | | | | | | **failed**: %s |\n", r.Name, inCell(r.Failed))
	}
	var b strings.Builder
	for _, g := range r.goals {
		v := g.judge(r.Figures)
		what := r.Name
		if g.of != "" {
			what += ": " + g.of
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", what, g.metric, strings.Join(v.cells(g), " | "))
	}
	return b.String()
}

// cells returns the columns from our figure to the judgement.
func (v verdict) cells(g goal) []string {
	if !v.measured {
		return []string{"", g.than, "", g.text(), "not measured"}
	}
	met := "met"
	switch {
	case !v.met:
		met = "**not met**"
	case g.text() == "":
		met = ""
	}
	if g.than == "" {
		return []string{v.ours.text(g.metric), "", "", g.text(), met}
	}
	return []string{v.ours.text(g.metric), g.than + " " + v.measure.text(g.metric), fmt.Sprintf("%.2f", v.ratio), g.text(), met}
}

// inCell returns s as one line that ends no cell.
func inCell(s string) string {
	return strings.NewReplacer("\n", " / ", "|", "\\|").Replace(strings.TrimSpace(s))
}

// failed is an error if a row has failed.
func (r *report) failed() error {
	failed := 0
	for _, row := range r.Rows {
		if row.Failed != "" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rows failed", failed, len(r.Rows))
	}
	return nil
}

// tableLines are the lines between which a document has a table: part is "" for the one of
// all rows.
func tableLines(part string) (begins, ends string) {
	return "<!-- dlfs-bench" + part + " -->\n", "<!-- /dlfs-bench" + part + " -->\n"
}

// put replaces the table of a document, between its two marks (tableLines). The
// document stays as it was if it lacks one of them.
func (r *report) put(path, part string) error {
	tableBegins, tableEnds := tableLines(part)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", path, strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	var table strings.Builder
	if err := r.print(&table); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+tableBegins+table.String()+tableEnds+after), 0o644)
}

// save writes all figures as JSON.
func (r *report) save(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
