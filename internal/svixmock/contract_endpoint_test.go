package svixmock_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// endpointOut is the JSON of an endpoint with some members other than by default.
func endpointOut(t *testing.T, members string) string {
	t.Helper()
	object := map[string]any{
		"id": "*", "uid": nil, "url": "https://a.example/", "description": "", "disabled": false,
		"version": 1, "throttleRate": nil,
		"rateLimit": nil, "eventTypes": nil, "filterTypes": nil, "channels": nil,
		"metadata": map[string]any{}, "createdAt": "*", "updatedAt": "*",
	}
	if members != "" {
		maps.Copy(object, parse(t, []byte("{"+members+"}")).(map[string]any))
	}
	return jsonText(object)
}

// Sections 8.1 and 8.2.
func TestEndpointInput(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	a.eventType("a.b", "a.c", "old")
	a.do(http.MethodDelete, "/event-type/old", "").expect(http.StatusNoContent, noBody)
	rates := func(body string) string { return `"url":"https://a.example",` + body }
	tests := map[string]struct {
		members string // of the request
		status  int
		want    string // members of the answer, or a whole body where the status is 422
	}{
		"least": {`"url":"https://a.example"`, 201, ""},
		"nulls": {
			rates(
				`"uid":null,"version":null,"throttleRate":null,"rateLimit":null,"filterTypes":null,` +
					`"channels":null,"metadata":null,"secret":null`,
			),
			201,
			"",
		},
		"everything": {
			rates(
				`"uid":"u","description":"d","disabled":true,"version":65535,"throttleRate":65535,` +
					`"filterTypes":["a.b"],"channels":["c"],"metadata":{"k":"v"}`,
			), 201,
			`"uid":"u","description":"d","disabled":true,"version":65535,"throttleRate":65535,` +
				`"rateLimit":65535,"eventTypes":["a.b"],"filterTypes":["a.b"],"channels":["c"],"metadata":{"k":"v"}`,
		},
		"eventTypes": {
			rates(`"eventTypes":["a.b"]`),
			201,
			`"eventTypes":["a.b"],"filterTypes":["a.b"]`,
		},
		"rateLimit": {rates(`"rateLimit":7`), 201, `"throttleRate":7,"rateLimit":7`},
		"duplicates": {
			rates(`"channels":["c","c"],"filterTypes":["a.b","a.b"]`),
			201,
			`"eventTypes":["a.b"],"filterTypes":["a.b"],"channels":["c"]`,
		},
		"headers are ignored": {rates(`"headers":{"content-type":"x"}`), 201, ""},
		"loopback":            {`"url":"http://127.0.0.1:1/a?b=c"`, 201, `"url":"http://127.0.0.1:1/a?b=c"`},
		"long url": {
			`"url":"https://a.example/` + strings.Repeat("p", 5000) + `"`,
			201,
			`"url":"https://a.example/` + strings.Repeat("p", 5000) + `"`,
		},
		"no url":       {`"description":""`, 422, undecodable(root...)},
		"empty url":    {`"url":""`, 422, undecodable("url")},
		"relative url": {`"url":"/a"`, 422, undecodable("url")},
		"no http url": {
			`"url":"ftp://a.example"`,
			422,
			invalidBody("Endpoint URL schemes must be http or https", "url"),
		},
		"control characters": {
			rates(`"description":"\u0003"`),
			422,
			invalidBody("Control characters 0x00-0x08 not allowed.", "description"),
		},
		"version 0":      {rates(`"version":0`), 422, invalidBody("*", "version")},
		"version 65536":  {rates(`"version":65536`), 422, undecodable("version")},
		"throttleRate 0": {rates(`"throttleRate":0`), 422, invalidBody("*", "throttle_rate")},
		"rateLimit 0":    {rates(`"rateLimit":0`), 422, invalidBody("*", "rate_limit")},
		"uid":            {rates(`"uid":"ep_u"`), 422, invalidBody(badUID, "uid", "__all__")},
		"no filter types": {
			rates(`"filterTypes":[]`),
			422,
			invalidBody("eventTypes can't be empty, it must have at least one item.", "event_types"),
		},
		"no event types": {
			rates(`"eventTypes":[]`),
			422,
			invalidBody("eventTypes can't be empty, it must have at least one item.", "event_types"),
		},
		"unknown filter type": {
			rates(`"filterTypes":["a.b","x"]`),
			422,
			invalidBody("The following event types don't exist: x", "eventTypes"),
		},
		"archived filter type": {
			rates(`"filterTypes":["old","a.c"]`),
			422,
			invalidBody("The following event types don't exist: old", "eventTypes"),
		},
		"no channels": {
			rates(`"channels":[]`),
			422,
			invalidBody("Channels must have at least 1 and at most 10 items, or be set to null.", "channels"),
		},
		"11 channels": {
			rates(`"channels":` + names(11)),
			422,
			invalidBody("Channels must have at least 1 and at most 10 items, or be set to null.", "channels"),
		},
		"metadata too large": {
			rates(`"metadata":{"k":"` + strings.Repeat("v", 4096) + `"}`),
			422,
			undecodableAnywhere,
		},
		"disabled is null": {rates(`"disabled":null`), 422, undecodable("disabled")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := tt.want
			if tt.status == http.StatusCreated {
				want = endpointOut(t, want)
			}
			created := a.with(t).post(app+"/endpoint", "{"+tt.members+"}").expect(tt.status, want)
			if tt.status == http.StatusCreated {
				a.with(t).get(app+"/endpoint/"+created.text("id")).expect(http.StatusOK, string(created.body))
			}
		})
	}
	t.Run("several unknown filter types", func(t *testing.T) {
		items := a.with(t).post(app+"/endpoint",
			`{"url":"https://a.example","filterTypes":["x","y"]}`).expect(http.StatusUnprocessableEntity,
			"").field("detail").([]any)
		if msg := items[0].(map[string]any)["msg"]; msg != "The following event types don't exist: x, y" &&
			msg != "The following event types don't exist: y, x" {
			t.Errorf("got msg %q", msg)
		}
	})
}

// Section 8.2: the URL is stored in its normal form.
func TestEndpointURLs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	for given, want := range map[string]string{
		"https://A.Example":             "https://a.example/",
		"HTTPS://a.example/Path":        "https://a.example/Path",
		"https://a.example:443":         "https://a.example/",
		"http://a.example:80/x":         "http://a.example/x",
		"http://a.example:443/x":        "http://a.example:443/x",
		"https://a.example:8443":        "https://a.example:8443/",
		"https://a.example?q":           "https://a.example/?q",
		"https://a.example/a/./b/../c":  "https://a.example/a/c",
		"https://a.example/a/%2e%2E/b":  "https://a.example/b",
		"https://a.example/ü x":         "https://a.example/%C3%BC%20x",
		"https://a.example/%c3%BC":      "https://a.example/%c3%BC",
		"https://a.example/?q=\\\"<>":   "https://a.example/?q=%22%3C%3E",
		"https://a.example/#f":          "https://a.example/#f",
		"https://user@a.example":        "https://user@a.example/",
		"https://müller.example/":       "https://xn--mller-kva.example/",
		"http://0x7f.1/":                "http://127.0.0.1/",
		"http://[::1]:8080":             "http://[::1]:8080/",
		"https://a.example//double//":   "https://a.example//double//",
		" https://a.example/ ":          "https://a.example/",
		"https://a.example\\\\back":     "https://a.example/back",
		"https://a.example/a?b=c d#e f": "https://a.example/a?b=c%20d#e%20f",
	} {
		if got := a.post(app+"/endpoint", `{"url":"`+given+`"}`).expect(http.StatusCreated,
			"").text("url"); got != want {
			t.Errorf("%s: got %s, want %s", given, got, want)
		}
	}
	for _, given := range []string{"https://", "https:///", "a.example", "//a.example", "https://a " +
		"b.example/", "http://a.example:99999/", "http://1.2.3.4.5/", "http://a%zz/"} {
		a.post(app+"/endpoint", `{"url":"`+given+`"}`).
			expect(http.StatusUnprocessableEntity, undecodable("url"))
	}
}

// Section 8.3.
func TestEndpointSecrets(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	base64Of := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	const wrongLength = "secret length invalid"
	for given, want := range map[string]exchange{
		`"` + symmetric + `"`:               {status: 201},
		`"whsec_` + base64Of(24) + `"`:      {status: 201},
		`"whsec_` + base64Of(75) + `"`:      {status: 201},
		`null`:                              {status: 201},
		`"whsec_` + base64Of(23) + `"`:      {status: 422, want: wrongLength},
		`"whsec_` + base64Of(76) + `"`:      {status: 422, want: wrongLength},
		`"whsec_"`:                          {status: 422, want: wrongLength},
		`"` + base64Of(24) + `"`:            {status: 422},
		`""`:                                {status: 422},
		`"whsex_` + base64Of(24) + `"`:      {status: 422},
		`"WHSEC_` + base64Of(24) + `"`:      {status: 422},
		`"whsec_` + base64Of(25)[:35] + `"`: {status: 422}, // padding cut off
		`"whsec_$$$$"`:                      {status: 422},
		`"whpk_` + base64Of(32) + `"`:       {status: 422},
		`7`:                                 {status: 422},
	} {
		create := want.want
		rotate := want.want
		switch {
		case want.status == http.StatusCreated:
		case want.want != "":
			create, rotate = invalidBody(
				wrongLength,
				"key",
				"__all__",
			), invalidBody(
				wrongLength,
				"key",
				"__all__",
			)
		default:
			create, rotate = undecodable("secret"), undecodable("key")
		}
		a.post(app+"/endpoint", `{"url":"https://a.example","secret":`+given+`}`).expect(want.status, create)
		status := want.status
		if status == http.StatusCreated {
			status = http.StatusNoContent
		}
		id := a.endpoint(app, "https://a.example")
		a.post(app+"/endpoint/"+id+"/secret/rotate", `{"key":`+given+`}`).expect(status, rotate)
	}
}

func TestGeneratedSecrets(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	seen := map[string]bool{}
	for _, members := range []string{"", `,"secret":null`} {
		id := a.post(app+"/endpoint", `{"url":"https://a.example"`+members+`}`).text("id")
		key := a.get(app+"/endpoint/"+id+"/secret").expect(http.StatusOK, `{"key":"*"}`).text("key")
		text, ok := strings.CutPrefix(key, "whsec_")
		if raw, err := base64.StdEncoding.DecodeString(text); !ok || err != nil || len(raw) != 24 ||
			len(text) != 32 ||
			seen[key] {
			t.Errorf("got secret %q, want a new one of 24 bytes", key)
		}
		seen[key] = true
	}
	a.get(app+"/endpoint/ep_missing/secret").expect(http.StatusNotFound, notFound)
	a.post(app+"/endpoint/ep_missing/secret/rotate", "{}").expect(http.StatusNotFound, notFound)
}

// Section 8.4.
func TestEndpointUIDs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app, other := a.app(), a.app()
	id := a.endpoint(app, "https://a.example", `"uid":"u"`)
	second := a.endpoint(app, "https://a.example", `"uid":"v"`)
	a.endpoint(other, "https://a.example", `"uid":"u"`)
	const body = `{"url":"https://a.example","uid":"u"}`
	a.post(app+"/endpoint", body).expect(http.StatusConflict, conflict)
	a.do(http.MethodPut, app+"/endpoint/v", body).expect(http.StatusConflict, conflict)
	a.do(http.MethodPatch, app+"/endpoint/v", `{"uid":"u"}`).expect(http.StatusConflict, conflict)
	a.do(http.MethodPut, app+"/endpoint/missing", body).expect(http.StatusConflict, conflict)
	a.do(http.MethodPut, app+"/endpoint/u", body).expect(http.StatusOK, endpointOut(t, `"uid":"u"`))
	if diff := cmp.Diff([]string{id, second}, a.list(app+"/endpoint").ids,
		cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("endpoints after refusals (-want +got):\n%s", diff)
	}
	a.do(http.MethodDelete, app+"/endpoint/u", "").expect(http.StatusNoContent, noBody)
	a.do(http.MethodPatch, app+"/endpoint/v", `{"uid":"u"}`).expect(http.StatusOK, endpointOut(t, `"uid":"u"`))
	a.endpoint(app, "https://a.example", `"uid":"v"`)
}

// Sections 8.5 to 8.7.
func TestEndpointLife(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	app := a.app()
	a.eventType("a.b")
	id := a.endpoint(
		app,
		"https://a.example",
		`"uid":"u","secret":"`+symmetric+`","filterTypes":["a.b"],"channels":["c"],"metadata":{"k":"v"},`+
			`"description":"d"`,
	)
	path := app + "/endpoint/u"
	a.do(http.MethodPut, path+"/headers", `{"headers":{"X-A":"a"}}`).expect(http.StatusNoContent, noBody)
	clock.set(time.Hour)

	const kept = `"uid":"u","eventTypes":["a.b"],"filterTypes":["a.b"],"channels":["c"],"metadata":{"k":"v"}`
	a.do(http.MethodPatch, path, `{}`).expect(http.StatusOK, endpointOut(t, kept+`,"description":"d"`))
	a.do(http.MethodPatch, path, `{"description":"e","disabled":true}`).
		expect(http.StatusOK, endpointOut(t, kept+`,"description":"e","disabled":true`))
	a.do(http.MethodPatch, path, `{"filterTypes":null,"channels":null,"description":"","disabled":false}`).
		expect(http.StatusOK, endpointOut(t, `"uid":"u","metadata":{"k":"v"}`))
	a.do(http.MethodPatch, path, `{"filterTypes":["a.b"],"url":"https://B.example","throttleRate":3}`).
		expect(http.StatusOK, endpointOut(t, `"uid":"u","metadata":{"k":"v"},"eventTypes":["a.b"],`+
			`"filterTypes":["a.b"],"url":"https://b.example/","throttleRate":3,"rateLimit":3`))
	a.do(http.MethodPatch, path, `{"filterTypes":["missing"]}`).
		expect(http.StatusUnprocessableEntity, invalidBody("*", "eventTypes"))
	a.do(http.MethodPatch, path, `{"channels":[]}`).
		expect(http.StatusUnprocessableEntity, invalidBody("*", "channels"))
	a.do(http.MethodPatch, app+"/endpoint/missing", `{}`).expect(http.StatusNotFound, notFound)

	a.do(http.MethodPut, path, `{"url":"https://a.example","secret":"`+anotherKey+`"}`).expect(http.StatusOK,
		endpointOut(t, `"id":"`+id+`","createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T01:00:00Z"`))
	a.get(path).expect(http.StatusNotFound, notFound)
	path = app + "/endpoint/" + id
	a.get(path+"/secret").expect(http.StatusOK, `{"key":"`+symmetric+`"}`)
	a.get(path+"/headers").expect(http.StatusOK, `{"headers":{"X-A":"a"},"sensitive":[]}`)

	a.do(http.MethodDelete, path, "").expect(http.StatusNoContent, noBody)
	for _, rest := range []string{"", "/secret", "/headers"} {
		a.get(path+rest).expect(http.StatusNotFound, notFound)
	}
	a.do(http.MethodDelete, path, "").expect(http.StatusNotFound, notFound)
	if revived := a.do(http.MethodPut, path, `{"url":"https://a.example"}`).expect(http.StatusCreated,
		endpointOut(t, "")).text("id"); revived == id {
		t.Errorf("got the deleted endpoint %s back", id)
	}
}

// Section 8.8: which keys sign, and for how long.
func TestRotation(t *testing.T) {
	t.Parallel()
	const third = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	rotate := func(key string, grace int) string {
		return fmt.Sprintf(`{"key":"%s","gracePeriodSeconds":%d}`, key, grace)
	}
	tests := map[string]struct {
		bodies []string // of rotations at the start
		after  time.Duration
		want   []string
	}{
		"none": {nil, 0, []string{symmetric}},
		"default, at first": {
			[]string{`{"key":"` + anotherKey + `"}`},
			day - time.Second,
			[]string{anotherKey, symmetric},
		},
		"default, in a day": {
			[]string{`{"key":"` + anotherKey + `"}`},
			day + time.Second,
			[]string{anotherKey},
		},
		"null grace": {
			[]string{`{"key":"` + anotherKey + `","gracePeriodSeconds":null}`},
			day - time.Second,
			[]string{anotherKey, symmetric},
		},
		"no grace": {[]string{rotate(anotherKey, 0)}, 0, []string{anotherKey}},
		"longest grace": {
			[]string{rotate(anotherKey, 604800)},
			7*day - time.Second,
			[]string{anotherKey, symmetric},
		},
		"same key": {[]string{rotate(symmetric, 60)}, 0, []string{symmetric, symmetric}},
		"old by expiry": {
			[]string{rotate(anotherKey, 3600), rotate(third, 60)},
			0,
			[]string{third, anotherKey, symmetric},
		},
		"old by expiry, too": {
			[]string{rotate(anotherKey, 60), rotate(third, 3600)},
			0,
			[]string{third, symmetric, anotherKey},
		},
		"one of two expired": {
			[]string{rotate(anotherKey, 3600), rotate(third, 60)},
			time.Minute + time.Second,
			[]string{third, symmetric},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
			clock := a.clock()
			r := a.receiver("https://receiver.example")
			app := a.app()
			path := app + "/endpoint/" + a.endpoint(
				app,
				"https://receiver.example",
				`"secret":"`+symmetric+`"`,
			) + "/secret"
			for _, body := range tt.bodies {
				a.post(path+"/rotate", body).expect(http.StatusNoContent, noBody)
			}
			a.get(path).expect(http.StatusOK, `{"key":"`+tt.want[0]+`"}`)
			clock.set(tt.after)
			a.message(app)
			a.delivered(1)
			checkSignatures(t, r.deliveries()[0], tt.want...)
		})
	}
}

func TestRotationInput(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	path := app + "/endpoint/" + a.endpoint(app, "https://a.example") + "/secret/rotate"
	const outOfRange = "Duration must be between 0 and 7 days"
	a.run(t, map[string]exchange{
		"no body":      {path: path, status: 422, want: undecodable(root...)},
		"empty object": {path: path, body: `{}`, status: 204, want: noBody},
		"null key":     {path: path, body: `{"key":null}`, status: 204, want: noBody},
		"no grace":     {path: path, body: `{"gracePeriodSeconds":0}`, status: 204, want: noBody},
		"7 days":       {path: path, body: `{"gracePeriodSeconds":604800}`, status: 204, want: noBody},
		"over 7 days": {
			path:   path,
			body:   `{"gracePeriodSeconds":604801}`,
			status: 422,
			want:   invalidBody(outOfRange, "grace_period_seconds"),
		},
		"negative": {
			path:   path,
			body:   `{"gracePeriodSeconds":-1}`,
			status: 422,
			want:   undecodableAnywhereOrInvalid,
		},
		"text": {
			path:   path,
			body:   `{"gracePeriodSeconds":"1"}`,
			status: 422,
			want:   undecodable("gracePeriodSeconds"),
		},
		"key of 8 bytes": {
			path:   path,
			body:   `{"key":"whsec_AAAAAAAAAAA="}`,
			status: 422,
			want:   invalidBody("secret length invalid", "key", "__all__"),
		},
		"key without tag": {
			path:   path,
			body:   `{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
			status: 422,
			want:   undecodable("key"),
		},
	})
}

// undecodableAnywhereOrInvalid is a refusal of which the contract leaves the kind open.
const undecodableAnywhereOrInvalid = `{"detail":[{"loc":"*","msg":"*","type":"*"}]}`

// Section 8.8: ten unexpired old keys are the limit.
func TestRotationLimit(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	app := a.app()
	path := app + "/endpoint/" + a.endpoint(app, "https://a.example") + "/secret"
	for i := range 10 {
		a.post(path+"/rotate", fmt.Sprintf(`{"gracePeriodSeconds":%d}`, 1000+i)).
			expect(http.StatusNoContent, noBody)
	}
	current := a.get(path).text("key")
	got := a.post(path+"/rotate", "{}").
		expect(http.StatusBadRequest, problem("limit_reached", "*")).
		text("detail")
	const want = "You can only rotate a key 10 times; please wait for old keys to expire. Your next key expires at "
	expiry, ok := strings.CutPrefix(got, want) // the form of the timestamp is open
	if !ok || !strings.HasPrefix(expiry, "2026-01-01") || !strings.Contains(expiry, "00:16:40") {
		t.Errorf("got detail %q", got)
	}
	a.get(path).expect(http.StatusOK, `{"key":"`+current+`"}`)
	clock.set(1000*time.Second + time.Millisecond)
	a.post(path+"/rotate", "{}").expect(http.StatusNoContent, noBody)
	a.post(path+"/rotate", "{}").expect(http.StatusBadRequest, problem("limit_reached", "*"))
}

func TestRotationWithoutGraceHasNoLimit(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	path := app + "/endpoint/" + a.endpoint(app, "https://a.example") + "/secret/rotate"
	for range 20 {
		a.post(path, `{"gracePeriodSeconds":0}`).expect(http.StatusNoContent, noBody)
	}
}

// Section 8.9.
func TestHeaders(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	path := app + "/endpoint/" + a.endpoint(app, "https://a.example") + "/headers"
	for i, x := range []exchange{
		{method: "GET", status: 200, want: `{"headers":{},"sensitive":[]}`},
		{method: "PUT", body: `{"headers":{"X-A":"a","X-B":"b"}}`, status: 204, want: noBody},
		{method: "GET", status: 200, want: `{"headers":{"X-A":"a","X-B":"b"},"sensitive":[]}`},
		{method: "PUT", body: `{"headers":{"X-C":"c"}}`, status: 204, want: noBody},
		{method: "GET", status: 200, want: `{"headers":{"X-C":"c"},"sensitive":[]}`},
		{method: "PATCH", body: `{"headers":{"X-D":"d","X-C":"e"}}`, status: 204, want: noBody},
		{method: "GET", status: 200, want: `{"headers":{"X-C":"e","X-D":"d"},"sensitive":[]}`},
		{method: "PATCH", body: `{"headers":{"X-C":null,"X-Absent":null}}`, status: 204, want: noBody},
		{method: "GET", status: 200, want: `{"headers":{"X-D":"d"},"sensitive":[]}`},
		{method: "PATCH", body: `{"headers":{"x-d":"other"}}`, status: 204, want: noBody},
		{method: "GET", status: 200, want: `{"headers":{"X-D":"d","x-d":"other"},"sensitive":[]}`},
		{method: "PATCH", body: `{"headers":{},"deleteHeaders":["X-D"]}`, status: 204, want: noBody},
		{method: "GET", status: 200, want: `{"headers":{"X-D":"d","x-d":"other"},"sensitive":[]}`},
		{method: "PUT", body: `{"headers":{}}`, status: 204, want: noBody},
		{method: "GET", status: 200, want: `{"headers":{},"sensitive":[]}`},
		{method: "PUT", body: `{}`, status: 422, want: undecodable(root...)},
		{method: "PATCH", body: `{}`, status: 422, want: undecodable(root...)},
		{method: "PUT", body: `{"headers":{"X-A":null}}`, status: 422, want: undecodableAnywhere},
	} {
		t.Run(fmt.Sprintf("step %d %s", i, x.method), func(t *testing.T) {
			a.with(t).do(x.method, path, x.body).expect(x.status, x.want)
		})
	}
	for _, method := range []string{"GET", "PUT", "PATCH"} {
		a.do(method, app+"/endpoint/ep_missing/headers", `{"headers":{}}`).expect(http.StatusNotFound, notFound)
	}
}

func TestSensitiveHeaders(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	path := app + "/endpoint/" + a.endpoint(app, "https://a.example") + "/headers"
	a.do(http.MethodPut, path, `{"headers":{"X-Auth-Token":"s","x-api-key":"s","WWW-Authenticate":"s",`+
		`"AUTHORIZATION":"s","X-A":"a"}}`).
		expect(http.StatusNoContent, noBody)
	got := a.get(path).object()
	want := map[string]any{
		"headers":   map[string]any{"X-A": "a"},
		"sensitive": []any{"X-Auth-Token", "x-api-key", "WWW-Authenticate", "AUTHORIZATION"},
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a,
		b any,
	) bool {
		return a.(string) < b.(string)
	})); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// Section 8.9: which names and values are taken, by PUT and by PATCH.
func TestHeaderRules(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	path := app + "/endpoint/" + a.endpoint(app, "https://a.example") + "/headers"
	const forbiddenKey, forbiddenPrefix, badName = "Header uses a forbidden key.", "Header starts with a " +
		"forbidden prefix.", "Invalid Header Name."
	refused := map[string]string{"a b": badName, "a:b": badName, "": badName, "é": badName, "a\\n": badName}
	for _, name := range []string{
		"user-agent", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
		"transfer-encoding", "upgrade", "age", "cache-control",
		"clear-site-data", "expires", "pragma", "warning", "content-length", "content-type",
		"content-encoding", "content-language", "content-location",
		"Content-Type", "USER-AGENT",
	} {
		refused[name] = forbiddenKey
	}
	for _, prefix := range []string{
		"x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-",
		"x-svix-", "svix-", "X-AMZ-", "Svix-",
	} {
		refused[prefix+"a"] = forbiddenPrefix
		refused[prefix] = forbiddenPrefix
	}
	const twice = "x-amz-" // reported twice
	for name, msg := range refused {
		t.Run("refused "+name, func(t *testing.T) {
			body := `{"headers":{"X-Good":"a","` + name + `":"v"}}`
			item := issue{[]string{"body", "headers", "__all__"}, msg, "value_error"}
			want := invalid(item)
			if strings.HasPrefix(strings.ToLower(name), twice) {
				want = invalid(item, item)
			}
			a.with(t).do(http.MethodPatch, path, body).expect(http.StatusUnprocessableEntity, want)
			got := a.with(t).
				do(http.MethodPut, path, body).
				expect(http.StatusUnprocessableEntity, undecodable("headers"))
			if !strings.Contains(string(got.body), msg) {
				t.Errorf("PUT: got %s, want %q in it", got.body, msg)
			}
		})
	}
	for _, name := range []string{
		"host", "accept", "authorization", "cookie", "connection", "webhook-id", "webhook-signature",
		"webhook-timestamp", "x-amz", "x-svix", "svix", "x-fd",
		"X-Swh-Event", "date", "content-disposition", "x_y", "x.y", "!#$%&'*+-.^_`|~",
	} {
		t.Run("accepted "+name, func(t *testing.T) {
			a.with(t).
				do(http.MethodPatch, path, `{"headers":{"`+name+`":"v"}}`).
				expect(http.StatusNoContent, noBody)
			a.with(t).
				do(http.MethodPut, path, `{"headers":{"`+name+`":"v"}}`).
				expect(http.StatusNoContent, noBody)
		})
	}
	t.Run("several violations", func(t *testing.T) {
		loc := []string{"body", "headers", "__all__"}
		a.with(t).
			do(http.MethodPatch, path, `{"headers":{"te":"v","svix-a":"v","a b":"v"}}`).
			expect(http.StatusUnprocessableEntity, invalid(
				issue{
					loc,
					forbiddenKey,
					"value_error",
				},
				issue{loc, forbiddenPrefix, "value_error"},
				issue{loc, badName, "value_error"},
			))
	})
	values := map[string]struct {
		value string
		put   string // error of PUT, none if empty; what PATCH does with such a value is poison
	}{
		"empty":         {"", ""},
		"longest":       {strings.Repeat("v", 4096), ""},
		"too long":      {strings.Repeat("v", 4097), "Maximum header length is 4096 bytes"},
		"line break":    {`a\nb`, "Invalid Header Value."},
		"null":          {`a\u0000b`, "Invalid Header Value."},
		"delete":        {`a\u007fb`, "Invalid Header Value."},
		"tab and space": {`a\tb c`, ""},
		"not ASCII":     {"é", ""},
	}
	for name, tt := range values {
		t.Run("value "+name, func(t *testing.T) {
			body := `{"headers":{"X-A":"` + tt.value + `"}}`
			if tt.put == "" {
				a.with(t).do(http.MethodPatch, path, body).expect(http.StatusNoContent, noBody)
				a.with(t).do(http.MethodPut, path, body).expect(http.StatusNoContent, noBody)
				return
			}
			got := a.with(t).
				do(http.MethodPut, path, body).
				expect(http.StatusUnprocessableEntity, undecodable("headers"))
			if !strings.Contains(string(got.body), tt.put) {
				t.Errorf("got %s, want %q in it", got.body, tt.put)
			}
		})
	}
}
