package journal

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/softwareheritage/webhooks/internal/foreign"
)

// A date is an instant of the years 1 to 9999 in the zone that it was written with, to the
// microsecond.
type date struct{ time time.Time }

// newDate cuts t to microseconds.
func newDate(t time.Time) (date, error) {
	if year := t.Year(); year < 1 || year > 9999 {
		return date{}, errors.New("outside the years 1 to 9999")
	}
	return date{t.Add(-time.Duration(t.Nanosecond() % int(time.Microsecond)))}, nil
}

// microseconds returns those since 1970, in decimal.
func (d date) microseconds() string { return strconv.FormatInt(d.time.UnixMicro(), 10) }

// String returns the text of Python's isoformat: no fraction or six digits of it, the offset as
// ±HH:MM, with seconds only if it has some.
func (d date) String() string {
	layout := "2006-01-02T15:04:05"
	if d.time.Nanosecond() != 0 {
		layout += ".000000"
	}
	if _, offset := d.time.Zone(); offset%60 != 0 {
		return d.time.Format(layout + "-07:00:00")
	}
	return d.time.Format(layout + "-07:00")
}

var isoDate = regexp.MustCompile(
	`^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):?(\d\d)(?::?(\d\d))?)$`)

// parseDate reads a date of ISO 8601 with a zone.
func parseDate(text string) (date, error) {
	m := isoDate.FindStringSubmatch(text)
	if m == nil {
		return date{}, fmt.Errorf("%s is not a date with a zone", foreign.Quote(text))
	}
	zone, err := parseOffset(m[4], m[5:])
	if err != nil {
		return date{}, err
	}
	t, err := time.ParseInLocation("2006-01-02 15:04:05", m[1]+" "+m[2]+m[3], zone)
	if err != nil {
		return date{}, fmt.Errorf("%s is not a date", foreign.Quote(text))
	}
	return newDate(t)
}

// parseOffset returns the zone that is hours, minutes and seconds away from UTC; empty texts are 0.
func parseOffset(sign string, parts []string) (*time.Location, error) {
	seconds := 0
	for _, part := range parts {
		n, _ := strconv.Atoi(part)
		seconds = seconds*60 + n
	}
	if seconds == 0 {
		return time.UTC, nil
	}
	if seconds >= 24*60*60 {
		return nil, errors.New("an offset of a day or more")
	}
	if sign == "-" {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), nil
}
