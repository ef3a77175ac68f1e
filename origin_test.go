package webhooks_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
)

// The payload types write what the schemas name and nothing else, null included.
func TestPayloadRoundTrip(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		`{"origin_url":"u","visit_type":"git","visit_date":"2026-11-23T10:00:00.1234567+01:00",` +
			`"visit_status":"created","snapshot_swhid":null}`,
		`{"origin_url":"u","visit_type":"git","visit_date":"2026-11-23 ` +
			`10:00","visit_status":"partial","snapshot_swhid":"swh:1:snp:0"}`,
	} {
		var v webhooks.OriginVisit
		if err := (webhooks.Delivery{Payload: json.RawMessage(payload)}).Decode(&v); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(payload, string(got)); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
	}
}

func TestNewVisitDate(t *testing.T) {
	t.Parallel()
	paris := time.FixedZone("", 3600)
	for want, at := range map[webhooks.VisitDate]time.Time{
		"2026-11-23T10:00:00+00:00":        time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		"2026-11-23T09:00:00+00:00":        time.Date(2026, 11, 23, 10, 0, 0, 999, paris),
		"2026-11-23T10:00:00.120000+00:00": time.Date(2026, 11, 23, 10, 0, 0, 120_000_000, time.UTC),
		"2026-11-23T10:00:00.000001+00:00": time.Date(2026, 11, 23, 10, 0, 0, 1999, time.UTC),
		"0001-01-01T00:00:00+00:00":        {},
	} {
		if got := webhooks.NewVisitDate(at); got != want {
			t.Errorf("NewVisitDate(%v) = %q, want %q", at, got, want)
		}
		if got, err := want.Time(); err != nil || !got.Equal(at.Truncate(time.Microsecond)) {
			t.Errorf("%q.Time() = %v, %v; want %v", want, got, err, at)
		}
	}
}

func TestVisitDateTime(t *testing.T) {
	t.Parallel()
	tests := map[webhooks.VisitDate]struct {
		want time.Time
		ok   bool
	}{
		"2026-11-23T10:00:00Z":           {want: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), ok: true},
		"2026-11-23T10:00:00-03:30":      {want: time.Date(2026, 11, 23, 13, 30, 0, 0, time.UTC), ok: true},
		"2026-11-23T10:00:00.1234567Z":   {want: time.Date(2026, 11, 23, 10, 0, 0, 123_456_700, time.UTC), ok: true},
		"2026-11-23T10:00:00":            {want: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), ok: true},
		"2026-11-23T10:00:00.5":          {want: time.Date(2026, 11, 23, 10, 0, 0, 500_000_000, time.UTC), ok: true},
		"":                               {},
		"yesterday":                      {},
		"2026-02-30T10:00:00Z":           {},
		"2026-11-23":                     {},
		"Mon, 23 Nov 2026 10:00:00 GMT":  {},
		"2026-11-23T10:00:00Z and later": {},
	}
	for date, tt := range tests {
		got, err := date.Time()
		if (err == nil) != tt.ok || !got.Equal(tt.want) || err != nil && !errors.Is(err, webhooks.ErrInvalidPayload) {
			t.Errorf("%q.Time() = %v, %v; want %v, ok %v", date, got, err, tt.want, tt.ok)
		}
	}
}
