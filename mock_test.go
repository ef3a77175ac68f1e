package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/webhookstest"
)

// TestRequestsOnTheWire: what the server is asked, by the rows of behaviour.md,
// section C, and the decisions that change them.
func TestRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	const (
		app      = "/app/e843df9e-aff7-5de9-829a-bb1c2311b4cc" // of origin.create, by the vectors
		hook     = app + "/endpoint/3ae15672-268a-5ff1-a151-529a789e8bf1"
		hookURL  = "https://example.org/webhook"
		channels = "b84ed8ed-a7b1-502f-83f6-90132e68adef" // of "foo"
	)
	ep := webhooks.Endpoint{URL: hookURL, EventType: webhooks.TypeOriginCreate, Metadata: map[string]string{"team": "archive"}}
	onChannel := webhooks.Endpoint{URL: hookURL, EventType: webhooks.TypeOriginCreate, Channel: "foo"}
	collect := func(_ any, err error) error { return err }
	before, after := time.Date(2026, 11, 1, 10, 0, 0, 1, time.UTC), time.Date(2026, 11, 1, 10, 0, 0, 999, time.UTC)
	tests := map[string]struct {
		do   harness.Operation
		want []string // the requests, without those for the event type
	}{
		"C.1 event type create": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEventType(ctx, webhooks.EventType{Name: webhooks.TypeOriginCreate, Description: "D", Schema: json.RawMessage(`{"type": "object"}`)})
			},
			[]string{
				`POST /app?get_if_exists=true {"name":"origin.create","uid":"e843df9e-aff7-5de9-829a-bb1c2311b4cc"}`,
				`PUT /event-type/origin.create {"description":"D","schemas":{"1":{"type":"object"}}}`,
			},
		},
		"C.3 event type list": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListEventTypes(ctx)))
			},
			[]string{"GET /event-type?limit=250&with_content=true"},
		},
		"C.4 event type delete": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.DeleteEventType(ctx, webhooks.TypeOriginCreate)
			},
			[]string{"DELETE /event-type/origin.create"},
		},
		"C.5 endpoint create, disabled until its header is set": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEndpoint(ctx, webhooks.Endpoint{URL: hookURL, EventType: webhooks.TypeOriginCreate, Channel: "foo", Metadata: map[string]string{"team": "archive"}}, harness.SecretB)
			},
			[]string{
				`POST ` + app + `/endpoint {"channels":["` + channels + `"],"disabled":true,"filterTypes":["origin.create"],"metadata":{"` + channels + `":"foo","team":"archive"},"secret":"` + harness.SecretB + `","uid":"2a1f7da5-8958-56c4-904a-15829860258c","url":"` + hookURL + `","version":1}`,
				`PATCH ` + app + `/endpoint/2a1f7da5-8958-56c4-904a-15829860258c/headers {"headers":{"X-Swh-Event":"origin.create"}}`,
				`PATCH ` + app + `/endpoint/2a1f7da5-8958-56c4-904a-15829860258c {"disabled":false}`,
			},
		},
		"C.5 endpoint create, existing": {
			func(ctx context.Context, c *webhooks.Client) error { return c.CreateEndpoint(ctx, ep, harness.SecretB) },
			[]string{
				`POST ` + app + `/endpoint {"disabled":true,"filterTypes":["origin.create"],"metadata":{"team":"archive"},"secret":"` + harness.SecretB + `","uid":"3ae15672-268a-5ff1-a151-529a789e8bf1","url":"` + hookURL + `","version":1}`,
				"GET " + hook, "GET " + hook + "/secret", `POST ` + hook + `/secret/rotate {"key":"` + harness.SecretB + `"}`,
				`PATCH ` + hook + `/headers {"headers":{"X-Swh-Event":"origin.create"}}`, `PATCH ` + hook + ` {"disabled":false,"metadata":{"team":"archive"}}`,
			},
		},
		"C.6 endpoint list": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListEndpoints(ctx, webhooks.TypeOriginCreate, webhooks.EndpointQuery{Ascending: true, Channel: "foo"})))
			},
			[]string{"GET " + app + "/endpoint?limit=250&order=ascending"},
		},
		"C.6 endpoint list, newest first": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListEndpoints(ctx, webhooks.TypeOriginCreate, webhooks.EndpointQuery{})))
			},
			[]string{"GET " + app + "/endpoint?limit=250&order=descending"},
		},
		"C.7 endpoint secret": {
			func(ctx context.Context, c *webhooks.Client) error { return collect(c.GetEndpointSecret(ctx, ep)) },
			[]string{"GET " + hook + "/secret"},
		},
		"C.8 endpoint delete": {
			func(ctx context.Context, c *webhooks.Client) error { return c.DeleteEndpoint(ctx, ep) },
			[]string{"DELETE " + hook},
		},
		"C.9 send": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(c.SendEvent(ctx, webhooks.Event{Type: webhooks.TypeOriginCreate, Channel: "foo", ID: "1", Payload: webhooks.OriginCreate{OriginURL: "é<"}}))
			},
			[]string{
				"GET " + app + "/endpoint?limit=250&order=descending",
				`POST ` + app + `/msg?with_content=false {"channels":["` + channels + `"],"eventId":"1","eventType":"origin.create","payload":{},"payloadRetentionPeriod":90,"transformationsParams":{"rawPayload":"{\"origin_url\":\"é<\"}"}}`,
			},
		},
		"C.10 sent events of an endpoint": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListSentEventsForEndpoint(ctx, ep, webhooks.SentEventQuery{Channel: "foo", Before: before, Limit: 7})))
			},
			[]string{"GET " + app + "/attempt/endpoint/3ae15672-268a-5ff1-a151-529a789e8bf1?before=2026-11-01T10:00:01Z&channel=" + channels + "&expanded_statuses=true&limit=7"},
		},
		"C.11 sent events of an event type": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate, webhooks.SentEventQuery{Channel: "foo", After: after})))
			},
			[]string{"GET " + app + "/msg?channel=" + channels + "&limit=250"},
		},
		"rotate": {
			func(ctx context.Context, c *webhooks.Client) error { return c.RotateEndpointSecret(ctx, ep, "") },
			[]string{"POST " + hook + "/secret/rotate {}"},
		},
		"disable": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.SetEndpointDisabled(ctx, onChannel, true)
			},
			[]string{`PATCH ` + app + `/endpoint/2a1f7da5-8958-56c4-904a-15829860258c {"disabled":true}`, "GET /event-type/origin.create"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			mock.Handle(hookURL, http.NotFoundHandler())
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			if err := client.CreateEndpoint(t.Context(), ep, harness.SecretA); err != nil { // which caches the event type
				t.Fatal(err)
			}
			made := len(mock.Requests())
			if err := tt.do(t.Context(), client); err != nil && !errors.Is(err, webhooks.ErrEndpointNotFound) {
				t.Fatal(err)
			}
			var got []string
			for _, r := range mock.Requests()[made:] {
				got = append(got, requestLine(t, r))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// requestLine is a request in one line; the members of its body are sorted.
func requestLine(t *testing.T, r svixmock.Request) string {
	t.Helper()
	line := r.Method + " " + strings.TrimPrefix(r.Path, "/api/v1")
	if r.RawQuery != "" {
		line += "?" + strings.ReplaceAll(r.RawQuery, "%3A", ":")
	}
	if len(r.Body) == 0 {
		return line
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(exactJSON(t, string(r.Body))); err != nil {
		t.Fatal(err)
	}
	return line + " " + strings.TrimSpace(text.String())
}

func TestRetentionPeriodIsThatOfTheConfiguration(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithConfig(webhooks.Config{EventRetentionPeriod: 30}))
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

// TestRetry is the two checks of the Python module and the defaults of RetryPolicy.
func TestRetry(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		times  int
		fault  svixmock.Fault
		status int           // of the error; 0: none
		most   time.Duration // that it takes
		least  time.Duration
	}{
		"47 two errors, then success":   {2, svixmock.Fault{Status: 500}, 0, 1500 * time.Millisecond, 0},
		"three errors, then success":    {3, svixmock.Fault{Status: 503}, 0, 3500 * time.Millisecond, 0},
		"48 errors to the end":          {4, svixmock.Fault{Status: 500, Body: `{"code":"last","detail":"d"}`}, 500, 3500 * time.Millisecond, 0},
		"connections reset":             {3, svixmock.Fault{Reset: true}, 0, 3500 * time.Millisecond, 0},
		"no answer for 15 s":            {1, svixmock.Fault{Hang: true}, 0, 15500 * time.Millisecond, 15 * time.Second},
		"Retry-After":                   {1, svixmock.Fault{Status: 429, Header: http.Header{"Retry-After": {"20"}}}, 0, 20500 * time.Millisecond, 20 * time.Second},
		"Retry-After beyond MaxBackoff": {1, svixmock.Fault{Status: 503, Header: http.Header{"Retry-After": {"3600"}}}, 0, 30 * time.Second, 30 * time.Second},
		"what is not worth a retry":     {1, svixmock.Fault{Status: 501}, 501, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
				mock.FailNext(tt.times, tt.fault)
				start := time.Now()
				message, err := client.SendEvent(t.Context(), harness.KnownEvent())
				if took := time.Since(start); took < tt.least || took > tt.most {
					t.Errorf("took %v, want %v to %v", took, tt.least, tt.most)
				}
				var api *webhooks.APIError
				switch {
				case tt.status == 0 && (err != nil || message.IsZero()):
					t.Errorf("got %v, %v; want a message", message, err)
				case tt.status != 0 && (!errors.As(err, &api) || api.StatusCode != tt.status):
					t.Errorf("got the error %v, want an APIError of status %d", err, tt.status)
				}
			})
		})
	}
}

// TestRetriedStatuses makes the first request of every operation meet each status.
func TestRetriedStatuses(t *testing.T) {
	t.Parallel()
	retried := []int{408, 425, 429, 500, 502, 503, 504}
	for _, status := range append(retried, 400, 401, 402, 403, 405, 406, 410, 413, 414, 418, 422, 431, 451, 501, 505, 507, 511, 520, 599) {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					before := len(mock.Requests())
					mock.FailNext(1, svixmock.Fault{Status: status})
					err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithCacheTTL(0)))
					made := mock.Requests()[before:]
					again := len(made) > 1 && made[0].Method == made[1].Method && made[0].Path == made[1].Path
					switch wanted := slices.Contains(retried, status); {
					case wanted && (err != nil || !again):
						t.Errorf("%s: got the error %v after %d requests, want a retry that succeeds", name, err, len(made))
					case !wanted && err == nil:
						t.Errorf("%s: got no error", name)
					case !wanted && again && name != "SendEvents": // which goes on to its second event
						t.Errorf("%s: the request was made again", name)
					}
				})
			}
		})
	}
}

// TestLoggerSeesRetries, and no secret.
func TestLoggerSeesRetries(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		var logged bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithLogger(logger))
		mock.FailNext(1, svixmock.Fault{Status: 503, Body: mock.Token()})
		event := harness.KnownEvent()
		event.Payload = map[string]any{"origin_url": "not to be logged"}
		if _, err := client.SendEvent(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		if got := logged.String(); !strings.Contains(got, "503") || strings.Contains(got, mock.Token()) || strings.Contains(got, "not to be") {
			t.Errorf("logged %q, want the status 503, neither the token nor the payload", got)
		}
	})
}

// TestDecision03PositiveAnswerIsCached for the cache's time, on the channels that
// were seen.
func TestDecision03And17Caches(t *testing.T) {
	t.Parallel()
	const perSend = 3 // event type, listeners, message
	tests := map[string]struct {
		opts []webhooks.Option
		wait time.Duration // between two sends
		want []int         // requests of each send
	}{
		"within 30 s": {nil, 7 * time.Second, []int{perSend, 1, 1, 1, 1, perSend, 1}},
		"one second":  {[]webhooks.Option{webhooks.WithCacheTTL(time.Second)}, 600 * time.Millisecond, []int{perSend, 1, perSend, 1}},
		"none":        {[]webhooks.Option{webhooks.WithCacheTTL(0)}, 0, []int{perSend, perSend, perSend}},
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

// TestDecision17ChangesOfOthers are seen within the cache's time.
func TestDecision17ChangesOfOthers(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client, other := harness.NewClient(t, mock.RoundTripper(), mock.Token()), harness.NewClient(t, mock.RoundTripper(), mock.Token())
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

// TestDecision15 makes every request of every operation meet an error answer.
func TestDecision15ErrorAnswers(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html"}}
	tests := map[string]struct {
		fault        svixmock.Fault
		code, detail string // detail: part of it
	}{
		"of Svix":               {svixmock.Fault{Status: 403, Body: `{"code":"insufficient access","detail":"Insufficient access."}`}, "insufficient access", "Insufficient access."},
		"validation":            {svixmock.Fault{Status: 422, Body: `{"detail":[{"loc":["body","url"],"msg":"is bad","type":"value_error"},{"loc":["body","",""],"msg":"so is that"}]}`}, "", "body.url: is bad; body: so is that"},
		"internal error":        {svixmock.Fault{Status: 500, Body: `{}`}, "", ""},
		"empty":                 {svixmock.Fault{Status: 500}, "", ""},
		"empty not found":       {svixmock.Fault{Status: 404}, "", "server URL"},
		"HTML not found":        {svixmock.Fault{Status: 404, Header: html, Body: "<html>Not found</html>"}, "", "server URL"},
		"JSON of somebody else": {svixmock.Fault{Status: 404, Body: `{"error":"no such page"}`}, "", "server URL"},
		"HTML of a proxy":       {svixmock.Fault{Status: 502, Header: html, Body: "<html>\n<h1>Bad\tGateway</h1>"}, "", "<html> <h1>Bad Gateway</h1>"},
		"cut off":               {svixmock.Fault{Status: 400, Body: `{"code":"generic_err`}, "", "generic_err"},
		"binary":                {svixmock.Fault{Status: 418, Body: "\x00\xff\x1b[31m"}, "", ""},
		"other types":           {svixmock.Fault{Status: 400, Body: `{"code":7,"detail":{"a":1}}`}, "", ""},
		"list":                  {svixmock.Fault{Status: 400, Body: `[1]`}, "", ""},
		"very long":             {svixmock.Fault{Status: 400, Body: `{"code":"` + strings.Repeat("é", 1000) + `","detail":"` + strings.Repeat("日", 1000) + `"}`}, "éé", "日日"},
		"unauthorised":          {svixmock.Fault{Status: 401, Body: `{"code":"authentication_failed","detail":"Invalid token"}`}, "authentication_failed", "Invalid token"},
		"unknown status":        {svixmock.Fault{Status: 599}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					mock.FailRate(1, 1, tt.fault)
					err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
					var api *webhooks.APIError
					if !errors.As(err, &api) || api.StatusCode != tt.fault.Status || api.Op == "" {
						t.Fatalf("%s: got the error %v, want an APIError of status %d", name, err, tt.fault.Status)
					}
					if !strings.HasPrefix(api.Code, tt.code) || tt.code == "" && api.Code != "" || !strings.Contains(api.Detail, tt.detail) {
						t.Errorf("%s: got the code %q and the detail %q, want %q and %q", name, api.Code, api.Detail, tt.code, tt.detail)
					}
					if len(api.Detail) > 300 || len(api.Code) > 300 || strings.ContainsAny(api.Error(), "\x00\x1b\n\t") {
						t.Errorf("%s: the error is not fit to be shown: %q", name, api.Error())
					}
					checkNoSentinel(t, name, err)
				})
			}
		})
	}
}

// checkNoSentinel checks that an error does not claim to know what is missing.
func checkNoSentinel(t *testing.T, operation string, err error) {
	t.Helper()
	for _, sentinel := range []error{
		webhooks.ErrEventTypeNotFound, webhooks.ErrEndpointNotFound, webhooks.ErrEventTypeArchived, webhooks.ErrSecretRotationLimit,
		webhooks.ErrInvalidPayload, webhooks.ErrInvalidSchema, webhooks.ErrInvalidEndpoint,
	} {
		if errors.Is(err, sentinel) {
			t.Errorf("%s: got %v, want no %q", operation, err, sentinel)
		}
	}
}

// TestDecision15ErrorTypes: errors.As wants pointers, and Error works on zero values.
func TestDecision15ErrorTypes(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&webhooks.APIError{}, &webhooks.PayloadError{}, &webhooks.SchemaError{}} {
		if text := err.Error(); !strings.HasPrefix(text, "webhooks: ") || errors.Unwrap(err) != nil {
			t.Errorf("the zero %T says %q and wraps %v", err, text, errors.Unwrap(err))
		}
		wrapped := fmt.Errorf("sending: %w", err)
		var api *webhooks.APIError
		var payload *webhooks.PayloadError
		var schema *webhooks.SchemaError
		if !errors.As(wrapped, &api) && !errors.As(wrapped, &payload) && !errors.As(wrapped, &schema) {
			t.Errorf("%T is not found by errors.As", err)
		}
	}
	checkError(t, &webhooks.PayloadError{Violations: []webhooks.Violation{{Path: "/a", Message: "is bad"}, {Message: "so is all"}}}, webhooks.ErrInvalidPayload, "/a: is bad; so is all")
	checkError(t, &webhooks.SchemaError{}, webhooks.ErrInvalidSchema)
}

// TestDecision18NotTheAPI: a 2xx answer that is not what was asked for is an error.
func TestDecision18NotTheAPI(t *testing.T) {
	t.Parallel()
	tests := map[string]svixmock.Fault{
		"empty 200": {Status: 200}, "204": {Status: 204}, "null": {Status: 200, Body: "null"}, "object": {Status: 200, Body: "{}"}, "list": {Status: 200, Body: "[]"},
		"unrelated": {Status: 201, Body: `{"status":"ok"}`}, "HTML": {Status: 200, Body: "<html>Please log in</html>"}, "number": {Status: 202, Body: "1"},
		"cut off": {Status: 200, Body: `{"data":[{"id":"ep_1"`}, "two values": {Status: 200, Body: "{} {}"}, "data null": {Status: 200, Body: `{"data":null,"done":true}`},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				if fault.Status == http.StatusNoContent && strings.HasPrefix(name, "Delete") {
					continue // that is what the API promises
				}
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					mock.FailRate(1, 1, fault)
					err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
					var api *webhooks.APIError
					if !errors.As(err, &api) || api.StatusCode != fault.Status {
						t.Errorf("%s: got the error %v, want an APIError of status %d", name, err, fault.Status)
					}
				})
			}
		})
	}
}

// TestDecision18CutOffAnswers: half an answer is none, whatever it says.
func TestDecision18CutOffAnswers(t *testing.T) {
	t.Parallel()
	for name, do := range harness.Operations() {
		if strings.HasPrefix(name, "Delete") {
			continue // their answers are empty
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				mock.FailRate(1, 1, svixmock.Fault{Truncate: true})
				err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
				if api := (*webhooks.APIError)(nil); !errors.As(err, &api) || api.StatusCode > 299 || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v, want an APIError of a good status that wraps io.ErrUnexpectedEOF", err)
				}
			})
		})
	}
}

// pageAnswer is a fault that answers the requests for one path with a page.
func pageAnswer(suffix string, items ...string) svixmock.Fault {
	return svixmock.Fault{
		Status: http.StatusOK, Body: `{"data":[` + strings.Join(items, ",") + `],"iterator":"x","prevIterator":7,"done":true,"new":{"a":1e999}}`,
		Only: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, suffix) },
	}
}

// TestDecision18OddItems: one odd value in one item costs that value only.
func TestDecision18OddItems(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())

		mock.FailNext(1, pageAnswer("/event-type", `{"name":"a.a","archived":"maybe","schemas":7,"featureFlags":[1e400]}`, `{}`, `{"name":"b.b","description":null,"schemas":{"1":{"type":"object"}}}`, `{"name":5}`))
		types, err := webhooks.Collect(client.ListEventTypes(t.Context()))
		wantTypes := []webhooks.EventType{{Name: "a.a"}, {}, {Name: "b.b", Schema: json.RawMessage(`{"type":"object"}`)}, {}}
		if diff := cmp.Diff(wantTypes, types); diff != "" || err != nil {
			t.Errorf("event types: %v (-want +got):\n%s", err, diff)
		}

		mock.FailNext(1, pageAnswer("/endpoint", `{"id":"ep_1","url":"https://example.org/","version":99999999999999999999,"rateLimit":-1e99,"status":"new"}`,
			`{"id":"ep_2","metadata":{"a":1,"b":"c"},"channels":[7],"disabled":"no"}`, `{"url":"https://example.org/no-id"}`))
		endpoints, err := webhooks.Collect(client.ListEndpoints(t.Context(), webhooks.TypeOriginCreate, webhooks.EndpointQuery{}))
		if err != nil || len(endpoints) != 3 || endpoints[0].URL != "https://example.org/" || endpoints[1].ID != "ep_2" || !cmp.Equal(endpoints[2], webhooks.Endpoint{}) {
			t.Errorf("endpoints: got %+v, %v; want three, the last one empty", endpoints, err)
		}

		attempts := []string{
			`{"id":"atmpt_3","msgId":"../../event-type","endpointId":"?","status":99,"statusText":"new","responseStatusCode":99999999999999999999,"responseDurationMs":"long","timestamp":"soon"}`,
			`{"id":"atmpt_2"}`, `{"id":7,"url":"https://example.org/","response":{},"timestamp":"2026-11-23T09:00:00.123456"}`,
		}
		mock.FailNext(1, pageAnswer("/attempt/endpoint/"+harness.KnownEndpoint().UID(), attempts...))
		before := len(mock.Requests())
		events, err := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), webhooks.SentEventQuery{}))
		if err != nil || len(events) != 3 || events[2].EndpointURL != "https://example.org/" || !events[2].Timestamp.Equal(time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC)) {
			t.Errorf("sent events: got %+v, %v; want three", events, err)
		}
		for _, r := range mock.Requests()[before:] {
			if r.Path != path.Clean(r.Path) || strings.HasPrefix(r.Path, "/api/v1/event-type/") || r.Status == http.StatusNotFound {
				t.Errorf("an id of an answer led to the request %s %s", r.Method, r.Path)
			}
		}

		mock.FailNext(1, pageAnswer("/msg", `{"id":"../x","payload":1}`, `{"id":"msg_1","timestamp":"never"}`, `{}`))
		mock.FailNext(1, pageAnswer("/attempt/msg/msg_1", attempts...))
		events, err = webhooks.Collect(client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
		if err != nil || len(events) != 3 {
			t.Errorf("sent events of the event type: got %+v, %v; want three", events, err)
		}
	})
}

// TestDecision19 answers every request with a redirect.
func TestDecision19Redirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					var elsewhere []string
					client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
						if r.URL.Host != "svix.test" {
							elsewhere = append(elsewhere, r.URL.String())
						}
						return mock.RoundTripper().RoundTrip(r)
					}), mock.Token())
					mock.FailRate(1, 1, svixmock.Fault{Status: status, Header: http.Header{"Location": {"https://elsewhere.example/api"}}})
					err := do(t.Context(), client)
					var api *webhooks.APIError
					if !errors.As(err, &api) || api.StatusCode != status || !strings.Contains(err.Error(), "https") || !strings.Contains(err.Error(), "https://elsewhere.example/api") {
						t.Errorf("%s: got %v, want an APIError of status %d with a hint", name, err, status)
					}
					if elsewhere != nil {
						t.Errorf("%s: the token went to %v", name, elsewhere)
					}
				})
			}
		})
	}
}

// TestDecision20LargeAnswers: an answer above 16 MiB is an error with its status;
// of a page that is too large, less is asked for.
func TestDecision20LargeAnswers(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	large := `{"name":"` + strings.Repeat(" ", 16<<20) + `"}`
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		mock.FailNext(1, svixmock.Fault{Status: status, Body: large})
		var api *webhooks.APIError
		if _, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate); !errors.As(err, &api) || api.StatusCode != status || !strings.Contains(err.Error(), "16") {
			t.Errorf("got %v, want an APIError of status %d that says the limit", err, status)
		}
	}
	before := len(mock.Requests())
	mock.FailNext(2, svixmock.Fault{Status: http.StatusOK, Body: large})
	types, err := webhooks.Collect(client.ListEventTypes(t.Context()))
	if err != nil || len(types) != 2 {
		t.Errorf("got %d event types, %v; want 2", len(types), err)
	}
	var limits []string
	for _, r := range mock.Requests()[before:] {
		limits = append(limits, strings.TrimSuffix(strings.TrimPrefix(r.RawQuery, "limit="), "&with_content=true"))
	}
	if diff := cmp.Diff([]string{"250", "31", "3"}, limits); diff != "" {
		t.Errorf("limits that were asked for (-want +got):\n%s", diff)
	}
}

func TestDecision22UserAgent(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	before := len(mock.Requests())
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() { _, _ = client.GetEventType(t.Context(), webhooks.TypeOriginCreate) })
	}
	running.Wait()
	for _, r := range mock.Requests()[before:] {
		if got := r.Header.Get("User-Agent"); !strings.HasPrefix(got, "svix-libs/") || strings.Count(got, "swh-webhooks-go") != 1 {
			t.Errorf("got the user agent %q, want that of the SDK with swh-webhooks-go", got)
		}
	}
}

// TestCreationsAtOnce: who is too late finds what the other has made.
func TestCreationsAtOnce(t *testing.T) {
	t.Parallel()
	conflict := func(selects func(*http.Request) bool) svixmock.Fault {
		return svixmock.Fault{Status: http.StatusConflict, Body: `{"code":"conflict","detail":"A conflict has occurred"}`, AfterActing: true, Only: selects}
	}
	operations := harness.Operations()
	tests := map[string]struct {
		do      harness.Operation
		selects func(*http.Request) bool
	}{
		"application":                 {operations["CreateEventType"], func(r *http.Request) bool { return r.URL.Path == "/api/v1/app" }},
		"event type":                  {operations["CreateEventType"], func(r *http.Request) bool { return r.Method == http.MethodPut }},
		"endpoint":                    {operations["CreateEndpoint, new"], func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/endpoint") && harness.IsPost(r) }},
		"message, by a retry of ours": {operations["SendEvent"], func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/msg") }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{NoIdempotency: true})
			mock.FailNext(1, conflict(tt.selects))
			if err := tt.do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token())); err != nil {
				t.Error(err)
			}
			for _, ep := range harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate) {
				if ep.Disabled || ep.Headers["X-Swh-Event"] != webhooks.TypeOriginCreate {
					t.Errorf("got the endpoint %+v, want it enabled and with its header", ep)
				}
			}
		})
	}
}

// TestHalfCreatedEndpoint: where a later step fails the endpoint delivers nothing,
// and creating it again completes it.
func TestHalfCreatedEndpoint(t *testing.T) {
	t.Parallel()
	for step := 2; step <= 3; step++ {
		mock := harness.NewServer(t, svixmock.Config{})
		mock.Handle(harness.NewHookURL, http.NotFoundHandler())
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
		mock.FailNext(1, svixmock.Fault{Status: http.StatusInternalServerError, Only: harness.Only(step)}) // after the event type
		if err := client.CreateEndpoint(t.Context(), harness.NewEndpoint(), harness.SecretA); err == nil {
			t.Fatalf("step %d: got no error", step)
		}
		if created := harness.RawEndpointAt(t, mock, harness.NewHookURL); !created.Disabled {
			t.Errorf("step %d failed: got %+v, want the new endpoint, disabled", step, created)
		}
		if err := client.CreateEndpoint(t.Context(), harness.NewEndpoint(), harness.SecretA); err != nil {
			t.Fatal(err)
		}
		if created := harness.RawEndpointAt(t, mock, harness.NewHookURL); created.Disabled || created.Headers["X-Swh-Event"] != webhooks.TypeOriginCreate || created.Secret != harness.SecretA {
			t.Errorf("created again after step %d failed: got %+v", step, created)
		}
	}
}

// TestDeleteEndpointWhoseAnswerIsLost: what an earlier try has deleted is deleted.
func TestDeleteEndpointWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		mock.FailNext(1, svixmock.Fault{Reset: true, AfterActing: true})
		if err := harness.NewClient(t, mock.RoundTripper(), mock.Token()).DeleteEndpoint(t.Context(), harness.KnownEndpoint()); err != nil {
			t.Error(err)
		}
	})
}

// TestDecision10OddBounds: the server takes times before its ids began for some in
// the next century, and looks back from where it is told to.
func TestDecision10OddBounds(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		now := time.Now()
		times := []time.Time{now.Add(-1000 * day), now.Add(-100 * day), now.Add(-80 * day), now.Add(-time.Hour)}
		_, client := historyServer(t, times)
		tests := map[string]struct {
			q    webhooks.SentEventQuery
			want []time.Time
		}{
			"no bound":                 {webhooks.SentEventQuery{}, []time.Time{times[3], times[2]}},
			"before tomorrow":          {webhooks.SentEventQuery{Before: now.Add(day)}, []time.Time{times[3], times[2]}},
			"before the next century":  {webhooks.SentEventQuery{Before: now.Add(40_000 * day)}, []time.Time{times[3], times[2]}},
			"before the ids began":     {webhooks.SentEventQuery{Before: time.Unix(1_400_000_000, 0)}, nil},
			"before 1970":              {webhooks.SentEventQuery{Before: time.Unix(-1, 0)}, nil},
			"before an empty 90 days":  {webhooks.SentEventQuery{Before: now.Add(-200 * day)}, nil},
			"after now":                {webhooks.SentEventQuery{After: now}, nil},
			"after the next century":   {webhooks.SentEventQuery{After: now.Add(40_000 * day)}, nil},
			"after 1970":               {webhooks.SentEventQuery{After: time.Unix(-1, 0)}, []time.Time{times[3], times[2], times[1], times[0]}},
			"after the end of an hour": {webhooks.SentEventQuery{After: times[3]}, nil},
		}
		for name, tt := range tests {
			for listing, list := range listings(t.Context(), client) {
				if diff := cmp.Diff(tt.want, timestamps(t, list(tt.q)), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
					t.Errorf("%s by %s (-want +got):\n%s", name, listing, diff)
				}
			}
		}
	})
}

// TestDecision10SvixHeaders: the names of the headers are the same ones, whichever
// the server sent, and so are the values.
func TestDecision10SvixHeaders(t *testing.T) {
	t.Parallel()
	srv := webhookstest.NewServer(t, webhookstest.InMemory(), webhookstest.WithSvixHeaders())
	srv.Handle(harness.HookURL, http.NotFoundHandler())
	client := srv.Client()
	if err := errors.Join(client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]), client.CreateEndpoint(t.Context(), harness.KnownEndpoint(), "")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitForDeliveries(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	events, err := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), webhooks.SentEventQuery{}))
	if err != nil || len(events) != 1 {
		t.Fatalf("got %+v, %v; want one sent event", events, err)
	}
	sent := srv.Deliveries()[0].Header
	want := http.Header{
		"Content-Length": sent["Content-Length"], "Content-Type": sent["Content-Type"], "X-Swh-Event": {webhooks.TypeOriginCreate},
		"Webhook-Id": sent["Svix-Id"], "Webhook-Timestamp": sent["Svix-Timestamp"], "Webhook-Signature": sent["Svix-Signature"],
	}
	if diff := cmp.Diff(want, events[0].Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// TestDecision10LateAttempts: with After, the listing of an event type finds the
// retries of messages of the 48 hours before.
func TestDecision10LateAttempts(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour, 40 * time.Hour}})
		mock.Handle(harness.HookURL, http.NotFoundHandler())
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		message, err := client.SendEvent(t.Context(), harness.KnownEvent())
		if err != nil {
			t.Fatal(err)
		}
		sent := time.Now()
		if err := mock.WaitForDeliveries(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		for after, want := range map[time.Duration]int{0: 2, 2 * time.Hour: 1, 42 * time.Hour: 0} {
			got, err := webhooks.Collect(client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, webhooks.SentEventQuery{After: sent.Add(after)}))
			if err != nil || len(got) != want || want > 0 && got[0].MessageID != message.ID {
				t.Errorf("after %v: got %+v, %v; want %d attempts of %s", after, got, err, want, message.ID)
			}
		}
	})
}

// TestSendEvents: what the sequence promises (design.md, 5.1).
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
					if diff := cmp.Diff(harness.NumberedEvent(i, false), result.Event, cmpopts.IgnoreFields(webhooks.Event{}, "Payload")); diff != "" {
						t.Errorf("result %d is of another event:\n%s", i, diff)
					}
					if bad := i == 50; errors.Is(result.Err, webhooks.ErrInvalidPayload) != bad || result.Message.IsZero() != bad {
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
			for concurrency, want := range map[int]time.Duration{0: 20 * time.Second, 1: 20 * time.Second, 5: 4 * time.Second, 20: time.Second} {
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
			mock.FailRate(1, 1, svixmock.Fault{Hang: true, Only: func(r *http.Request) bool {
				_, number, _ := strings.Cut(r.Header.Get("Idempotency-Key"), "journal-1-")
				n, err := strconv.Atoi(number)
				return err == nil && n >= answered
			}})
			taken, results, cancelled := 0, 0, 0
			events := func(yield func(webhooks.Event) bool) {
				for event := range harness.NumberedEvents(1000, true) {
					taken++
					if !yield(event) {
						return
					}
				}
			}
			for result := range harness.NewClient(t, mock.RoundTripper(), mock.Token()).SendEvents(ctx, events, 8) {
				if errors.Is(result.Err, context.Canceled) {
					cancelled++
				}
				if results++; results == answered {
					time.Sleep(time.Second) // until as many hang as may be in flight
					cancel()
				}
			}
			if taken != results || taken > answered+8 || cancelled == 0 {
				t.Errorf("took %d events for %d results, %d of them cancelled; want as many results, few and some cancelled", taken, results, cancelled)
			}
		})
	})
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

// TestVectorsOnTheWire: the identifiers of behaviour.md, section A, where names
// can be those of the vectors.
func TestVectorsOnTheWire(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	want := map[string]string{
		"my-group_1.some-event_2": "4d3d93b6-c064-5867-a55c-dcebb2f7c3fb",
		"Group9.EVENT-7":          "f006c8f3-2703-5b43-ac54-275afb3be639",
		"a.b":                     "0e7af403-ee0d-594b-ab31-08b1c687f2fa",
		webhooks.TypeOriginCreate: "e843df9e-aff7-5de9-829a-bb1c2311b4cc",
		webhooks.TypeOriginVisit:  "21dacaea-7e38-5e52-80af-4d926f0c43d1",
	}
	for name := range want {
		if err := client.CreateEventType(t.Context(), webhooks.EventType{Name: name, Schema: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	var page struct {
		Data []struct{ Name, UID string }
	}
	harness.RawGet(t, mock, "/api/v1/app?limit=250", &page)
	got := map[string]string{}
	for _, app := range page.Data {
		got[app.Name] = app.UID
	}
	if diff := cmp.Diff(want, got); diff != "" || len(page.Data) != len(maps.Clone(want)) {
		t.Errorf("applications (-want +got):\n%s", diff)
	}
}
