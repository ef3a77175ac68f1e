package demo

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	good = "✓"
	bad  = "✗"

	// What makes a terminal change its colour.
	bold   = "\x1b[1m"
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	normal = "\x1b[0m"
)

// printer writes for people. The first error in writing ends all writing.
type printer struct {
	out   io.Writer
	color bool
	err   error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

func (p *printer) paint(color, text string) string {
	if !p.color {
		return text
	}
	return color + text + normal
}

func (p *printer) title(text string) { p.printf("%s\n", p.paint(bold, text)) }

func (p *printer) heading(text string) { p.printf("\n%s\n", p.paint(bold, text)) }

func (p *printer) blank() { p.printf("\n") }

func (p *printer) line(format string, args ...any) { p.printf("   "+format+"\n", args...) }

// mark prints a result with what to think of it.
func (p *printer) mark(ok bool, format string, args ...any) {
	sign := p.paint(green, good)
	if !ok {
		sign = p.paint(red, bad)
	}
	p.printf(" %s %s\n", sign, fmt.Sprintf(format, args...))
}

// table aligns the columns of rows. The last one is as long as it likes.
func (p *printer) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row[:len(row)-1] {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		p.printf("     %s%s\n", line.String(), row[len(row)-1])
	}
}

// shorten cuts a text to what fits beside others.
func shorten(text string) string {
	const most = 60 // characters
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
