package main_test

import (
	"testing"
	"time"

	main "github.com/softwareheritage/webhooks/cmd/swh-webhooks"
)

func TestTimesOfOptions(t *testing.T) {
	t.Parallel()
	paris := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 23, 21, 30, 0, 0, paris)
	want := map[string]time.Time{
		"now":                        now,
		"90s":                        now.Add(-90 * time.Second),
		"2h":                         now.Add(-2 * time.Hour),
		"1d12h":                      now.Add(-36 * time.Hour),
		"2w":                         now.Add(-14 * 24 * time.Hour),
		"1w2d3h":                     now.Add(-(9*24 + 3) * time.Hour),
		"today":                      time.Date(2026, 11, 23, 0, 0, 0, 0, paris),
		"yesterday":                  time.Date(2026, 11, 22, 0, 0, 0, 0, paris),
		"14:00":                      time.Date(2026, 11, 23, 14, 0, 0, 0, paris),
		"14:00:30.5":                 time.Date(2026, 11, 23, 14, 0, 30, 5e8, paris),
		"2026-11-23T21:00:00Z":       time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC),
		"2026-11-23t21:00:00z":       time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC),
		"2026-11-23T22:00:00+01:00":  time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC),
		"2026-11-23T22:00:00.5+0100": time.Date(2026, 11, 23, 21, 0, 0, 5e8, time.UTC),
		"2026-11-23 22:00:00 +0100":  time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC),
		"2026-11-23T22:00+01":        time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC),
		"2026-11-23T16:00:00-0500":   time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC),
	}
	for text, at := range want {
		if got, err := main.ParseTime(text, now); err != nil || !got.Equal(at) {
			t.Errorf("%q is %v (%v), want %v", text, got, err, at)
		}
	}
	for _, text := range []string{
		"", "lately", "-2h", "2 h", "25:00", "2026-11-23", "2026-11-23T21:00:00", "2026-11-23 21:00",
		"2026-13-01T00:00:00Z", "9999w99999d", "99999d9999999h", "2d1w", "\x1b[31m", "today+1",
	} {
		if got, err := main.ParseTime(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// FuzzTimesOfOptions wants a time that is printed to be understood as the same.
func FuzzTimesOfOptions(f *testing.F) {
	for _, text := range []string{"2h", "2026-11-23T22:00:00.5+0100", "today", "14:00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := main.ParseTime(text, time.Date(2026, 11, 23, 21, 30, 0, 0, time.UTC))
		if err != nil || at.Year() < 1 || at.Year() > 9999 {
			return
		}
		at = at.Truncate(time.Microsecond)
		if again, err := main.ParseTime(main.Timestamp(at), time.Time{}); err != nil || !again.Equal(at) {
			t.Errorf("%q is %v, printed as %s, that is %v (%v)", text, at, main.Timestamp(at), again, err)
		}
	})
}
