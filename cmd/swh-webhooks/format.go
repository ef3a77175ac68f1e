package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// A format is how a command prints its data.
type format string

const (
	formatText  format = "text"
	formatJSON  format = "json"  // indented, several items in an array
	formatJSONL format = "jsonl" // one line for each item
)

// String, Set and Type make a format an option.
func (f *format) String() string { return string(*f) }

// Set takes one of the formats.
func (f *format) Set(text string) error {
	switch format(text) {
	case formatText, formatJSON, formatJSONL:
		*f = format(text)
		return nil
	}
	return errors.New("want text, json or jsonl")
}

// Type is what the help calls the value.
func (f *format) Type() string { return "FORMAT" }

// addFormat adds the option -o to a command. The format given is the default.
func addFormat(cmd *cobra.Command, f *format) {
	cmd.Flags().VarP(f, "output", "o", "text, json or jsonl (one line for each item)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions( // fails only without option
		[]cobra.Completion{string(formatText), string(formatJSON), string(formatJSONL)},
		cobra.ShellCompDirectiveNoFileComp))
}

// print prints one value in JSON. The text format has no form for values of any kind.
func (f *format) print(w io.Writer, value any) error {
	if *f == formatJSONL {
		return printJSONLine(w, value)
	}
	return printJSON(w, value)
}

// A jsonList prints items one after the other.
type jsonList interface {
	add(item any) error
	// close ends the list. Without it the text of an array is no JSON, which tells a reader that
	// the list is not complete.
	close() error
}

func (f *format) newList(w io.Writer) jsonList {
	if *f == formatJSONL {
		return jsonLines{w}
	}
	return newJSONArray(w)
}
