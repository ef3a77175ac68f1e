package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	main "github.com/softwareheritage/webhooks/cmd/swh-webhooks"
	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/eventtext"
)

// FuzzBatchLines: whatever the lines are, the record of one that failed is one line that is not too
// long to be read; read again it has the same id, and is the same event if it was one.
func FuzzBatchLines(f *testing.F) {
	for _, text := range []string{
		`{"type": "origin.create", "channel": "c", "payload": {"origin_url": "https://a.org"}}`,
		`{"type": "a.b", "id": "x", "payload": {"n": 9007199254740993}}` + "\n\nnot JSON\n",
		`{"id": "i", "line": 3, "error": "e", "text": "{\"type\":\"a.b\",\"payload\":{}}"}`,
		`{"id": "i", "line": 3, "error": "e", "type": "a.b", "payload": {"<&>": "\u2028"}}`,
		`{"id": "i", "line": 3, "error": "e", "text": "{\"text\": \"not JSON\"}"}`,
		"\ufeff{\"type\":\"a.b\",\"channel\":\"caf\xe9\",\"payload\":{}}\r\n\x1b[31m\x00",
	} {
		f.Add([]byte(text))
	}
	why := errors.New(strings.Repeat("the server\n\x1b[31m says no ", 1000))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := main.BatchLines(bytes.NewReader(text), why)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			checkRecord(t, line, why)
		}
	})
}

func checkRecord(t *testing.T, line main.BatchLine, why error) {
	t.Helper()
	record := line.Record
	if bytes.Count(record, []byte("\n")) != 1 || len(record) > eventtext.MaxLine || !utf8.Valid(record) {
		t.Fatalf("the record %q", record)
	}
	if line.Event.ID == "" {
		t.Errorf("no id: %q", record)
	}
	again, err := main.BatchLines(bytes.NewReader(record), why)
	if err != nil || len(again) != 1 {
		t.Fatalf("the record %q is read as %d lines, error %v", record, len(again), err)
	}
	got, want := again[0].Event, line.Event
	if got.ID != want.ID {
		t.Errorf("the id %q became %q", want.ID, got.ID)
	}
	if line.Err != nil {
		if again[0].Err == nil {
			t.Errorf("%q is an event, though the line was none: %v", record, line.Err)
		}
		return
	}
	if again[0].Err != nil || got.Type != want.Type || got.Channel != want.Channel ||
		!bytes.Equal(canonicalPayload(t, got.Payload), canonicalPayload(t, want.Payload)) {
		t.Errorf("%+v became %+v, %v", want, got, again[0].Err)
	}
}

func canonicalPayload(t *testing.T, payload any) []byte {
	t.Helper()
	raw, _ := payload.(json.RawMessage)
	tree, err := canonical.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return canonical.Append(nil, tree)
}
