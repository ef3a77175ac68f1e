package serde_test

import (
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// These tests are about section 4.5 of the contract.

func TestDatesThatTheServerReads(t *testing.T) {
	t.Parallel()
	const layout = "2006-01-02T15:04:05.999999999Z"
	for text, want := range map[string]string{
		"2026-11-25T15:00:00Z":            "2026-11-25T15:00:00Z",
		"2026-11-25t15:00:00z":            "2026-11-25T15:00:00Z",
		"2026-11-25 15:00:00.123 UTC":     "2026-11-25T15:00:00.123Z",
		" 2026-11-25T15:00:00.5Z ":        "2026-11-25T15:00:00.5Z",
		"2026-1-1T0:0:0Z":                 "2026-01-01T00:00:00Z",
		"26-01-01T00:00:00Z":              "0026-01-01T00:00:00Z",
		"+12026-01-01T00:00:00Z":          "12026-01-01T00:00:00Z",
		"2026-01-01T00:00:60Z":            "2026-01-01T00:01:00Z",
		"2026-01-01T00:00:00.1234567891Z": "2026-01-01T00:00:00.123456789Z",
		"2026-01-01T02:00:00+01:00":       "2026-01-01T01:00:00Z",
		"2026-01-01T02:00:00+0130":        "2026-01-01T00:30:00Z",
		"2026-01-01T02:00:00+01 00":       "2026-01-01T01:00:00Z",
		"2026-01-01T02:00:00\u221201:00":  "2026-01-01T03:00:00Z",
		"2026-01-01T02:00:00-23:59":       "2026-01-02T01:59:00Z",
		"2026-01-01T00 : 00 : 00 Utc":     "2026-01-01T00:00:00Z",
		"2026 - 01 - 01 \t00:00:00Z":      "2026-01-01T00:00:00Z",
		"2024-02-29T00:00:00Z":            "2024-02-29T00:00:00Z",
	} {
		got, err := serde.ParseDate(text)
		if err != nil || got.Format(layout) != want {
			t.Errorf("%q: got %s and error %v, want %s", text, got.Format(layout), err, want)
		}
	}
	if got, err := serde.ParseDate("-2026-01-01T00:00:00Z"); err != nil || got.Year() != -2026 {
		t.Errorf("got %v and error %v, want the year -2026", got, err)
	}
	if got, err := serde.ParseDate("2026-11-25T15:00:00Z"); err != nil || got.Location() != time.UTC {
		t.Errorf("got %v and error %v, want UTC", got, err)
	}
}

func TestDatesThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	const short, long = "premature end of input", "trailing input"
	const invalid, outside = "input contains invalid characters", "input is out of range"
	for text, want := range map[string]string{
		"": short, "2026": short, "2026-11-25": short, "2026-11-25T15:00:00": short,
		"2026-11-25T15:00Z": invalid, "2026-11-25T15:00": short,
		"x": invalid, "2026-11-25_15:00:00Z": invalid, "2026-11-2515:00:00Z": invalid, "2026-11-25T15:00:00," +
			"5Z": invalid, "2026-11-25T15:00:00.Z": invalid,
		"2026-11-25T15:00:00+1:00": invalid, "2026-11-25T15:00:00+01": short,
		"2026-11-25T15:00:00GMT": invalid, "12026-01-01T00:00:00Z": invalid,
		"2026-11-25T24:00:00Z": outside, "2026-11-25T15:00:61Z": outside, "2026-13-01T00:00:00Z": outside,
		"2026-00-01T00:00:00Z": outside,
		"2026-02-30T00:00:00Z": outside, "2026-001-01T00:00:00Z": outside,
		"2026-11-25T15:00:00+25:00": outside, "2026-11-25T15:00:00+01:60": outside,
		"2026-11-25T15:00:00ZZ": long, "2026-11-25T15:00:00+01:000": long,
		"+99999999999999999999-01-01T00:00:00Z": outside,
	} {
		if got, err := serde.ParseDate(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v and error %v, want the error %s", text, got, err, want)
		}
	}
}
