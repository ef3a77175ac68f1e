package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A format is how a command prints its data.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
)

// String, Set and Type make a format an option.
func (f *format) String() string { return string(*f) }

// Set takes one of the formats.
func (f *format) Set(text string) error {
	switch format(text) {
	case formatText, formatJSON:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("want %s or %s", formatText, formatJSON)
}

// Type is what the help calls the value.
func (f *format) Type() string { return "FORMAT" }

// addFormat adds the option -o to a command. The format given is the default.
func addFormat(cmd *cobra.Command, f *format) {
	cmd.Flags().VarP(f, "output", "o", "text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]cobra.Completion{string(formatText), string(formatJSON)},
		cobra.ShellCompDirectiveNoFileComp)) // fails only for an option that is not there
}

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

// confirm says that a command has done its work.
func confirm(cmd *cobra.Command, text string, args ...any) error {
	done := printable(fmt.Sprintf(text, args...))
	return unprinted(done, printLine(cmd.OutOrStdout(), done))
}

// unprinted adds to an error of printing what was done before it.
func unprinted(done string, err error) error {
	if err == nil {
		return nil
	}
	return namedError{done + "; but that cannot be printed: " + inOneLine(err), err}
}

func printLine(w io.Writer, text string) error {
	_, err := fmt.Fprintln(w, text)
	return err
}

// indented returns a text with each line moved to the right.
func indented(text string, by int) string {
	margin := strings.Repeat(" ", by)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = margin + line
	}
	return strings.Join(lines, "\n")
}

// printableLines is printable for texts of several lines.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = printable(strings.TrimRight(line, "\r"))
	}
	return strings.Join(lines, "\n")
}

// printJSON prints a value in several lines.
func printJSON(w io.Writer, value any) error {
	text, err := appendJSON(nil, value, "")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

const jsonIndent = "    "

// appendJSON encodes a value as the Python module does: indented by 4, everything but ASCII
// escaped.
func appendJSON(dst []byte, value any, prefix string) ([]byte, error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, bytes.TrimSpace(plain.Bytes()), prefix, jsonIndent); err != nil {
		return nil, err
	}
	return appendASCII(dst, pretty.Bytes()), nil
}

// appendASCII escapes what is not ASCII in a JSON text, where it occurs in strings only. DEL is
// ASCII to terminals too.
func appendASCII(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch text = text[size:]; {
		case r < 0x7f:
			dst = append(dst, byte(r)) //nolint:gosec // ASCII
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return dst
}

// A jsonArray prints an array whose items come one after the other. Before the first item it prints
// nothing, so that nothing is printed if there is an error instead.
type jsonArray struct {
	w     *bufio.Writer
	items int
}

func newJSONArray(w io.Writer) *jsonArray { return &jsonArray{w: bufio.NewWriter(w)} }

func (a *jsonArray) add(item any) error {
	text := []byte("[\n" + jsonIndent)
	if a.items > 0 {
		text = []byte(",\n" + jsonIndent)
	}
	a.items++
	text, err := appendJSON(text, item, jsonIndent)
	if err != nil {
		return err
	}
	_, err = a.w.Write(text)
	return err
}

// close ends the array. Without it the text is no JSON, which tells a reader that the list is not
// complete.
func (a *jsonArray) close() error {
	end := "\n]\n"
	if a.items == 0 {
		end = "[]\n"
	}
	if _, err := a.w.WriteString(end); err != nil {
		return err
	}
	return a.w.Flush()
}

// printTable prints rows in columns, below a header.
func printTable(w io.Writer, header []string, rows [][]string) error {
	width := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintln(out, bold(w, tableLine(header, width)))
	for _, row := range rows {
		_, _ = fmt.Fprintln(out, tableLine(row, width))
	}
	return out.Flush()
}

func tableLine(cells []string, width []int) string {
	var line strings.Builder
	for i, cell := range cells {
		line.WriteString(cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
	}
	return strings.TrimRight(line.String(), " ")
}
