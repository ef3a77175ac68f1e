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
	"sync/atomic"
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
// dropped, also if a question of others is joined, and none is asked about again.
func TestListenersBeyondTheCache(t *testing.T) {
	t.Parallel()
	const wanted, others, remembered = "https://git.example.org/wanted", 5, 1 << 20
	var channels strings.Builder
	for i := range remembered + 1 {
		fmt.Fprintf(&channels, `"c%d",`, i)
	}
	endpoints := fmt.Sprintf(`{"data":[{"id":"ep_1","channels":[%s%q]}],"done":true}`,
		channels.String(), identity.Channel(wanted))
	var listings atomic.Int64
	server := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		body := `{"id":"msg_1","name":"origin.create"}`
		if strings.HasSuffix(r.URL.Path, "/endpoint") {
			listings.Add(1)
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
				send(fmt.Sprint("nobody listens to ", i)) // the first is dropped, the others are sent
			})
		}
		time.Sleep(500 * time.Millisecond) // by then they wait for the endpoints
		if send(wanted).IsZero() {
			t.Error("an event was dropped although an endpoint listens to its channel")
		}
		running.Wait()
		if before := listings.Load(); send("nobody listens").IsZero() || listings.Load() != before {
			t.Error("channels that nobody remembers were asked for again")
		}
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

// TestPayloadIsReadBeforeTheNextEventIsTaken: an input may use its memory again for each event.
func TestPayloadIsReadBeforeTheNextEventIsTaken(t *testing.T) {
	t.Parallel()
	const n = 300
	urls := originURLs(10)
	url := func(i int) string { return fmt.Sprintf("%s?%d", urls[i%len(urls)], i) }
	line := make([]byte, 0, 1000)
	members := map[string]any{"origin_url": ""}
	nested := map[string]any{"origin_url": "", "more": members}
	origin := &webhooks.OriginCreate{}
	tests := map[string]struct {
		payload func(i int) any // the same memory each time
		text    string
	}{
		"a buffer": {func(i int) any {
			line = fmt.Appendf(line[:0], `{"origin_url":%q}`, url(i))
			return json.RawMessage(line)
		}, `{"origin_url":%q}`},
		"a map": {func(i int) any {
			members["origin_url"] = url(i)
			return members
		}, `{"origin_url":%q}`},
		"a map in a map": {func(i int) any {
			members["origin_url"] = url(i)
			return nested
		}, `{"more":{"origin_url":%q},"origin_url":""}`},
		"a struct": {func(i int) any {
			origin.OriginURL = url(i)
			return origin
		}, `{"origin_url":%q}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			mock := harness.NewServer(t, svixmock.Config{})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithoutListenerCheck())
			schema := json.RawMessage(`{"type":"object"}`)
			et := webhooks.EventType{Name: webhooks.TypeOriginCreate, Schema: schema}
			if err := client.CreateEventType(t.Context(), et); err != nil {
				t.Fatal(err)
			}
			events := func(yield func(webhooks.Event) bool) {
				for i := range n {
					if !yield(webhooks.Event{Type: et.Name, ID: fmt.Sprint("reused-", i), Payload: tt.payload(i)}) {
						return
					}
				}
			}
			for result := range client.SendEvents(t.Context(), events, 64) {
				if result.Err != nil {
					t.Fatal(result.Err)
				}
				if text, ok := result.Event.Payload.(json.RawMessage); ok {
					i, _ := strconv.Atoi(strings.TrimPrefix(result.Event.ID, "reused-"))
					if want := fmt.Sprintf(tt.text, url(i)); string(text) != want {
						t.Errorf("the result of %s has the payload %s, want %s", result.Event.ID, text, want)
					}
				}
			}
			for _, m := range mock.Messages() {
				i, err := strconv.Atoi(strings.TrimPrefix(m.EventID, "reused-"))
				if want := fmt.Sprintf(tt.text, url(i)); err == nil && string(m.Payload) != want {
					t.Errorf("message %d is %s, want %s", i, m.Payload, want)
				}
			}
			if got := len(mock.Messages()); got != n+1 { // with the known one
				t.Errorf("got %d messages, want %d", got, n+1)
			}
		})
	}
}

// panicking is a payload whose author made a mistake.
type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("no such origin") }

func TestPanicOfAPayloadIsTheErrorOfItsEvent(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	bad := webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: map[string]any{"origin_url": panicking{}}}
	var failed []error
	events := slices.Values([]webhooks.Event{harness.KnownEvent(), bad, harness.KnownEvent()})
	for result := range client.SendEvents(t.Context(), events, 3) {
		if result.Err != nil {
			failed = append(failed, result.Err)
		}
	}
	if len(failed) != 1 {
		t.Fatalf("got the errors %v, want one", failed)
	}
	checkError(t, failed[0], webhooks.ErrInvalidPayload, "no such origin")
	_, err := client.SendEvent(t.Context(), bad)
	checkError(t, err, webhooks.ErrInvalidPayload, "no such origin")
}

func TestPanicOfTheInputGoesOnInTheLoop(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	sent := 0
	defer func() {
		if p := recover(); p != any(io.ErrUnexpectedEOF) || sent != 5 {
			t.Errorf("recovered %v after %d results, want the input's panic after 5", p, sent)
		}
	}()
	events := func(yield func(webhooks.Event) bool) {
		for event := range harness.NumberedEvents(5, true) {
			yield(event)
		}
		panic(io.ErrUnexpectedEOF)
	}
	for range client.SendEvents(t.Context(), events, 2) {
		sent++
	}
}

func TestTransportThatIsOfNoUse(t *testing.T) {
	t.Parallel()
	tests := map[string]harness.RoundTripFunc{
		"neither response nor error": func(*http.Request) (*http.Response, error) {
			return nil, nil
		}, //nolint:nilnil // that is it
		"a panic": func(*http.Request) (*http.Response, error) { panic("no route") },
	}
	for name, transport := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					if createsMessage(r) {
						return transport(r)
					}
					return mock.RoundTripper().RoundTrip(r)
				}), mock.Token())
				_, err := client.SendEvent(t.Context(), harness.KnownEvent())
				if failed, ok := errors.AsType[*webhooks.SendError](err); !ok || !failed.MaybeSent {
					t.Errorf("got %v, want a SendError of an event that may have been sent", err)
				}
				other := harness.NewClient(t, transport, mock.Token())
				if _, err := other.SendEvent(t.Context(), harness.KnownEvent()); err == nil {
					t.Error("a look-up of the event type got no error")
				}
			})
		})
	}
}

func createsMessage(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/msg")
}

func listsEndpoints(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/endpoint")
}

// TestOneAnswerIsNotEnoughToLoseAnEvent: that the application is not there, as a server may say
// that is being replaced, is looked at again.
func TestOneAnswerIsNotEnoughToLoseAnEvent(t *testing.T) {
	t.Parallel()
	missing := func(only func(*http.Request) bool) svixmock.Fault {
		return svixmock.Fault{
			Status: http.StatusNotFound,
			Body:   `{"code":"not_found","detail":"Entity not found"}`, Only: only,
		}
	}
	wasSent := func(t *testing.T, message webhooks.Message, err error) {
		t.Helper()
		if err != nil || message.IsZero() {
			t.Errorf("got %v, %v; want the message", message, err)
		}
	}
	wasNotSent := func(t *testing.T, _ webhooks.Message, err error) {
		t.Helper()
		if failed, ok := errors.AsType[*webhooks.SendError](err); !ok || failed.MaybeSent {
			t.Errorf("got %v, want a SendError of an event that was not sent", err)
		}
	}
	isAPIError := func(t *testing.T, _ webhooks.Message, err error) {
		t.Helper()
		if _, ok := errors.AsType[*webhooks.APIError](err); !ok {
			t.Errorf("got %v, want an APIError", err)
		}
	}
	tests := map[string]struct {
		fault svixmock.Fault
		again int // how often
		check func(t *testing.T, message webhooks.Message, err error)
		opts  []webhooks.Option
	}{
		"creating, once":    {missing(createsMessage), 1, wasSent, nil},
		"creating, always":  {missing(createsMessage), 9, wasNotSent, nil},
		"listeners, once":   {missing(listsEndpoints), 1, wasSent, nil},
		"listeners, always": {missing(listsEndpoints), 9, isAPIError, nil},
		"the event type is gone": {
			missing(func(r *http.Request) bool { return !listsEndpoints(r) }), 9,
			func(t *testing.T, _ webhooks.Message, err error) {
				t.Helper()
				checkError(t, err, webhooks.ErrEventTypeNotFound)
			}, nil,
		},
		"the client sends all, once": {
			missing(createsMessage), 1, wasSent, []webhooks.Option{webhooks.WithoutListenerCheck()},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), tt.opts...)
			if _, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate); err != nil {
				t.Fatal(err)
			}
			mock.FailNext(tt.again, tt.fault)
			message, err := client.SendEvent(t.Context(), harness.KnownEvent())
			tt.check(t, message, err)
		})
	}
}

func TestChannelThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	event := harness.KnownEvent()
	event.Channel = "https://git.example.org/caf\xe9"
	_, err := offline(t).SendEvent(t.Context(), event)
	checkError(t, err, webhooks.ErrInvalidEvent, `caf\xe9`)
}

// TestSendGoesOnInTheBackground: the server would drop what it does for a client that goes away.
func TestSendGoesOnInTheBackground(t *testing.T) {
	t.Parallel()
	const slow = 10 * time.Second
	tests := map[string]struct {
		calls      int
		fault      svixmock.Fault
		drained    time.Duration // after the calls
		deliveries int
	}{
		"the server is slow":    {1, svixmock.Fault{Delay: slow}, slow - time.Second, 1},
		"the server hangs":      {1, svixmock.Fault{Hang: true}, 14 * time.Second, 0},
		"no second try":         {1, svixmock.Fault{Delay: slow, Status: 503}, slow - time.Second, 0},
		"as many as are taken":  {256, svixmock.Fault{Delay: slow}, slow - time.Second, 256},
		"more are cut off":      {300, svixmock.Fault{Delay: slow}, slow - time.Second, 256},
		"nothing in background": {0, svixmock.Fault{}, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
				if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
					t.Fatal(err)
				}
				if err := mock.WaitForDeliveries(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
				tt.fault.Only = createsMessage
				mock.FailNext(tt.calls, tt.fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				var running sync.WaitGroup
				for range tt.calls {
					running.Go(func() {
						_, err := client.SendEvent(ctx, harness.KnownEvent())
						failed, ok := errors.AsType[*webhooks.SendError](err)
						if !ok || !failed.MaybeSent || !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("got %v, want a SendError of an event that may have been sent", err)
						}
						if took := time.Since(start); took != time.Second {
							t.Errorf("the call took %v, want the 1s of its context", took)
						}
					})
				}
				running.Wait()
				start = time.Now()
				if err := client.Drain(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took != tt.drained {
					t.Errorf("draining took %v, want %v", took, tt.drained)
				}
				synctest.Wait()
				if got := len(mock.Deliveries()) - 2; got != tt.deliveries {
					t.Errorf("got %d deliveries, want %d", got, tt.deliveries)
				}
			})
		})
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithoutListenerCheck())
		mock.FailNext(1, svixmock.Fault{Hang: true, Only: createsMessage})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.SendEvent(ctx, harness.KnownEvent())
		checkError(t, err, context.DeadlineExceeded)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		checkError(t, client.Drain(ctx), context.DeadlineExceeded)
		if took := time.Since(start); took != time.Second {
			t.Errorf("draining took %v, want the 1s of its context", took)
		}
	})
}

// TestNobodyListensTTL: one listing serves all for that time.
func TestNobodyListensTTL(t *testing.T) {
	t.Parallel()
	const ttl = time.Minute
	tests := map[string]struct {
		cacheTTL  time.Duration
		endpoints int // on other channels
		listing   int // requests
	}{
		"no endpoint":       {30 * time.Second, 0, 1},
		"many endpoints":    {30 * time.Second, 300, 2},
		"the cache is off":  {0, 300, 2},
		"it is the shorter": {time.Hour, 300, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				other := harness.NewClient(t, mock.RoundTripper(), mock.Token())
				for i := range tt.endpoints {
					harness.RawPost(t, mock, "/app/"+identity.Application(webhooks.TypeOriginVisit)+"/endpoint",
						fmt.Sprintf(`{"url":"http://receiver.test/%d","channels":["other-%d"]}`, i, i))
				}
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
					webhooks.WithCacheTTL(tt.cacheTTL), webhooks.WithNobodyListensTTL(ttl))
				event := webhooks.Event{
					Type: webhooks.TypeOriginVisit, Channel: "wanted",
					Payload: webhooks.OriginVisit{VisitStatus: webhooks.VisitFull},
				}
				listings := func() int {
					return len(slices.DeleteFunc(mock.Requests(), func(r svixmock.Request) bool {
						return r.Method != http.MethodGet || !strings.HasSuffix(r.Path, "/endpoint")
					}))
				}
				send := func() bool {
					message, err := client.SendEvent(t.Context(), event)
					if err != nil {
						t.Error(err)
					}
					return !message.IsZero()
				}
				before := listings()
				var running sync.WaitGroup
				for range 100 {
					running.Go(func() {
						if send() {
							t.Error("an event was sent that nobody listens to")
						}
					})
				}
				running.Wait()
				ep := webhooks.Endpoint{URL: harness.NewHookURL, EventType: event.Type, Channel: event.Channel}
				if err := other.CreateEndpoint(t.Context(), ep, ""); err != nil {
					t.Fatal(err)
				}
				time.Sleep(ttl - time.Second)
				if send() {
					t.Error("the answer was not remembered")
				}
				if got := listings() - before; got != tt.listing {
					t.Errorf("%d requests for the listing, want %d", got, tt.listing)
				}
				time.Sleep(time.Second)
				for range 2 {
					if !send() {
						t.Error("the answer was remembered for too long")
					}
				}
				if got := listings() - before; got != 2*tt.listing {
					t.Errorf("%d requests for two listings, want %d", got, 2*tt.listing)
				}
			})
		})
	}
}

func TestNobodyListensTTLWithoutACheck(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]webhooks.Option{
		"negative":          {webhooks.WithNobodyListensTTL(-1)},
		"without any check": {webhooks.WithNobodyListensTTL(1), webhooks.WithoutListenerCheck()},
	} {
		_, err := webhooks.NewClient(append(opts, webhooks.WithConfig(webhooks.Config{}),
			webhooks.WithServerURL(harness.ServerURL), webhooks.WithAuthToken("token"))...)
		if !errors.Is(err, webhooks.ErrInvalidConfig) {
			t.Errorf("%s: got %v, want %v", name, err, webhooks.ErrInvalidConfig)
		}
	}
}
