package svixmock_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

func TestRequestLog(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{KeepRequests: 2})
	a.get("/app").expect(http.StatusOK, "")
	created := a.post("/app?get_if_exists=true", `{"name":"a"}`, "X-Test", "y").expect(http.StatusCreated, "")
	a.mock.FailNext(1, svixmock.Fault{Reset: true})
	if _, err := a.try(t.Context(), http.MethodDelete, "/api/v1/app/a%2Fb", nil); err == nil {
		t.Fatal("got an answer")
	}
	got := a.mock.Requests()
	if len(got) != 2 {
		t.Fatalf("got %d requests, want the newest 2", len(got))
	}
	first, second := got[0], got[1]
	if first.Method != http.MethodPost || first.Path != "/api/v1/app" ||
		first.RawQuery != "get_if_exists=true" ||
		string(first.Body) != `{"name":"a"}` ||
		first.Header.Get("X-Test") != "y" {
		t.Errorf("got request %+v", first)
	}
	if first.Status != http.StatusCreated || !bytes.Equal(first.Answer, created.body) ||
		first.AnswerHeader.Get("Content-Type") != "application/json" {
		t.Errorf("got answer %d %s %v", first.Status, first.Answer, first.AnswerHeader)
	}
	if second.Method != http.MethodDelete || second.Path != "/api/v1/app/a%2Fb" || second.Status != 0 ||
		second.Answer != nil {
		t.Errorf("got broken request %+v", second)
	}
}

func TestLogsAreOffByDefault(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example")
	app := a.app()
	a.endpoint(app, "https://receiver.example")
	a.message(app)
	a.delivered(1)
	if n := len(a.mock.Requests()) + len(a.mock.Deliveries()); n != 0 {
		t.Errorf("got %d entries, want none", n)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	clock := a.clock()
	a.post("/app", `{"name":"a","uid":"one"}`)
	two := a.app()
	clock.set(time.Second)
	a.post(two+"/msg", `{"eventType":"a.b","payload":{"b": 1, "a":2},"payloadRetentionPeriod":5}`)
	clock.set(2 * time.Second)
	a.post("/app/one/msg", `{"eventType":"c.d","payload":{},"eventId":"e","channels":["y","x"]}`)
	clock.set(5 * 24 * time.Hour)
	got := a.mock.Messages()
	for i := range got {
		if !strings.HasPrefix(got[i].ID, "msg_") || !strings.HasPrefix(got[i].AppID, "app_") {
			t.Errorf("got ids %s and %s", got[i].ID, got[i].AppID)
		}
		got[i].ID, got[i].AppID = "", ""
	}
	want := []svixmock.Message{
		{EventType: "a.b", Payload: []byte(`{"b": 1, "a":2}`), Timestamp: start.Add(time.Second)},
		{
			AppUID:    "one",
			EventID:   "e",
			EventType: "c.d",
			Channels:  []string{"x", "y"},
			Payload:   []byte(`{}`),
			Timestamp: start.Add(2 * time.Second),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	clock.set(5*24*time.Hour + time.Second)
	if got := a.mock.Messages()[0].Payload; got != nil {
		t.Errorf("got payload %s after its retention", got)
	}
}

func TestSeedAttempts(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	clock := a.clock()
	a.post("/app", `{"name":"a","uid":"app"}`)
	a.endpoint("/app/app", "https://receiver.example", `"uid":"ep"`)
	const n = 1000
	seed := svixmock.Seed{
		App: "app", Endpoint: "ep", EventType: "a.b", Channels: []string{"c"},
		Payload: func(i int) []byte { return fmt.Appendf(nil, `{"i":%d}`, i) },
		At:      func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) },
	}
	if err := a.mock.SeedAttempts(n, seed); err != nil {
		t.Fatal(err)
	}
	clock.set(n * time.Second)
	first := a.items("/app/app/attempt/endpoint/ep?limit=1&channel=c&event_types=a.b&status=0")[0]
	msg := jsonText(a.get("/app/app/msg/" + first["msgId"].(string)).field("payload"))
	if msg != `{"i":999}` || first["timestamp"] != "2026-01-01T00:16:39Z" ||
		first["url"] != "https://receiver.example/" {
		t.Errorf("got newest attempt %v of message %s", first, msg)
	}
	if got := len(a.mock.Messages()); got != n {
		t.Errorf("got %d messages, want %d", got, n)
	}
	for name, broken := range map[string]svixmock.Seed{
		"application": {App: "x", Endpoint: "ep"}, "endpoint": {App: "app", Endpoint: "x"},
	} {
		if err := a.mock.SeedAttempts(1, broken); err == nil ||
			!strings.Contains(err.Error(), "no "+name+" x") {
			t.Errorf("missing %s: got error %v", name, err)
		}
	}
	if err := a.mock.SeedAttempts(-1, seed); err == nil {
		t.Error("a negative number was accepted")
	}
}

// The log has neither tokens nor payloads.
func TestLogger(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	a := newMemoryAPI(t,
		svixmock.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil)), RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example", status(http.StatusTeapot))
	app := a.app()
	a.endpoint(app, "https://receiver.example/?key=hidden")
	a.post(app+"/msg", `{"eventType":"a.b","payload":{"p":"hidden"}}`)
	a.delivered(1)
	for _, want := range []string{`"path":"/api/v1/app"`, `"status":201`, `"msg":"delivery"`, `"status":418`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, log.String())
		}
	}
	for _, secret := range []string{a.mock.Token(), "hidden"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, log.String())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Everything at once, for the race detector: no message is lost, none delivered twice to an
// endpoint.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{KeepRequests: 10, KeepDeliveries: 10, RetrySchedule: []time.Duration{}})
	app := a.app()
	one, two := a.receiver("https://one.example"), a.receiver("https://two.example")
	first := a.endpoint(app, "https://one.example")
	a.endpoint(app, "https://two.example")
	const senders, each = 4, 20
	var running sync.WaitGroup
	for sender := range senders {
		running.Go(func() {
			for i := range each {
				a.post(app+"/msg", fmt.Sprintf(`{"eventType":"a.b","payload":{},"eventId":"%d-%d"}`, sender, i)).
					expect(http.StatusAccepted, "")
				a.get(app+"/msg?limit=2").expect(http.StatusOK, "")
				a.do(http.MethodPatch, app+"/endpoint/"+first, `{"description":"d"}`).expect(http.StatusOK, "")
				a.do(http.MethodPatch, app+"/endpoint/"+first+"/headers", `{"headers":{"X-A":"b"}}`).
					expect(http.StatusNoContent, "")
				a.post(app+"/endpoint/"+first+"/secret/rotate", `{"gracePeriodSeconds":0}`).
					expect(http.StatusNoContent, "")
				a.get(app+"/attempt/endpoint/"+first+"?limit=2").expect(http.StatusOK, "")
				a.mock.Requests()
				a.mock.Deliveries()
				a.mock.Messages()
			}
		})
	}
	running.Wait()
	a.delivered(2 * senders * each)
	for name, r := range map[string]*receiver{"one": one, "two": two} {
		seen := map[string]bool{}
		for _, d := range r.deliveries() {
			seen[d.header.Get("Webhook-Id")] = true
		}
		if len(seen) != senders*each || len(r.deliveries()) != senders*each {
			t.Errorf(
				"receiver %s got %d deliveries of %d messages, want %d",
				name,
				len(r.deliveries()),
				len(seen),
				senders*each,
			)
		}
	}
}

// Whatever JSON a payload is, what the API gives back is the same value in canonical text.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"b":1,"a":[true,null,-0.50e+07,1E5]}`, `{"a":1,"a":2}`,
		`{"k":"\ud83d\ude00\u2028\u001f\\\"\/"}`, `{"x":"\ud800"}`, ` { "é" : "ü" } `,
		`{"a":` + strings.Repeat("[", 130) + strings.Repeat("]", 130) + `}`,
	} {
		f.Add(seed)
	}
	mock := svixmock.New(svixmock.Config{NoIdempotency: true})
	f.Cleanup(mock.Close)
	p := plain{mock, &http.Client{Transport: mock.RoundTripper()}, "http://svix.example"}
	if _, err := p.send(f.Context(), http.MethodPost, "/api/v1/app", `{"name":"a","uid":"a"}`); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		got, err := p.send(t.Context(), http.MethodPost, "/api/v1/app/a/msg",
			`{"eventType":"a","payload":`+payload+`}`)
		if err != nil {
			t.Fatal(err)
		}
		var created struct {
			Payload json.RawMessage `json:"payload"`
		}
		if got.status != http.StatusAccepted {
			if json.Valid([]byte(payload)) && strings.HasPrefix(strings.TrimLeft(payload, " \t\r\n"), "{") &&
				!strings.Contains(payload, "\\u") &&
				isUTF8(payload) {
				t.Fatalf("%q was refused: %s", payload, got.body)
			}
			return
		}
		if err := json.Unmarshal([]byte(got.body), &created); err != nil {
			t.Fatal(err)
		}
		if string(created.Payload) == `{"expired":true}` || !json.Valid([]byte(payload)) {
			return // too deep, a lone surrogate, or text that closes the request's object itself
		}
		if diff := cmp.Diff(decodeNumbers(t, payload), decodeNumbers(t, string(created.Payload))); diff != "" {
			t.Errorf("%q came back as another value (-sent +got):\n%s", payload, diff)
		}
	})
}

func isUTF8(s string) bool { return strings.ToValidUTF8(s, "") == s }

// decodeNumbers decodes JSON with numbers as big as they are, in one spelling of their exponents.
func decodeNumbers(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return spellExponents(v)
}

func spellExponents(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = spellExponents(value)
		}
	case []any:
		for i, value := range v {
			v[i] = spellExponents(value)
		}
	case json.Number:
		mantissa, exponent, _ := strings.Cut(strings.ToLower(v.String()), "e")
		return mantissa + "e" + strings.TrimPrefix(exponent, "+")
	}
	return v
}
