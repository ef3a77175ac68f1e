package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestSendEventsTakesAnyConcurrency, also one that no memory could hold.
func TestSendEventsTakesAnyConcurrency(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	events := slices.Repeat([]webhooks.Event{harness.KnownEvent()}, 3)
	for _, concurrency := range []int{math.MinInt, -1, 0, math.MaxInt32, math.MaxInt} {
		results := 0
		for result := range client.SendEvents(t.Context(), slices.Values(events), concurrency) {
			if results++; result.Err != nil || result.Message.IsZero() {
				t.Errorf("concurrency %d: got %v, %v", concurrency, result.Message, result.Err)
			}
		}
		if results != len(events) {
			t.Errorf("concurrency %d: got %d results, want %d", concurrency, results, len(events))
		}
	}
}

// TestListenersBeyondTheCache: of an event type with more channels than are remembered no event is
// dropped, also where a question of others is joined.
func TestListenersBeyondTheCache(t *testing.T) {
	t.Parallel()
	const wanted, others, remembered = "https://git.example.org/wanted", 5, 1 << 16
	var channels strings.Builder
	for i := range remembered + 1 {
		fmt.Fprintf(&channels, `"channel-%d",`, i)
	}
	endpoints := fmt.Sprintf(`{"data":[{"id":"ep_1","channels":[%s%q]}],"done":true}`,
		channels.String(), identity.Channel(wanted))
	server := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		body := `{"id":"msg_1","name":"origin.create"}`
		if strings.HasSuffix(r.URL.Path, "/endpoint") {
			time.Sleep(time.Second) // all wait for the same answer
			body = endpoints
		}
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	})
	harness.InBubble(t, func(t *testing.T) {
		client := harness.NewClient(t, server, "token")
		send := func(channel string) webhooks.Message {
			message, err := client.SendEvent(t.Context(),
				webhooks.Event{Type: webhooks.TypeOriginCreate, Channel: channel, Payload: webhooks.OriginCreate{}})
			if err != nil {
				t.Error(err)
			}
			return message
		}
		var running sync.WaitGroup
		for i := range others {
			running.Go(func() {
				if message := send(fmt.Sprint("nobody listens to ", i)); !message.IsZero() {
					t.Errorf("an event that nobody listens to became the message %v", message)
				}
			})
		}
		time.Sleep(500 * time.Millisecond) // by then they wait for the endpoints
		if send(wanted).IsZero() {
			t.Error("an event was dropped although an endpoint listens to its channel")
		}
		running.Wait()
	})
}

func TestRetentionPeriodIsThatOfTheConfiguration(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
		webhooks.WithConfig(webhooks.Config{EventRetentionPeriod: 30}))
	if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
		t.Fatal(err)
	}
	requests := mock.Requests()
	var body struct {
		PayloadRetentionPeriod int `json:"payloadRetentionPeriod"`
	}
	if err := json.Unmarshal(requests[len(requests)-1].Body, &body); err != nil || body.PayloadRetentionPeriod != 30 {
		t.Errorf("got a retention of %d days (%v), want 30", body.PayloadRetentionPeriod, err)
	}
}

// TestEventIsNeverDroppedWhileSomebodyListens: only that somebody listens is remembered, for the
// cache's time, on the channels that were seen.
func TestEventIsNeverDroppedWhileSomebodyListens(t *testing.T) {
	t.Parallel()
	const perSend = 3 // event type, listeners, message
	tests := map[string]struct {
		opts []webhooks.Option
		wait time.Duration // between two sends
		want []int         // requests of each send
	}{
		"within 30 s": {nil, 7 * time.Second, []int{perSend, 1, 1, 1, 1, perSend, 1}},
		"one second": {
			[]webhooks.Option{webhooks.WithCacheTTL(time.Second)},
			600 * time.Millisecond,
			[]int{perSend, 1, perSend, 1},
		},
		"none": {[]webhooks.Option{webhooks.WithCacheTTL(0)}, 0, []int{perSend, perSend, perSend}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), tt.opts...)
				var got []int
				for range tt.want {
					before := len(mock.Requests())
					if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
						t.Fatal(err)
					}
					got = append(got, len(mock.Requests())-before)
					time.Sleep(tt.wait)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestChangesOfOthersAreSeen are seen within the cache's time.
func TestChangesOfOthersAreSeen(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client, other := harness.NewClient(t, mock.RoundTripper(), mock.Token()),
			harness.NewClient(t, mock.RoundTripper(), mock.Token())
		send := func() (webhooks.Message, error) { return client.SendEvent(t.Context(), harness.KnownEvent()) }
		if _, err := send(); err != nil {
			t.Fatal(err)
		}
		if err := other.SetEndpointDisabled(t.Context(), harness.KnownEndpoint(), true); err != nil {
			t.Fatal(err)
		}
		if message, err := send(); err != nil || message.IsZero() {
			t.Errorf("at once: got %v, %v; want a message: the cache is still used", message, err)
		}
		time.Sleep(31 * time.Second)
		if message, err := send(); err != nil || !message.IsZero() {
			t.Errorf("31 s after the endpoint was disabled: got %v, %v; want the zero Message", message, err)
		}
		if err := other.DeleteEventType(t.Context(), webhooks.TypeOriginCreate); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		_, err := send()
		checkError(t, err, webhooks.ErrEventTypeArchived)
		// An archived type is not remembered as such.
		if err := other.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := send(); err != nil {
			t.Errorf("revived: %v", err)
		}
	})
}

// TestSendEvents: what the sequence promises .
func TestSendEvents(t *testing.T) {
	t.Parallel()
	t.Run("results in input order, also failures", func(t *testing.T) {
		t.Parallel()
		harness.InBubble(t, func(t *testing.T) {
			mock := harness.NewServer(t, svixmock.Config{})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			for _, concurrency := range []int{-1, 0, 1, 7, 1000} {
				stored := len(mock.Messages())
				i := 0
				for result := range client.SendEvents(t.Context(), withOneBadEvent(100), concurrency) {
					if diff := cmp.Diff(harness.NumberedEvent(i, false), result.Event,
						cmpopts.IgnoreFields(webhooks.Event{}, "Payload")); diff != "" {
						t.Errorf("result %d is of another event:\n%s", i, diff)
					}
					if bad := i == 50; errors.Is(result.Err, webhooks.ErrInvalidPayload) != bad ||
						result.Message.IsZero() != bad {
						t.Errorf("event %d: got %v, %v", i, result.Message, result.Err)
					}
					i++
				}
				if got := len(mock.Messages()) - stored; i != 100 || got != 99 {
					t.Errorf("concurrency %d: got %d results and %d messages, want 100 and 99", concurrency, i, got)
				}
			}
		})
	})
	t.Run("no more in flight than allowed", func(t *testing.T) {
		t.Parallel()
		harness.InBubble(t, func(t *testing.T) {
			mock := harness.NewServer(t, svixmock.Config{})
			mock.FailRate(1, 1, svixmock.Fault{Delay: time.Second, Only: harness.IsPost})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			for concurrency, want := range map[int]time.Duration{
				0: 20 * time.Second,
				1: 20 * time.Second, 5: 4 * time.Second, 20: time.Second,
			} {
				start := time.Now()
				for result := range client.SendEvents(t.Context(), harness.NumberedEvents(20, false), concurrency) {
					if result.Err != nil {
						t.Error(result.Err)
					}
				}
				if took := time.Since(start); took != want {
					t.Errorf("concurrency %d: took %v, want %v", concurrency, took, want)
				}
			}
		})
	})
	t.Run("a slow consumer slows the input down", func(t *testing.T) {
		t.Parallel()
		harness.InBubble(t, func(t *testing.T) {
			mock := harness.NewServer(t, svixmock.Config{})
			taken, results := 0, 0
			endless := func(yield func(webhooks.Event) bool) {
				for yield(harness.NumberedEvent(taken, false)) {
					taken++
				}
			}
			for range harness.NewClient(t, mock.RoundTripper(), mock.Token()).SendEvents(t.Context(), endless, 4) {
				time.Sleep(time.Second)
				if results++; results == 10 {
					break
				}
			}
			if taken > results+4 {
				t.Errorf("took %d events for %d results, want at most 4 more", taken, results)
			}
		})
	})
	t.Run("a result for every event taken, after a cancellation", func(t *testing.T) {
		t.Parallel()
		harness.InBubble(t, func(t *testing.T) {
			mock := harness.NewServer(t, svixmock.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			const answered = 20 // the requests of later events hang
			client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				if n, ok := eventNumber(t, r); ok && n >= answered {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return mock.RoundTripper().RoundTrip(r)
			}), mock.Token())
			taken, results, cancelled := 0, 0, 0
			events := func(yield func(webhooks.Event) bool) {
				for event := range harness.NumberedEvents(1000, true) {
					taken++
					if !yield(event) {
						return
					}
				}
			}
			for result := range client.SendEvents(ctx, events, 8) {
				if errors.Is(result.Err, context.Canceled) {
					cancelled++
				}
				if results++; results == answered {
					time.Sleep(time.Second) // until as many hang as may be in flight
					cancel()
				}
			}
			if taken != results || taken > answered+8 || cancelled == 0 {
				t.Errorf("took %d events for %d results, %d of them cancelled; want as many results, "+
					"few and some cancelled", taken, results, cancelled)
			}
		})
	})
}

// eventNumber is the number of the event of [harness.NumberedEvent] that a request sends, if it
// does.
func eventNumber(t *testing.T, r *http.Request) (int, bool) {
	t.Helper()
	if !strings.HasSuffix(r.URL.Path, "/msg") || r.GetBody == nil {
		return 0, false
	}
	body, err := r.GetBody()
	if err != nil {
		t.Error(err)
		return 0, false
	}
	var message struct {
		EventID string `json:"eventId"`
	}
	if err := json.NewDecoder(body).Decode(&message); err != nil {
		t.Error(err)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(message.EventID, "journal-1-"))
	return n, err == nil
}

// withOneBadEvent are numbered events; the payload of the 51st does not fit.
func withOneBadEvent(n int) func(yield func(webhooks.Event) bool) {
	return func(yield func(webhooks.Event) bool) {
		i := 0
		for event := range harness.NumberedEvents(n, false) {
			if i == 50 {
				event.Payload = struct{}{}
			}
			if i++; !yield(event) {
				return
			}
		}
	}
}

// TestPayloadsAreKeptToTheDigit: what is sent, stored, delivered and listed is what was given, and
// what another program stored is read as it is.
func TestPayloadsAreKeptToTheDigit(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		schema := `{"properties":{"n":{"maximum":123456789012345678901234567890,"type":"number"}},"type":"object"}`
		if err := client.CreateEventType(t.Context(),
			webhooks.EventType{Name: webhooks.TypeOriginCreate, Schema: json.RawMessage(schema)}); err != nil {
			t.Fatal(err)
		}
		want := `{"<&>":"\u2028é/","B":1.10,"a":[9007199254740993,1e400,-0.0,1.0],"n":12345678901234567890123}`
		tests := map[string]any{
			"text": json.RawMessage(want),
			"text, ugly": json.RawMessage(`{ "n" : 12345678901234567890123, ` +
				`"a":[9007199254740993,1e400,-0.0,1.0] , "B":1.10,"\u003c\u0026\u003e":"\u2028\u00e9\/"}`),
			"numbers of Go": map[string]any{
				"n": json.Number("12345678901234567890123"),
				"a": []any{uint64(9007199254740993), json.Number("1e400"), json.Number("-0.0"), json.Number("1.0")},
				"B": json.Number("1.10"), "<&>": "\u2028é/",
			},
			"nested raw texts": map[string]any{
				"n": json.RawMessage(`12345678901234567890123`),
				"a": json.RawMessage(`[9007199254740993, 1e400, -0.0, 1.0]`),
				"B": json.RawMessage(`1.10`), "<&>": "\u2028é/",
			},
		}
		want = strings.ReplaceAll(strings.ReplaceAll(want, "1e400", "1e+400"), `\u2028`, "\u2028")
		for name, payload := range tests {
			time.Sleep(time.Second) // for an order
			message, err := client.SendEvent(t.Context(),
				webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: payload})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			synctest.Wait()
			got := map[string]string{}
			for _, d := range mock.Deliveries() {
				if d.MessageID == message.ID {
					got["delivered"] = string(d.Body)
				}
			}
			for event, err := range client.ListSentEventsForEndpoint(t.Context(),
				harness.KnownEndpoint(), webhooks.SentEventQuery{Limit: 1}) {
				if err != nil {
					t.Fatal(err)
				}
				got["listed"] = string(event.Payload)
			}
			if diff := cmp.Diff(map[string]string{"delivered": want, "listed": want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		et, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate)
		if err != nil || string(et.Schema) != schema {
			t.Errorf("got the schema %s, %v; want %s", et.Schema, err, schema)
		}
	})
}

// TestPayloadsThatTheSDKWouldChange: the SDK would send something else in its place.
func TestPayloadsThatTheSDKWouldChange(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	for name, payload := range map[string]any{
		"empty number":      map[string]any{"origin_url": json.Number("")},
		"odd number":        map[string]any{"origin_url": json.Number("01")},
		"invalid UTF-8":     map[string]any{"origin_url": "\xff"},
		"invalid UTF-8 key": map[string]any{"\xff": 1},
		"lone surrogate":    json.RawMessage(`{"origin_url":"\ud800"}`),
		"nil":               nil,
		"nil map":           map[string]any(nil),
		"list":              []any{},
		"text":              "origin_url",
		"not a number":      map[string]any{"origin_url": math.NaN()},
	} {
		sent := len(mock.Messages())
		_, err := client.SendEvent(t.Context(), webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: payload})
		checkError(t, err, webhooks.ErrInvalidPayload, "nothing was sent")
		if len(mock.Messages()) != sent {
			t.Errorf("%s was sent", name)
		}
	}
}

// TestCyclicPayloads are refused; validated as they are they end the process.
func TestCyclicPayloads(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	foreignType(t, mock, `{"properties":{"self":{"$ref":"#"}}}`)
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	type node struct {
		Self *node `json:"self"`
	}
	pointer := &node{}
	pointer.Self = pointer
	list := []any{nil}
	list[0] = list
	for name, payload := range map[string]any{"map": cyclic, "pointer": pointer, "list": map[string]any{"self": list}} {
		_, err := client.SendEvent(t.Context(), webhooks.Event{Type: "foreign.type", Payload: payload})
		if !errors.Is(err, webhooks.ErrInvalidPayload) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEventIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for name, ev := range map[string]webhooks.Event{
		"only what is needed": {
			Type: webhooks.TypeOriginCreate, Payload: json.RawMessage(`{"origin_url":"https://a.org"}`),
		},
		"all": {
			Type: webhooks.TypeOriginVisit, Payload: json.RawMessage(`{"n":9007199254740993}`),
			Channel: "https://a.org/café", ID: "batch-1",
		},
		"no payload": {Type: "a.b", Payload: json.RawMessage("null")},
		"nothing":    {Payload: json.RawMessage("null")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			var got webhooks.Event
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ev, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventKeepsThePayloadsText(t *testing.T) {
	t.Parallel()
	const payload = `{ "n" : 9007199254740993.10e+0, "text" : "\u00e9<" }`
	var ev webhooks.Event
	text := `{"payload":` + payload + `,"type":"a.b"}`
	if err := json.Unmarshal([]byte(text), &ev); err != nil {
		t.Fatal(err)
	}
	if got, ok := ev.Payload.(json.RawMessage); !ok || string(got) != payload {
		t.Errorf("got %s", got)
	}
}

// notEvents are texts that encoding/json would take for an event, or for another one.
var notEvents = map[string]string{
	"a member twice":           `{"type":"a.b","channel":"x","channel":"y","payload":{}}`,
	"the payload twice":        `{"type":"a.b","payload":{},"payload":{}}`,
	"a member in capitals":     `{"type":"a.b","Payload":{}}`,
	"payload in both":          `{"type":"a.b","Payload":{},"payload":{}}`,
	"a member misspelt":        `{"type":"a.b","chanel":"x","payload":{}}`,
	"Latin-1":                  "{\"type\":\"a.b\",\"channel\":\"caf\xe9\",\"payload\":{}}",
	"Latin-1 in the payload":   "{\"type\":\"a.b\",\"payload\":{\"t\":\"caf\xe9\"}}",
	"half a surrogate pair":    `{"type":"a.b","channel":"\ud83d","payload":{}}`,
	"a number as a channel":    `{"type":"a.b","channel":1,"payload":{}}`,
	"a member twice, deep":     `{"type":"a.b","payload":{"a":{"b":1,"b":2}}}`,
	"no type":                  `{"payload":{}}`,
	"no payload":               `{"type":"a.b"}`,
	"an array":                 `[{"type":"a.b","payload":{}}]`,
	"null":                     `null`,
	"something after it":       `{"type":"a.b","payload":{}} {}`,
	"not closed":               `{"type":"a.b","payload":{}`,
	"no JSON":                  `type: a.b`,
	"a comma at the end":       `{"type":"a.b","payload":{},}`,
	"an escape in a name":      `{"type":"a.b","payload":{},"\u0070ayload":{}}`,
	"a payload nested 65 deep": `{"type":"a.b","payload":` + nested(65) + `}`,
}

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth-1) + `{}` + strings.Repeat(`}`, depth-1)
}

func TestEventIsReadStrictly(t *testing.T) {
	t.Parallel()
	for name, text := range notEvents {
		var ev webhooks.Event
		if err := ev.UnmarshalJSON([]byte(text)); !errors.Is(err, webhooks.ErrInvalidEvent) {
			t.Errorf("%s: got %+v and the error %v", name, ev, err)
		}
	}
	var ev webhooks.Event
	if err := ev.UnmarshalJSON([]byte(`{"type":"a.b","payload":` + nested(64) + `}`)); err != nil {
		t.Errorf("a payload that is as deep as one may be: %v", err)
	}
}

func TestEventReaderGoesOnAfterABadLine(t *testing.T) {
	t.Parallel()
	long := `{"type":"a.b","payload":{"text":"` + strings.Repeat("x", 1<<20+64<<10) + `"}}`
	text := strings.Join([]string{
		"\ufeff" + `{"type":"a.b","payload":{"n":1}}`, "", "not JSON", " \t\r",
		`  {"type":"a.b","payload":{"n":2}}  ` + "\r", long, `{"type":"a.b","payload":{"n":3}}`,
	}, "\n") // and no line's end after the last
	type result struct {
		Payload string
		Line    int
		Text    string
	}
	want := []result{
		{Payload: `{"n":1}`},
		{Line: 3, Text: "not JSON"},
		{Payload: `{"n":2}`},
		{Line: 6, Text: long[:1<<20+64<<10]},
		{Payload: `{"n":3}`},
	}
	var got []result
	reader := webhooks.NewEventReader(iotest.HalfReader(strings.NewReader(text)))
	for {
		ev, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		bad, ok := errors.AsType[*webhooks.LineError](err)
		switch {
		case ok && errors.Is(err, webhooks.ErrInvalidEvent):
			got = append(got, result{Line: bad.Line, Text: string(bad.Text)})
		case err != nil:
			t.Fatal(err)
		default:
			payload, _ := ev.Payload.(json.RawMessage)
			got = append(got, result{Payload: string(payload)})
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := reader.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestEventReaderTakesNoHalfLineForAWholeOne(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is broken")
	text := io.MultiReader(strings.NewReader(`{"type":"a.b","payload":{}}`), iotest.ErrReader(broken))
	reader := webhooks.NewEventReader(text)
	for range 2 {
		if ev, err := reader.Read(); !errors.Is(err, broken) {
			t.Errorf("got %+v and %v", ev, err)
		}
	}
}
