package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// timestamp is the form in which times are printed for programs; --before and --after understand
// it.
func timestamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// A pointInTime is an option that is a time or says how long ago it was.
type pointInTime struct{ at *time.Time }

// String, Set and Type make a pointInTime an option.
func (p pointInTime) String() string {
	if p.at == nil || p.at.IsZero() {
		return ""
	}
	return timestamp(*p.at)
}

// Set takes what parseTime does.
func (p pointInTime) Set(text string) (err error) {
	*p.at, err = parseTime(text, time.Now())
	return err
}

// Type is what the help calls the value.
func (p pointInTime) Type() string { return "TIME" }

// timeHelp explains the values of options that are times.
const timeHelp = `Times are RFC 3339 or ISO 8601 with an offset, such as 2026-11-23T21:00:00Z or
2026-11-23T22:00:00.123456+0100; or say how long ago: 90s, 2h, 7d, 2w; or are
"today", "yesterday" or a time of today such as 14:00, in local time.`

// parseTime understands what timeHelp says.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := parseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	year, month, day := now.Date()
	switch text {
	case "now":
		return now, nil
	case "today":
		return time.Date(year, month, day, 0, 0, 0, 0, now.Location()), nil
	case "yesterday":
		return time.Date(year, month, day-1, 0, 0, 0, 0, now.Location()), nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return time.Date(year, month, day, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(),
				now.Location()), nil
		}
	}
	return parseTimestamp(text)
}

// parseTimestamp reads a time of RFC 3339 in any precision, or one of ISO 8601 with the offset in
// its short form, as "date +%z" prints it.
func parseTimestamp(text string) (time.Time, error) {
	plain := strings.ToUpper(text) // RFC 3339 has t and z besides T and Z
	plain = strings.Replace(plain, " ", "T", 1)
	plain = strings.Replace(plain, " ", "", 1) // before the offset
	for _, clock := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		for _, offset := range []string{"Z07:00", "Z0700", "Z07"} {
			if at, err := time.Parse(clock+offset, plain); err == nil {
				return at, nil
			}
		}
		if _, err := time.Parse(clock, plain); err == nil {
			return time.Time{}, errNoZone
		}
	}
	if _, err := time.Parse(time.DateOnly, plain); err == nil {
		return time.Time{}, errNoZone
	}
	return time.Time{}, errors.New(`want a time such as 2026-11-23T21:00:00Z, how long ago it was, ` +
		`such as 90s, 2h or 7d, or "today", "yesterday" or 14:00`)
}

var errNoZone = errors.New("the time zone is missing, want a time such as 2026-11-23T21:00:00Z " +
	"or 2026-11-23T22:00:00+01:00")

var daysFirst = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,5})d)?(.*)$`)

// parseDuration understands weeks and days besides what time.ParseDuration does: 2w, 1d12h, 90s.
func parseDuration(text string) (time.Duration, error) {
	parts := daysFirst.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	weeks, _ := strconv.Atoi(parts[1]) // digits, or nothing
	days, _ := strconv.Atoi(parts[2])
	total := time.Duration(7*weeks+days) * 24 * time.Hour
	if parts[3] != "" || parts[1]+parts[2] == "" {
		rest, err := time.ParseDuration(parts[3])
		if err != nil || rest < 0 {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		total += rest
	}
	if total < 0 {
		return 0, fmt.Errorf("%q is longer than can be counted", text)
	}
	return total, nil
}

// tableTime is the form of times in tables: for people it is short and local, unless they want UTC;
// for programs it is that of timestamp.
func (s *settings) tableTime(w io.Writer, t time.Time) string {
	const short = "01-02 15:04:05" // the server forgets within a year
	switch {
	case !isTerminal(w):
		return timestamp(t)
	case s.utc:
		return t.UTC().Format(short + "Z")
	}
	return t.Local().Format(short)
}
