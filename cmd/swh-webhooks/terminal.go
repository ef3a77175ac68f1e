package main

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// isTerminal tells whether people read what is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func bold(w io.Writer, text string) string { return coloured(w, "1", text) }
func red(w io.Writer, text string) string  { return coloured(w, "1;31", text) }

// wantsColor reports whether colours are of use: on a terminal that knows them, whose user did not
// set NO_COLOR.
func wantsColor(out io.Writer) bool {
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func coloured(w io.Writer, code, text string) string {
	if !wantsColor(w) {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// terminalWidth is how many columns there are for a line; 0 if there is no end to them.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return 0
	}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		return columns
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
