package webhooks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestNumbersThatCrashTheValidator, in a payload, in a schema, and in a schema that another program
// registered.
func TestNumbersThatCrashTheValidator(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithCacheTTL(0))
	for _, number := range []string{"1e9999999", "1e-9999999", "-1E+9999999", strings.Repeat("9", 401)} {
		for _, payload := range []any{
			json.RawMessage(`{"origin_url":` + number + `}`),
			map[string]any{"origin_url": []any{json.Number(number)}},
		} {
			_, err := client.SendEvent(t.Context(), webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: payload})
			checkError(t, err, webhooks.ErrInvalidPayload)
		}
		for _, keyword := range []string{"maxLength", "multipleOf", "minimum", "const", "minItems"} {
			schema := `{"properties":{"n":{"` + keyword + `":` + number + `}}}`
			checkError(t, client.CreateEventType(t.Context(),
				webhooks.EventType{Name: "a.b", Schema: []byte(schema)}), webhooks.ErrInvalidSchema)
			foreignType(t, mock, schema)
			_, err := client.SendEvent(t.Context(),
				webhooks.Event{Type: "foreign.type", Payload: map[string]any{"n": 1}})
			checkError(t, err, webhooks.ErrInvalidSchema, "nothing was sent")
		}
	}
}

// foreignType makes the server have an event type with a schema that another program registered,
// and that not even the server has looked at.
func foreignType(t *testing.T, mock *svixmock.Server, schema string) {
	t.Helper()
	mock.FailRate(1, 1, svixmock.Fault{
		Status: http.StatusOK, Body: `{"name":"foreign.type","description":"","schemas":{"1":` + schema + `}}`,
		Only: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/foreign.type") },
	})
}

// TestSchemasOfOthersThatTakeTooLong are refused at each send.
func TestSchemasOfOthersThatTakeTooLong(t *testing.T) {
	t.Parallel()
	var definitions strings.Builder
	for i := range 40 {
		fmt.Fprintf(&definitions,
			`,"d%d":{"allOf":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]}`, i+1, i, i)
	}
	doubling := `{"definitions":{"d0":{"type":"object"}` + definitions.String() + `},"$ref":"#/definitions/d40"}`
	nested := `{"a":`
	failing := json.RawMessage(strings.Repeat(nested, 60) + "1" + strings.Repeat("}", 60))
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithCacheTTL(0))
	for name, test := range map[string]struct {
		schema  string
		refused bool // or else harmless
	}{
		"doubling references": {doubling, true},
		"recursion": {
			`{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}}}`, true,
		},
		"long repetitions": {`{"patternProperties":{"` + strings.Repeat("(x{1000})", 60) + `":{}}}`, false},
	} {
		foreignType(t, mock, test.schema)
		// Where nothing bounds it, this does not return.
		_, err := client.SendEvent(t.Context(), webhooks.Event{Type: "foreign.type", Payload: failing})
		if got := errors.Is(err, webhooks.ErrInvalidSchema) ||
			errors.Is(err, webhooks.ErrInvalidPayload); got != test.refused {
			t.Errorf("%s: got the error %v, want a refusal: %v", name, err, test.refused)
		}
	}
}

// TestSchemasOfOthersReachNoFile: a FIFO would block for ever.
func TestSchemasOfOthersReachNoFile(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithCacheTTL(0))
	for _, ref := range []string{
		"file://" + fifo, fifo, "go.mod", "./go.mod",
		"http://127.0.0.1:1/", "https://127.0.0.1:1/",
	} {
		for _, schema := range []string{
			`{"$ref":"` + ref + `"}`, `{"$schema":"` + ref + `","$ref":"` + ref + `"}`,
			`{"$id":"` + ref + `","properties":{"a":{"$ref":"x.json"}}}`,
		} {
			foreignType(t, mock, schema)
			_, errSend := client.SendEvent(t.Context(), webhooks.Event{Type: "foreign.type", Payload: map[string]any{}})
			checkError(t, errSend, webhooks.ErrInvalidSchema)
			errCreate := client.CreateEventType(t.Context(), webhooks.EventType{Name: "a.b", Schema: []byte(schema)})
			checkError(t, errCreate, webhooks.ErrInvalidSchema)
			for _, err := range []error{errSend, errCreate} {
				if strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "module") {
					t.Errorf("the error tells of a file: %v", err)
				}
			}
		}
	}
}

// TestEventTypesThatTheServerWouldRefuse are refused before any request: its application would be
// left behind.
func TestEventTypesThatTheServerWouldRefuse(t *testing.T) {
	t.Parallel()
	schema := json.RawMessage(`{"type":"object"}`)
	for name, tt := range map[string]struct {
		et   webhooks.EventType
		want error
	}{
		"long description": {
			webhooks.EventType{Name: "a.b", Description: strings.Repeat("d", 2<<20)},
			webhooks.ErrInvalidEventType,
		},
		"escaped to six bytes": {
			webhooks.EventType{Name: "a.b", Description: strings.Repeat("<", 400<<10)},
			webhooks.ErrInvalidEventType,
		},
		"NUL in description": {webhooks.EventType{Name: "a.b", Description: "a\x00"}, webhooks.ErrInvalidEventType},
		"backspace":          {webhooks.EventType{Name: "a.b", Description: "a\b"}, webhooks.ErrInvalidEventType},
		"description in Latin-1": {
			webhooks.EventType{Name: "a.b", Description: "caf\xe9"},
			webhooks.ErrInvalidEventType,
		},
		"a hyphen in front": {webhooks.EventType{Name: "-a.b"}, webhooks.ErrInvalidEventTypeName},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.et.Schema = schema
			err := offline(t).CreateEventType(t.Context(), tt.et)
			if !errors.Is(err, tt.want) || len(err.Error()) > 1000 {
				t.Errorf("got %.200v, want %v", err, tt.want)
			}
		})
	}
}

// TestEventTypesOfOthersWithAHyphenInFront can be used and deleted.
func TestEventTypesOfOthersWithAHyphenInFront(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	harness.RawPost(t, mock, "/event-type", `{"name":"-other.type","description":""}`)
	if _, err := client.GetEventType(t.Context(), "-other.type"); err != nil {
		t.Error(err)
	}
	if err := client.DeleteEventType(t.Context(), "-other.type"); err != nil {
		t.Error(err)
	}
}

// TestListingEventTypesWithHyphensInFront: the server takes the last name of a page of these for a
// way back.
func TestListingEventTypesWithHyphensInFront(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 249, 250, 251, 400, 800} {
		mock := harness.NewServer(t, svixmock.Config{})
		want := []string{"_odd.type", webhooks.TypeOriginCreate, webhooks.TypeOriginVisit}
		harness.RawPost(t, mock, "/event-type", `{"name":"_odd.type","description":""}`)
		for i := range n {
			name := fmt.Sprintf("-other.type-%03d", i)
			harness.RawPost(t, mock, "/event-type", `{"name":"`+name+`","description":""}`)
			want = append(want, name)
		}
		slices.Sort(want)
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		before := len(mock.Requests())
		var got []string
		for et, err := range client.ListEventTypes(t.Context()) {
			if err != nil {
				t.Fatalf("%d: %v", n, err)
			}
			got = append(got, et.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d names with a hyphen in front (-want +got):\n%s", n, diff)
		}
		if made, most := len(mock.Requests())-before, 3+n/250; made > most {
			t.Errorf("%d names with a hyphen in front: made %d requests, want at most %d", n, made, most)
		}
	}
}
