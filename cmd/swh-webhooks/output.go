package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks/internal/foreign"
)

// confirm says that a command has done its work.
func confirm(cmd *cobra.Command, text string, args ...any) error {
	done := foreign.Printable(fmt.Sprintf(text, args...))
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
func indented(text string) string {
	const margin = "  "
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
		lines[i] = foreign.Printable(strings.TrimRight(line, "\r"))
	}
	return strings.Join(lines, "\n")
}
