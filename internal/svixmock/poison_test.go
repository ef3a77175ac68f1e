package svixmock_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// These tests are about section 16 of the contract: values that the server cannot digest, and
// races.

// drops makes a request and wants the connection to end without an answer.
func (a *api) drops(method, path, body string) {
	a.t.Helper()
	got, err := a.try(a.t.Context(), method, "/api/v1"+path, strings.NewReader(body))
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		a.t.Errorf("%s %s: got status %d and error %v, want no answer", method, path, got.status, err)
	}
}

func TestHeaderThatPoisonsItsEndpoint(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"control character": `\u0001`, "line break": `a\nb`, "delete": `\u007f`, "too long": strings.Repeat("v", 4097),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newMemoryAPI(t, svixmock.Config{})
			app := a.app()
			other := app + "/endpoint/" + a.endpoint(app, "https://other.example")
			endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example")
			a.drops(http.MethodPatch, endpoint+"/headers", `{"headers":{"X-Archive":"`+value+`"}}`)
			for _, request := range []struct{ method, path, body string }{
				{http.MethodGet, endpoint, ""},
				{http.MethodPut, endpoint, `{"url":"https://receiver.example"}`},
				{http.MethodPatch, endpoint, `{"disabled":true}`},
				{http.MethodDelete, endpoint, ""},
				{http.MethodGet, endpoint + "/secret", ""},
				{http.MethodPost, endpoint + "/secret/rotate", `{}`},
				{http.MethodGet, endpoint + "/headers", ""},
				{http.MethodPut, endpoint + "/headers", `{"headers":{}}`},
				{http.MethodGet, app + "/endpoint", ""},
				{http.MethodPost, app + "/msg", `{"eventType":"a.b","payload":{}}`},
			} {
				a.drops(request.method, request.path, request.body)
			}
			if got := a.mock.Messages(); len(got) > 0 {
				t.Errorf("stored %v, want nothing", got)
			}
			a.get(other).expect(http.StatusOK, "")
			a.get(app).expect(http.StatusOK, "")
			a.do(http.MethodDelete, app, "").expect(http.StatusNoContent, noBody)
			a.message(a.app())
		})
	}
}

func TestHeaderPatchWithNULStoresNothing(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example")
	a.do(http.MethodPatch, endpoint+"/headers", `{"headers":{"X-A":"\u0000"}}`).
		expect(http.StatusInternalServerError, `{}`)
	a.get(endpoint+"/headers").expect(http.StatusOK, `{"headers":{},"sensitive":[]}`)
}

// The server's task dies of a Retry-After that is no duration, and with it the attempts at all
// endpoints.
func TestRetryAfterThatNoDurationHolds(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{"inf": 0, "1e30": 0, "Infinity": 0, "NaN": 3, "1e18": 3, "-inf": 3} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			bubble(
				t,
				svixmock.Config{RetrySchedule: []time.Duration{time.Minute}, Logger: logger},
				func(a *api) {
					app := a.app()
					a.endpoint(app, "https://good.example")
					a.endpoint(app, "https://bad.example")
					a.receiver("https://good.example")
					a.receiver(
						"https://bad.example",
						status(http.StatusServiceUnavailable, "Retry-After", value),
					)
					msg := a.message(app)
					time.Sleep(time.Hour)
					synctest.Wait()
					if got := a.attempts(app, msg); len(got) != want {
						a.t.Errorf("got %d attempts, want %d: %v", len(got), want, got)
					}
				},
			)
			if loud := strings.Contains(log.String(), "level=ERROR"); loud != (want == 0) {
				t.Errorf("got the log %s", log.String())
			}
		})
	}
}

// The server would send such a message again and again.
func TestResponseWithNULIsNotStored(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	bubble(t, svixmock.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(a *api) {
		app := a.app()
		a.endpoint(app, "https://receiver.example")
		receiver := a.receiver("https://receiver.example", reply(http.StatusOK, "o\x00k"))
		msg := a.message(app)
		time.Sleep(24 * time.Hour)
		if got := a.attempts(app, msg); len(got) > 0 || len(receiver.deliveries()) != 1 {
			a.t.Errorf("got attempts %v and %d deliveries, want none and one", got, len(receiver.deliveries()))
		}
	})
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("got the log %s, want an error", log.String())
	}
}

// What the server's database refuses is an internal error, and nothing is stored. The section that
// allows less says so first.
func TestNUL(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example")
	msg := a.message(app)
	for _, request := range []struct{ method, path, body string }{
		{http.MethodGet, "/app/a%00b", ""},
		{http.MethodDelete, "/app/a%00b", ""},
		{http.MethodPut, "/app/a%00b", `{"name":"n"}`},
		{http.MethodGet, app + "/endpoint/a%00b", ""},
		{http.MethodPut, app + "/endpoint/a%00b", `{"url":"https://receiver.example"}`},
		{http.MethodGet, app + "/msg/a%00b", ""},
		{http.MethodGet, app + "/msg/" + msg + "/attempt/a%00b", ""},
		{http.MethodGet, "/event-type/a%00b", ""},
		{http.MethodPut, "/event-type/a%00b", `{"description":""}`},
		{http.MethodPost, "/app", `{"name":"n","metadata":{"a":"\u0000"}}`},
		{http.MethodPatch, app, `{"metadata":{"\u0000":"a"}}`},
		{http.MethodPost, app + "/endpoint", `{"url":"https://receiver.example","metadata":{"a":"\u0000"}}`},
		{http.MethodPatch, endpoint, `{"metadata":{"a":"\u0000"}}`},
		{http.MethodPost, "/event-type", `{"name":"a.b","description":"","schemas":{"1":{"title":"\u0000"}}}`},
		{http.MethodPost, "/event-type", `{"name":"a.b","description":"","schemas":{"\u0000":{}}}`},
		{http.MethodPost, endpoint + "/send-example", `{"eventType":"\u0000"}`},
	} {
		got := a.do(request.method, request.path, request.body)
		if got.status != http.StatusInternalServerError || string(got.body) != "{}" {
			t.Errorf(
				"%s %s %s: got status %d and %s, want 500 and {}",
				request.method,
				request.path,
				request.body,
				got.status,
				got.body,
			)
		}
	}
	a.post("/app", `{"name":"\u0000"}`).expect(http.StatusUnprocessableEntity, "")
	a.post(app+"/msg", `{"eventType":"a.b","payload":{"a":"\u0000"}}`).expect(http.StatusAccepted, "")
	if got := a.items("/event-type"); len(got) > 0 {
		t.Errorf("stored %v, want nothing", got)
	}
}

// A server that serialises requests shows only the first outcome of a race; the others are
// injected.
func TestRacesByInjectedAnswers(t *testing.T) {
	t.Parallel()
	lost := svixmock.Fault{Status: http.StatusConflict, Body: conflict, AfterActing: true}
	tests := map[string]struct {
		fault              svixmock.Fault
		method, path, body string
		status             int
	}{
		"get-or-create loses": {
			lost,
			http.MethodPost,
			"/app?get_if_exists=true",
			`{"name":"n","uid":"u"}`,
			http.StatusConflict,
		},
		"PUT of an application loses": {
			lost,
			http.MethodPut,
			"/app/u",
			`{"name":"n","uid":"u"}`,
			http.StatusConflict,
		},
		"PUT of an event type loses": {
			lost,
			http.MethodPut,
			"/event-type/a.b",
			`{"description":""}`,
			http.StatusConflict,
		},
		"header update is lost": {
			svixmock.Fault{Status: http.StatusNoContent},
			http.MethodPatch,
			"/app/a/endpoint/e/headers",
			`{"headers":{"X-A":"a"}}`,
			http.StatusNoContent,
		},
		"endpoint is deleted twice": {
			svixmock.Fault{Status: http.StatusNoContent},
			http.MethodDelete,
			"/app/a/endpoint/none",
			"",
			http.StatusNoContent,
		},
		"message's eventId was stored": {
			lost,
			http.MethodPost,
			"/app/a/msg",
			`{"eventType":"a.b","payload":{},"eventId":"e"}`,
			http.StatusConflict,
		},
		"and is not there a second time": {
			svixmock.Fault{},
			http.MethodPost,
			"/app/a/msg",
			`{"eventType":"a.b","payload":{},"eventId":"e"}`,
			http.StatusAccepted,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newMemoryAPI(t, svixmock.Config{})
			a.post("/app", `{"name":"a","uid":"a"}`).expect(http.StatusCreated, "")
			a.post("/app/a/endpoint", `{"url":"https://receiver.example","uid":"e"}`).
				expect(http.StatusCreated, "")
			a.mock.FailNext(1, tt.fault)
			if got := a.do(tt.method, tt.path, tt.body); got.status != tt.status {
				t.Errorf("got status %d, want %d", got.status, tt.status)
			}
			a.get("/app/a/endpoint/e/headers").expect(http.StatusOK, `{"headers":{},"sensitive":[]}`)
		})
	}
}

// Sets come in any order, another one in each answer, and are the same for filterTypes and
// eventTypes.
func TestSetsComeInAnyOrder(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	a.eventType("a.a", "a.b", "a.c", "a.d")
	app := a.app()
	a.endpoint(
		app,
		"https://receiver.example",
		`"channels":["a","b","c","d"],"filterTypes":["a.a","a.b","a.c","a.d"]`,
	)
	a.message(app, `"channels":["a","b","c","d"]`)
	orders := map[string]map[string]bool{}
	for range 100 {
		for path, members := range map[string][]string{"/endpoint": {"channels", "eventTypes"}, "/msg": {"channels"}} {
			item := a.items(app + path)[0]
			for _, member := range members {
				shown := jsonText(item[member])
				if member == "eventTypes" && shown != jsonText(item["filterTypes"]) {
					t.Errorf("got eventTypes %s and filterTypes %v", shown, item["filterTypes"])
				}
				if orders[path+member] == nil {
					orders[path+member] = map[string]bool{}
				}
				orders[path+member][shown] = true
			}
		}
	}
	for what, seen := range orders {
		sorted := map[string]bool{}
		for order := range seen {
			names := strings.Split(order[2:len(order)-2], `","`)
			slices.Sort(names)
			sorted[strings.Join(names, " ")] = true
		}
		if len(seen) < 2 || len(sorted) != 1 {
			t.Errorf("%s: got the orders %v, want several of one set", what, seen)
		}
	}
}

// All spellings of a path share an idempotency key.
func TestSlashesShareAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	first := a.raw(http.MethodPost, "/api/v1/app", `{"name":"a"}`, "Idempotency-Key", "k").text("id")
	for _, path := range []string{"//api/v1/app", "/api/v1//app", "/api/v1/app//", "///api/v1///app/"} {
		if got := a.raw(http.MethodPost, path, `{"name":"a"}`, "Idempotency-Key", "k").text("id"); got != first {
			t.Errorf("%s: got another application", path)
		}
	}
}
