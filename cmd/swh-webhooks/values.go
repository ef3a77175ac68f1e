package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A count is an option that is a whole number from 1 on.
type count struct{ n *int }

// String, Set and Type make a count an option.
func (c count) String() string {
	if c.n == nil || *c.n == 0 {
		return ""
	}
	return strconv.Itoa(*c.n)
}

// Set takes a number.
func (c count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("want a whole number from 1 on")
	}
	*c.n = n
	return nil
}

// Type is what the help calls the value.
func (c count) Type() string { return "N" }

// addLimit adds the option -l. A standard of 0 means no limit.
func addLimit(cmd *cobra.Command, limit *int, standard int) {
	*limit = standard
	cmd.Flags().VarP(count{limit}, "limit", "l", "at most `N`")
}

// A pairs is an option that can be repeated: keys and their values.
type pairs map[string]string

// String, Set and Type make pairs an option.
func (p pairs) String() string { return metadataText(p) }

// Set takes one pair. The value may contain anything.
func (p pairs) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return errors.New("want KEY=VALUE")
	}
	p[key] = value
	return nil
}

// Type is what the help calls the value.
func (p pairs) Type() string { return "KEY=VALUE" }

// A duration is an option that is a length of time, in the units of parseDuration.
type duration struct{ d *time.Duration }

// String, Set and Type make a duration an option.
func (d duration) String() string {
	if d.d == nil || *d.d == 0 {
		return ""
	}
	return d.d.String()
}

// Set takes a length of time.
func (d duration) Set(text string) error {
	parsed, err := parseDuration(text)
	if err != nil || parsed <= 0 {
		return errors.New("want a length of time such as 500ms, 30s or 2h")
	}
	*d.d = parsed
	return nil
}

// Type is what the help calls the value.
func (d duration) Type() string { return "DURATION" }
