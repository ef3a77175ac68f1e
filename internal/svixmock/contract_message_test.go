package svixmock_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

const (
	expired        = `{"expired":true}`
	missingPayload = `{"code":"missing_payload","detail":"Unable to resend message. Payload is missing ` +
		`(probably expired)."}`
)

// messageOut is the JSON of a message of the type "a.b" with some members other than by default.
func messageOut(t *testing.T, members string) string {
	t.Helper()
	object := map[string]any{
		"id":        "*",
		"eventId":   nil,
		"eventType": "a.b",
		"payload":   map[string]any{},
		"channels":  nil,
		"timestamp": "*",
	}
	if members != "" {
		maps.Copy(object, parse(t, []byte("{"+members+"}")).(map[string]any))
	}
	return jsonText(object)
}

// Section 9.1.
func TestMessageInput(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	a.message(app, `"eventId":"used"`)
	least := func(members string) string { return `{"eventType":"a.b","payload":{},` + members + `}` }
	const badCount = "Channels must have at least 1 and at most 5 items, or be set to null."
	const noObject = "Payload must be an object."
	a.run(t, map[string]exchange{
		"least": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b","payload":{}}`,
			status: 202,
			want:   messageOut(t, ""),
		},
		"nulls": {
			path:   app + "/msg",
			body:   least(`"eventId":null,"channels":null,"application":null,"transformationsParams":null`),
			status: 202,
			want:   messageOut(t, ""),
		},
		"everything": {
			path:   app + "/msg",
			body:   least(`"eventId":"e","channels":["c"],"payloadRetentionPeriod":5`),
			status: 202,
			want:   messageOut(t, `"eventId":"e","channels":["c"]`),
		},
		"data": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b","data":{"k":1}}`,
			status: 202,
			want:   messageOut(t, `"payload":{"k":1}`),
		},
		"without content": {
			path:   app + "/msg?with_content=false",
			body:   `{"eventType":"a.b","payload":{"k":1}}`,
			status: 202,
			want:   messageOut(t, ""),
		},
		"duplicate channels": {
			path:   app + "/msg",
			body:   least(`"channels":["c","c"]`),
			status: 202,
			want:   messageOut(t, `"channels":["c"]`),
		},
		"ignored": {
			path:   app + "/msg",
			body:   least(`"tags":["t"],"deliverAt":"2030-01-01T00:00:00Z","payloadRetentionHours":1`),
			status: 202,
			want:   messageOut(t, ""),
		},
		"no payload": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b"}`,
			status: 422,
			want:   undecodable(root...),
		},
		"no type": {
			path:   app + "/msg",
			body:   `{"payload":{}}`,
			status: 422,
			want:   undecodable(root...),
		},
		"payload an array": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b","payload":[{}]}`,
			status: 422,
			want:   invalidBody(noObject, "payload"),
		},
		"payload a text": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b","payload":"{}"}`,
			status: 422,
			want:   invalidBody(noObject, "payload"),
		},
		"payload null": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b","payload":null}`,
			status: 422,
			want:   invalidBody(noObject, "payload"),
		},
		"data a number": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b","data":1}`,
			status: 422,
			want:   invalidBody(noObject, "payload"),
		},
		"payload cut off": {
			path:   app + "/msg",
			body:   `{"eventType":"a.b","payload":{"k":1}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"bad type": {
			path:   app + "/msg",
			body:   `{"eventType":"a b","payload":{}}`,
			status: 422,
			want:   invalidBody(badCharacters, "event_type", "__all__"),
		},
		"no channels": {
			path:   app + "/msg",
			body:   least(`"channels":[]`),
			status: 422,
			want:   invalidBody(badCount, "channels"),
		},
		"6 channels": {
			path:   app + "/msg",
			body:   least(`"channels":` + names(6)),
			status: 422,
			want:   invalidBody(badCount, "channels"),
		},
		"bad channel": {
			path:   app + "/msg",
			body:   least(`"channels":["a b"]`),
			status: 422,
			want:   invalidBody(badCharacters, "channels", "__all__"),
		},
		"eventId used": {
			path:   app + "/msg",
			body:   least(`"eventId":"used"`),
			status: 409,
			want:   conflict,
		},
		"eventId like an id": {
			path:   app + "/msg",
			body:   least(`"eventId":"msg_1"`),
			status: 422,
			want:   invalidBody(badUID, "uid", "__all__"),
		},
		"retention of 4 days": {
			path:   app + "/msg",
			body:   least(`"payloadRetentionPeriod":4`),
			status: 422,
			want:   invalidBody("Validation error", "payload_retention_period"),
		},
		"retention of 91": {
			path:   app + "/msg",
			body:   least(`"payloadRetentionPeriod":91`),
			status: 422,
			want:   invalidBody("Validation error", "payload_retention_period"),
		},
		"retention null": {
			path:   app + "/msg",
			body:   least(`"payloadRetentionPeriod":null`),
			status: 422,
			want:   undecodable("payloadRetentionPeriod"),
		},
		"all together": {
			path:   app + "/msg",
			body:   `{"eventType":"","payload":1,"channels":[],"payloadRetentionPeriod":1,"eventId":"a b"}`,
			status: 422,
			want: invalid(
				issue{
					[]string{"body", "event_type", "__all__"},
					"*",
					"value_error",
				},
				issue{[]string{"body", "payload"}, noObject, "value_error"},
				issue{
					[]string{"body", "channels"},
					badCount,
					"value_error",
				},
				issue{[]string{"body", "payload_retention_period"}, "*", "value_error"},
				issue{[]string{"body", "uid", "__all__"}, badCharacters, "value_error"},
			),
		},
	})
	if got := len(a.list(app + "/msg").ids); got != 8 {
		t.Errorf("got %d messages, want the 8 that were accepted", got)
	}
}

// Section 9.1: the application in the body is used where that in the path does not exist.
func TestMessageWithApplication(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	body := func(application string) string {
		return `{"eventType":"a.b","payload":{},"application":` + application + `}`
	}
	refused := func(msg, kind string) string {
		return invalid(issue{[]string{"body", "application", "uid"}, msg, kind})
	}
	const noUID, mismatch = "Application UID not set in body", "Application UID in the path and body must match"
	a.post("/app/new/msg", body(`{"name":"n"}`)).
		expect(http.StatusUnprocessableEntity, refused(noUID, "application_uid_missing"))
	a.post("/app/new/msg", body(`{"name":"n","uid":"other"}`)).
		expect(http.StatusUnprocessableEntity, refused(mismatch, "application_uid_mismatch"))
	a.post("/app/new/msg", body(`{"name":""}`)).
		expect(http.StatusUnprocessableEntity, invalid(issue{
			[]string{"body", "application", "name"},
			"*",
			"value_error",
		}))
	a.get("/app/new").expect(http.StatusNotFound, notFound)
	a.post("/app/new/msg", body(`{"name":"n","uid":"new","metadata":{"k":"v"}}`)).
		expect(http.StatusAccepted, messageOut(t, ""))
	created := a.get("/app/new").
		expect(http.StatusOK, `{"id":"*","uid":"new","name":"n","throttleRate":null,"metadata":{"k":"v"},`+
			`"createdAt":"*","updatedAt":"*"}`)
	a.post("/app/new/msg", body(`{"name":"changed","uid":"new"}`)).expect(http.StatusAccepted, "")
	a.get("/app/new").expect(http.StatusOK, string(created.body))
	a.post(app+"/msg", body(`{"name":"unused","uid":"unused"}`)).expect(http.StatusAccepted, "")
	a.get("/app/unused").expect(http.StatusNotFound, notFound)
}

// Section 9.2: what is delivered byte for byte is returned in a form of its own.
func TestPayloadText(t *testing.T) {
	t.Parallel()
	arrays := func(n int) string { return `{"a":` + strings.Repeat("[", n) + "7" + strings.Repeat("]", n) + `}` }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "7" + strings.Repeat("}", n) }
	tests := map[string]struct{ payload, returned string }{
		"minified and sorted": {
			"{ \"b\" : [ 1 , 2 ],\n\"a\": {\"d\":null,\"c\":true} }",
			`{"a":{"c":true,"d":null},"b":[1,2]}`,
		},
		"keys by byte": {
			`{"é":1,"z":2,"Z":3,"aa":4,"a":5,"":6}`,
			`{"":6,"Z":3,"a":5,"aa":4,"z":2,"é":1}`,
		},
		"last of duplicates": {`{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		"string escapes": {
			`{"a":"\u0041\/\u00e9\u20ac\ud83d\ude00\"\\\b\f\n\r\t\u001F<>&\u2028"}`,
			`{"a":"A/é€😀\"\\\b\f\n\r\t\u001f<>&` + "\u2028" + `"}`,
		},
		"escaped keys": {`{"\u0061":1}`, `{"a":1}`},
		"digits of numbers": {
			`{"a":[1.0,1.50,0.1000,-0,-0.0,12345678901234567890123456789]}`,
			`{"a":[1.0,1.50,0.1000,0,-0.0,12345678901234567890123456789]}`,
		},
		"exponents":               {`{"a":[1e5,1E5,1e+5,1.5E-3,1e-07]}`, `{"a":[1e+5,1e+5,1e+5,1.5e-3,1e-07]}`},
		"nested arrays":           {arrays(120), arrays(120)},
		"nested objects":          {objects(120), objects(120)},
		"arrays nested too deep":  {arrays(200), expired},
		"objects nested too deep": {objects(200), expired},
		"lone surrogate":          {`{"a":"\ud800"}`, expired},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
			r := a.receiver("https://receiver.example")
			app := a.app()
			endpoint := a.endpoint(app, "https://receiver.example")
			created := a.post(app+"/msg", `{"eventType":"a.b","payload":`+tt.payload+`}`).
				expect(http.StatusAccepted, "")
			id := created.text("id")
			a.delivered(1)
			if diff := cmp.Diff(tt.payload, string(r.deliveries()[0].body)); diff != "" {
				t.Errorf("delivered (-want +got):\n%s", diff)
			}
			want := `"payload":` + tt.returned
			for how, ans := range map[string]answer{
				"created": created, "got": a.get(app + "/msg/" + id),
				"listed": a.get(app + "/msg"),
			} {
				if !strings.Contains(string(ans.body), want+",") &&
					!strings.Contains(string(ans.body), want+"}") {
					t.Errorf("%s: %s, want %s in it", how, ans.body, want)
				}
			}
			resend := a.post(app+"/msg/"+id+"/endpoint/"+endpoint+"/resend", "")
			if tt.returned == expired {
				resend.expect(http.StatusBadRequest, missingPayload)
			} else {
				resend.expect(http.StatusAccepted, `{}`)
			}
		})
	}
}

// Section 9.1: a raw payload is the delivered body.
func TestRawPayload(t *testing.T) {
	t.Parallel()
	for raw, returned := range map[string]string{
		`{ "a" : "<&>", "b":1.0 }`: `{"a":"<&>","b":1.0}`,
		`no JSON`:                  expired,
		``:                         expired,
	} {
		a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
		r := a.receiver("https://receiver.example")
		app := a.app()
		a.endpoint(app, "https://receiver.example", `"secret":"`+symmetric+`"`)
		a.post(app+"/msg", `{"eventType":"a.b","payload":{"x":1},"transformationsParams":`+
			jsonText(
				map[string]any{
					"rawPayload": raw,
					"headers":    map[string]string{"content-type": "text/plain"},
					"other":      1,
				},
			)+`}`).
			expect(http.StatusAccepted, messageOut(t, `"payload":`+returned))
		a.delivered(1)
		got := r.deliveries()[0]
		if diff := cmp.Diff(raw, string(got.body)); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		if contentType := got.header.Get("Content-Type"); contentType != "application/json" {
			t.Errorf("got content type %q", contentType)
		}
		checkSignatures(t, got, symmetric)
	}
}

func TestRawPayloadInput(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	path := a.app() + "/msg"
	a.run(t, map[string]exchange{
		"payload is checked all the same": {
			path:   path,
			body:   `{"eventType":"a","payload":[],"transformationsParams":{"rawPayload":"x"}}`,
			status: 422,
			want:   invalidBody("*", "payload"),
		},
		"payload is required": {
			path:   path,
			body:   `{"eventType":"a","transformationsParams":{"rawPayload":"{}"}}`,
			status: 422,
			want:   undecodable(root...),
		},
		"no raw payload": {
			path:   path,
			body:   `{"eventType":"a.b","payload":{"k":1},"transformationsParams":{}}`,
			status: 202,
			want:   messageOut(t, `"payload":{"k":1}`),
		},
	})
}

// Sections 9.3 and 9.5: contents go, messages stay.
func TestContentExpires(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	clock := a.clock()
	r := a.receiver("https://receiver.example")
	app := a.app()
	endpoint := a.endpoint(app, "https://receiver.example")
	short := a.message(app, `"payloadRetentionPeriod":5`, `"eventId":"e"`)
	long := a.message(app)
	a.delivered(2)
	clock.set(5*day - time.Minute)
	a.get(app+"/msg/"+short).expect(http.StatusOK, messageOut(t, `"eventId":"e"`))
	clock.set(6 * day)
	a.get(app+"/msg/"+short).expect(http.StatusOK, messageOut(t, `"eventId":"e","payload":`+expired))
	a.get(app+"/msg/"+short+"?with_content=false").expect(http.StatusOK, messageOut(t, `"eventId":"e"`))
	a.get(app+"/msg/"+long).expect(http.StatusOK, messageOut(t, ""))
	a.post(app+"/msg/"+short+"/endpoint/"+endpoint+"/resend", "").expect(http.StatusBadRequest, missingPayload)
	a.post(app+"/msg/"+short+"/endpoint/ep_missing/resend", "").expect(http.StatusBadRequest, missingPayload)
	a.post(app+"/msg", `{"eventType":"a","payload":{},"eventId":"e"}`).expect(http.StatusConflict, conflict)
	if got := len(r.deliveries()); got != 2 {
		t.Errorf("got %d deliveries, want 2", got)
	}
	clock.set(91 * day)
	a.get(app+"/msg/"+long).expect(http.StatusOK, messageOut(t, `"payload":`+expired))
}

// Section 12.
func TestDeleteMessageContent(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	id := a.message(app)
	a.do(http.MethodDelete, app+"/msg/"+id+"/content", "").expect(http.StatusNoContent, noBody)
	a.get(app+"/msg/"+id).expect(http.StatusOK, messageOut(t, `"payload":`+expired))
	a.do(http.MethodDelete, app+"/msg/msg_missing/content", "").expect(http.StatusNotFound, notFound)
}

// Section 9.3.
func TestGetMessage(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app, other := a.app(), a.app()
	created := a.post(app+"/msg", `{"eventType":"a.b","payload":{"k":1},"eventId":"e","channels":["c"]}`).
		expect(http.StatusAccepted, "")
	id := created.text("id")
	for _, ref := range []string{id, "e"} {
		a.get(app+"/msg/"+ref).expect(http.StatusOK, string(created.body))
		a.get(app+"/msg/"+ref+"?with_content=true").expect(http.StatusOK, string(created.body))
		a.get(app+"/msg/"+ref+"?with_content=false").
			expect(http.StatusOK, messageOut(t, `"eventId":"e","channels":["c"]`))
		a.get(other+"/msg/"+ref).expect(http.StatusNotFound, notFound)
	}
	a.get(app+"/msg/msg_missing").expect(http.StatusNotFound, notFound)
	a.get("/app/"+missing+"/msg/"+id).expect(http.StatusNotFound, notFound)
}

// Section 9.4; pages and windows are tested with the other lists.
func TestListMessages(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	app := a.app()
	byID := map[string]string{}
	for i, members := range []string{``, `"channels":["c"]`, `"channels":["d","c"]`, `"channels":["D"]`} {
		clock.set(time.Duration(i) * time.Second)
		extra := []string{`"eventId":"` + string(rune('0'+i)) + `"`}
		if members != "" {
			extra = append(extra, members)
		}
		byID[a.message(app, extra...)] = string(rune('0' + i))
	}
	for query, want := range map[string]string{
		"":                             "3210",
		"?channel=c":                   "21",
		"?channel=d":                   "2",
		"?channel=x":                   "",
		"?channel=c&event_types=a.b":   "21",
		"?channel=c&event_types=a.c":   "",
		"?channel=c&before=" + at(2e9): "1",
		"?tag=x":                       "3210",
		"?channel=c&limit=1":           "2",
	} {
		var found []string
		for _, id := range a.list(app + "/msg" + query).ids {
			found = append(found, byID[id])
		}
		if got := strings.Join(found, ""); got != want {
			t.Errorf("%s: got messages %q, want %q", query, got, want)
		}
	}
	a.get("/app/"+missing+"/msg").expect(http.StatusNotFound, notFound)
	items := a.items(app + "/msg?with_content=false&limit=1")
	if diff := cmp.Diff(map[string]any{}, items[0]["payload"]); diff != "" {
		t.Errorf("payload without content (-want +got):\n%s", diff)
	}
}
