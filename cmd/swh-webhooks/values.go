package main

import (
	"errors"
	"fmt"
	"regexp"
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

// A pointInTime is an option that is a time or says how long ago it was.
type pointInTime struct{ at *time.Time }

// String, Set and Type make a pointInTime an option.
func (p pointInTime) String() string {
	if p.at == nil || p.at.IsZero() {
		return ""
	}
	return timestamp(*p.at)
}

// Set takes a time of RFC 3339 in any precision or a duration such as 2h or 7d.
func (p pointInTime) Set(text string) error {
	if ago, err := parseDuration(text); err == nil {
		*p.at = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err == nil {
		*p.at = at
		return nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if _, err := time.Parse(layout, text); err == nil {
			return errors.New("the time zone is missing, want a time such as 2026-11-23T21:00:00Z or 2026-11-23T22:00:00+01:00")
		}
	}
	return errors.New("want a time such as 2026-11-23T21:00:00Z, or how long ago, such as 90s, 2h or 7d")
}

// Type is what the help calls the value.
func (p pointInTime) Type() string { return "TIME" }

var daysFirst = regexp.MustCompile(`^(?:(\d{1,5})d)?(.*)$`)

// parseDuration understands days besides what time.ParseDuration does: 7d, 1d12h, 90s.
func parseDuration(text string) (time.Duration, error) {
	parts := daysFirst.FindStringSubmatch(text)
	days, _ := strconv.Atoi(parts[1]) // digits, or nothing
	total := time.Duration(days) * 24 * time.Hour
	if parts[2] == "" && parts[1] != "" {
		return total, nil
	}
	rest, err := time.ParseDuration(parts[2])
	if err != nil || rest < 0 {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	return total + rest, nil
}
