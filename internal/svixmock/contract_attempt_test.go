package svixmock_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Section 10.1.
func TestAttemptObject(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
		a.receiver("https://receiver.example", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(1234 * time.Millisecond)
			reply(http.StatusTeapot, "short and stout")(w, nil)
		}, reply(http.StatusNoContent, ""))
		app := a.app()
		endpoint := a.endpoint(app, "https://Receiver.example/path?a=b", `"uid":"u"`)
		msg := a.message(app, `"eventId":"e"`)
		time.Sleep(time.Minute)
		a.post(app+"/msg/e/endpoint/u/resend", "").expect(http.StatusAccepted, `{}`)
		synctest.Wait()
		object := func(response, code, duration, status, text, trigger, timestamp string) string {
			return `{"id":"*","msgId":"` + msg + `","endpointId":"` + endpoint + `",` +
				`"url":"https://receiver.example/path?a=b","response":"` + response +
				`","responseStatusCode":` + code + `,"responseDurationMs":` + duration + `,"status":` +
				status + `,"statusText":"` + text +
				`","triggerType":` + trigger + `,"timestamp":"` + timestamp + `"}`
		}
		failed := object("short and stout", "418", "1234", "2", "fail", "0", "2026-01-01T00:00:00Z")
		succeeded := object("", "204", "0", "0", "success", "1", "2026-01-01T00:01:00Z")
		for _, path := range []string{app + "/attempt/msg/e", app + "/attempt/msg/" + msg, app +
			"/attempt/endpoint/u", app + "/attempt/endpoint/" + endpoint} {
			got := a.get(path).
				expect(http.StatusOK, `{"data":[`+succeeded+`,`+failed+`],"iterator":"*","prevIterator":"*",`+
					`"done":true}`)
			for _, item := range got.field("data").([]any) {
				id := item.(map[string]any)["id"].(string)
				a.get(app+"/msg/e/attempt/"+id).expect(http.StatusOK, jsonText(item))
			}
		}
		got := a.items(app + "/attempt/msg/e?with_content=false")
		if got[0]["response"] != "{}" || got[1]["response"] != "{}" {
			a.t.Errorf(
				"got responses %q and %q without content, want {}",
				got[0]["response"],
				got[1]["response"],
			)
		}
	})
}

// Section 10.2: filters, on attempts of two endpoints for three messages.
func TestAttemptFilters(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	clock := a.clock()
	app := a.app()
	a.receiver("https://one.example", status(200), status(302), status(404))
	a.receiver("https://two.example", status(503), status(204), status(500))
	closed := "http://127.0.0.1:1"
	one := a.endpoint(app, "https://one.example", `"uid":"one"`)
	a.endpoint(app, "https://two.example", `"uid":"two"`)
	var messages []string
	for i, members := range []string{`"eventType":"x","channels":["c"]`, `"eventType":"y"`, `"eventType":"x"`} {
		clock.set(time.Duration(i) * time.Second)
		messages = append(
			messages,
			a.post(app+"/msg", `{"payload":{},`+members+`}`).expect(http.StatusAccepted, "").text("id"),
		)
		a.delivered(2 * (i + 1))
	}
	clock.set(10 * time.Second)
	a.do(http.MethodPatch, app+"/endpoint/one", `{"url":"`+closed+`"}`).expect(http.StatusOK, "")
	a.do(http.MethodPatch, app+"/endpoint/two", `{"disabled":true}`).expect(http.StatusOK, "")
	last := a.message(app)
	a.delivered(7)

	codes := func(path string) string {
		var got []int
		for _, item := range a.items(path) {
			got = append(got, int(item["responseStatusCode"].(float64)))
		}
		return fmt.Sprint(got)
	}
	for query, want := range map[string]string{
		"":                                 "[0 404 302 200]",
		"?status=0":                        "[200]",
		"?status=2":                        "[0 404 302]",
		"?status=1":                        "[]",
		"?status=3":                        "[]",
		"?status_code_class=0":             "[0]",
		"?status_code_class=100":           "[]",
		"?status_code_class=200":           "[200]",
		"?status_code_class=300":           "[302]",
		"?status_code_class=400":           "[404]",
		"?status_code_class=500":           "[]",
		"?channel=c":                       "[200]",
		"?channel=d":                       "[]",
		"?event_types=x":                   "[404 200]",
		"?event_types=x,y":                 "[404 302 200]",
		"?event_types=x&status=2":          "[404]",
		"?before=" + at(2e9):               "[302 200]",
		"?after=" + at(1e9):                "[0 404 302]",
		"?limit=1":                         "[0]",
		"?tag=x&expanded_statuses=true":    "[0 404 302 200]",
		"?status=2&limit=1&after=" + at(0): "[302]",
	} {
		for _, ref := range []string{"one", one} {
			if got := codes(app + "/attempt/endpoint/" + ref + query); got != want {
				t.Errorf("by endpoint %s: got %s, want %s", query, got, want)
			}
		}
	}
	for query, want := range map[string]string{
		"?endpoint_id=one":                        "[200]",
		"?endpoint_id=" + one:                     "[200]",
		"?endpoint_id=two":                        "[503]",
		"?endpoint_id=two&status=0":               "[]",
		"?status_code_class=500":                  "[503]",
		"?channel=c&event_types=x&status=0":       "[200]",
		"?channel=d":                              "[]",
		"?event_types=y":                          "[]",
		"?status=2&event_types=x&endpoint_id=two": "[503]",
	} {
		if got := codes(app + "/attempt/msg/" + messages[0] + query); got != want {
			t.Errorf("by message %s: got %s, want %s", query, got, want)
		}
	}
	if got := codes(app + "/attempt/msg/" + last); got != "[0]" {
		t.Errorf("last message: got %s, want the enabled endpoint's only", got)
	}
}

// Sections 8.7 and 10: what is not there.
func TestAbsentAttempts(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example")
	app, other := a.app(), a.app()
	endpoint := a.endpoint(app, "https://receiver.example")
	msg := a.message(app)
	silent := a.post(app+"/msg", `{"eventType":"a.b","payload":{}}`).text("id")
	a.delivered(2)
	attempt := a.attempts(app, msg)[0]["id"].(string)
	for _, path := range []string{
		app + "/attempt/msg/msg_missing", app + "/attempt/endpoint/ep_missing", other + "/attempt/msg/" +
			msg, other + "/attempt/endpoint/" + endpoint,
		"/app/" + missing + "/attempt/msg/" + msg, app + "/attempt/msg/" + msg + "?endpoint_id=ep_missing",
		app + "/msg/" + silent + "/attempt/" + attempt, app + "/msg/" + msg + "/attempt/atmpt_missing", app +
			"/msg/msg_missing/attempt/" + attempt,
		other + "/msg/" + msg + "/attempt/" + attempt,
	} {
		a.get(path).expect(http.StatusNotFound, notFound)
	}
	a.do(http.MethodDelete, app+"/endpoint/"+endpoint, "").expect(http.StatusNoContent, noBody)
	a.get(app+"/attempt/endpoint/"+endpoint).expect(http.StatusNotFound, notFound)
	a.get(app+"/attempt/msg/"+msg+"?endpoint_id="+endpoint).expect(http.StatusNotFound, notFound)
	if got := a.attempts(app, msg); len(got) != 1 || got[0]["endpointId"] != endpoint {
		t.Errorf("got %v, want the deleted endpoint's attempt", got)
	}
	unheard := a.message(app)
	if got := a.attempts(app, unheard); len(got) != 0 {
		t.Errorf("got %v for a message without recipients", got)
	}
}

// Section 12.
func TestDeleteAttemptContent(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example", reply(http.StatusOK, "private"))
	app := a.app()
	a.endpoint(app, "https://receiver.example")
	msg := a.message(app)
	a.delivered(1)
	path := app + "/msg/" + msg + "/attempt/" + a.attempts(app, msg)[0]["id"].(string)
	a.do(http.MethodDelete, path+"/content", "").expect(http.StatusNoContent, noBody)
	if got := a.get(path).text("response"); got != "EXPUNGED" {
		t.Errorf("got response %q", got)
	}
	a.do(http.MethodDelete, app+"/msg/"+msg+"/attempt/atmpt_missing/content", "").
		expect(http.StatusNotFound, problem("not_found", "*"))
}

// Section 10.4.
func TestResendInput(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example")
	app := a.app()
	endpoint := a.endpoint(app, "https://receiver.example", `"uid":"u"`)
	msg := a.message(app, `"eventId":"e"`)
	a.run(t, map[string]exchange{
		"by ids": {
			path:   app + "/msg/" + msg + "/endpoint/" + endpoint + "/resend",
			status: 202,
			want:   `{}`,
		},
		"by uids":          {path: app + "/msg/e/endpoint/u/resend", status: 202, want: `{}`},
		"with a body":      {path: app + "/msg/e/endpoint/u/resend", body: `nonsense`, status: 202, want: `{}`},
		"unknown app":      {path: "/app/" + missing + "/msg/e/endpoint/u/resend", status: 404, want: notFound},
		"unknown message":  {path: app + "/msg/msg_x/endpoint/u/resend", status: 404, want: notFound},
		"unknown endpoint": {path: app + "/msg/e/endpoint/ep_x/resend", status: 404, want: notFound},
	})
}

// Section 10.4: a manual attempt is made once, and ends the retries that were planned.
func TestResendAndRetries(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answers []http.HandlerFunc // to the first attempt, the manual one, and the others
		resend  time.Duration      // 0: never
		want    []time.Duration    // from the message to each attempt
	}{
		"no resend": {
			[]http.HandlerFunc{status(500)},
			0,
			[]time.Duration{0, time.Minute, 3 * time.Minute},
		},
		"resend fails": {
			[]http.HandlerFunc{status(500)},
			30 * time.Second,
			[]time.Duration{0, 30 * time.Second},
		},
		"resend works": {
			[]http.HandlerFunc{status(500), status(200), status(500)},
			30 * time.Second,
			[]time.Duration{0, 30 * time.Second},
		},
		"between": {
			[]http.HandlerFunc{status(500)},
			90 * time.Second,
			[]time.Duration{0, time.Minute, 90 * time.Second},
		},
		"at the end": {
			[]http.HandlerFunc{status(500)},
			time.Hour,
			[]time.Duration{0, time.Minute, 3 * time.Minute, time.Hour},
		},
		"after success": {
			[]http.HandlerFunc{status(200), status(500)},
			time.Hour,
			[]time.Duration{0, time.Hour},
		},
		"after recovery": {
			[]http.HandlerFunc{status(500), status(200), status(500)},
			time.Hour,
			[]time.Duration{0, time.Minute, time.Hour},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(
				t,
				svixmock.Config{RetrySchedule: []time.Duration{time.Minute, 2 * time.Minute}},
				func(a *api) {
					begin := time.Now()
					r := a.receiver("https://receiver.example", tt.answers...)
					app := a.app()
					endpoint := a.endpoint(app, "https://receiver.example")
					msg := a.message(app)
					if tt.resend > 0 {
						time.Sleep(tt.resend)
						a.post(app+"/msg/"+msg+"/endpoint/"+endpoint+"/resend", "").
							expect(http.StatusAccepted, `{}`)
					}
					time.Sleep(3 * time.Hour)
					var got []time.Duration
					var triggers []int
					for _, d := range r.deliveries() {
						got = append(got, d.at.Sub(begin))
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						a.t.Errorf("times of attempts (-want +got):\n%s", diff)
					}
					for _, item := range a.attempts(app, msg) {
						triggers = append(triggers, int(item["triggerType"].(float64)))
					}
					slices.Reverse(triggers)
					want := make([]int, len(tt.want))
					for i, d := range tt.want {
						if tt.resend > 0 && d == tt.resend {
							want[i] = 1
						}
					}
					if diff := cmp.Diff(want, triggers); diff != "" {
						a.t.Errorf("trigger types (-want +got):\n%s", diff)
					}
				},
			)
		})
	}
}

// Section 12: an endpoint recovers the messages that failed since a time.
func TestRecover(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
		r := a.receiver(
			"https://receiver.example",
			status(500),
			status(500),
			status(200),
			status(500),
			status(200),
		)
		app := a.app()
		endpoint := a.endpoint(app, "https://receiver.example")
		var messages []string
		for range 4 { // which fails, fails, succeeds, fails
			messages = append(messages, a.message(app))
			time.Sleep(time.Minute)
		}
		a.post(app+"/endpoint/"+endpoint+"/recover", `{"since":"2026-01-01T00:01:00Z"}`).
			expect(http.StatusAccepted, `{"id":"*","status":"*","task":"endpoint.recover","updatedAt":"*"}`)
		time.Sleep(time.Minute)
		got := map[string]int{}
		for _, d := range r.deliveries() {
			got[d.header.Get("Webhook-Id")]++
		}
		want := map[string]int{messages[0]: 1, messages[1]: 2, messages[2]: 1, messages[3]: 2}
		if diff := cmp.Diff(want, got); diff != "" {
			a.t.Errorf("deliveries by message (-want +got):\n%s", diff)
		}
		a.post(app+"/endpoint/ep_missing/recover", `{"since":"2026-01-01T00:01:00Z"}`).
			expect(http.StatusNotFound, notFound)
		a.post(app+"/endpoint/"+endpoint+"/recover", `{}`).
			expect(http.StatusUnprocessableEntity, undecodable(root...))
	})
}
