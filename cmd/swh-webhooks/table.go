package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rivo/uniseg"
)

// A column of a table has a title and says what becomes of it if the terminal is narrow.
type column struct {
	title string
	// least is how narrow the column may become; 0: it is not cut.
	least int
	// spare columns are left out, the first ones first, before any is cut.
	spare bool
}

const columnGap = 2

// printTable prints rows in columns, below their titles, so that no line is wider than the
// terminal. Cells that are too wide are cut; columns without any text are left out.
func printTable(w io.Writer, columns []column, rows [][]string) error {
	t := table{columns: slices.Clone(columns), rows: make([][]string, len(rows))}
	for i, row := range rows {
		t.rows[i] = slices.Clone(row)
	}
	t.removeEmpty()
	t.fit(terminalWidth(w))
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintln(out, bold(w, t.line(titles)))
	for _, row := range t.rows {
		_, _ = fmt.Fprintln(out, t.line(row))
	}
	return out.Flush()
}

type table struct {
	columns []column
	rows    [][]string
	widths  []int
}

func (t *table) removeEmpty() {
	for i := range slices.Backward(t.columns) {
		if !slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "" }) {
			t.remove(i)
		}
	}
}

func (t *table) remove(i int) {
	t.columns = slices.Delete(t.columns, i, i+1)
	for r := range t.rows {
		t.rows[r] = slices.Delete(t.rows[r], i, i+1)
	}
}

// fit makes the table no wider than limit, if that is not 0: it leaves out spare columns, then
// makes the widest of those narrower that may be cut.
func (t *table) fit(limit int) {
	t.measure()
	if limit == 0 {
		return
	}
	for t.width() > limit {
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.spare })
		if i < 0 {
			break
		}
		t.remove(i)
		t.measure()
	}
	for t.width() > limit {
		widest := -1
		for i, c := range t.columns {
			if c.least > 0 && t.widths[i] > c.least && (widest < 0 || t.widths[i] > t.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		t.widths[widest]--
	}
}

func (t *table) measure() {
	t.widths = make([]int, len(t.columns))
	for i, c := range t.columns {
		t.widths[i] = uniseg.StringWidth(c.title)
		for _, row := range t.rows {
			t.widths[i] = max(t.widths[i], uniseg.StringWidth(row[i]))
		}
	}
}

func (t *table) width() int {
	width := -columnGap
	for _, w := range t.widths {
		width += w + columnGap
	}
	return width
}

func (t *table) line(cells []string) string {
	var line strings.Builder
	for i, cell := range cells {
		cell = cut(cell, t.widths[i])
		padding := t.widths[i] - uniseg.StringWidth(cell) + columnGap
		line.WriteString(cell + strings.Repeat(" ", padding))
	}
	return strings.TrimRight(line.String(), " ")
}

// cut makes a text no wider than width, and shows that it did.
func cut(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	var kept strings.Builder
	left, state := width-1, -1 // 1 for the dots
	for text != "" {
		var cluster string
		var wide int
		cluster, text, wide, state = uniseg.FirstGraphemeClusterInString(text, state)
		if left -= wide; left < 0 {
			break
		}
		kept.WriteString(cluster)
	}
	return kept.String() + "…"
}

// printRow prints one row of a table whose others are not known yet.
func printRow(w io.Writer, columns []column, row []string) error {
	t := table{columns: slices.Clone(columns), rows: [][]string{slices.Clone(row)}}
	for i := range t.columns {
		t.columns[i].title = "" // only the row counts
	}
	t.removeEmpty()
	t.fit(terminalWidth(w))
	return printLine(w, t.line(t.rows[0]))
}
