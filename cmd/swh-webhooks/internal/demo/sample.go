package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/testdata"
)

const (
	originCreate = "origin.create"
	originVisit  = "origin.visit"
)

// SampleEvents are the events that the archive would send for the sample origins and visits: each
// on the channel of its origin, as the journal client of the Python module does.
func SampleEvents() ([]webhooks.Event, error) {
	origins, err := decodeLines[origin](testdata.Origins)
	if err != nil {
		return nil, fmt.Errorf("sample origins: %w", err)
	}
	visits, err := decodeLines[visit](testdata.Visits)
	if err != nil {
		return nil, fmt.Errorf("sample visits: %w", err)
	}
	events := make([]webhooks.Event, 0, len(origins)+len(visits))
	for _, o := range origins {
		events = append(events, o.event())
	}
	for _, v := range visits {
		events = append(events, v.event())
	}
	return events, nil
}

func decodeLines[T any](lines []byte) ([]T, error) {
	var items []T
	for dec := json.NewDecoder(bytes.NewReader(lines)); ; {
		var item T
		err := dec.Decode(&item)
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", len(items)+1, err)
		}
		items = append(items, item)
	}
}

type origin struct {
	URL string `json:"url"`
}

func (o origin) event() webhooks.Event {
	return webhooks.Event{
		Type:    originCreate,
		Payload: webhooks.OriginCreate{OriginURL: o.URL},
		Channel: o.URL,
	}
}

type visit struct {
	Origin   string               `json:"origin"`
	Type     string               `json:"type"`
	Date     time.Time            `json:"date"`
	Status   webhooks.VisitStatus `json:"status"`
	Snapshot *string              `json:"snapshot"`
	Metadata json.RawMessage      `json:"metadata"`
}

// visitPayload is a payload of origin.visit with one member more than its schema names, which the
// schema allows: nested values in many scripts, to see that they arrive as they were sent.
type visitPayload struct {
	webhooks.OriginVisit

	Metadata json.RawMessage `json:"metadata"`
}

func (v visit) event() webhooks.Event {
	payload := webhooks.OriginVisit{
		OriginURL:   v.Origin,
		VisitType:   v.Type,
		VisitDate:   webhooks.NewVisitDate(v.Date),
		VisitStatus: v.Status,
	}
	if v.Snapshot != nil {
		swhid := "swh:1:snp:" + *v.Snapshot
		payload.SnapshotSWHID = &swhid
	}
	return webhooks.Event{
		Type:    originVisit,
		Payload: visitPayload{OriginVisit: payload, Metadata: v.Metadata},
		Channel: v.Origin,
	}
}

// A picker chooses events to show: of each type the first and then those on channels outside ASCII,
// [examples] in all.
type picker map[string]int // by event type

func (p picker) picks(ev webhooks.Event) bool {
	n := p[ev.Type]
	if n == examples || n > 0 && isASCII(ev.Channel) {
		return false
	}
	p[ev.Type]++
	return true
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}
