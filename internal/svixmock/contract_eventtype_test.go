package svixmock_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Sections 7.1 to 7.3.
func TestCreateEventType(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	full := func(members string) string { return `{"createdAt":"*","updatedAt":"*",` + members + `}` }
	a.run(t, map[string]exchange{
		"least": {path: "/event-type", body: `{"name":"least","description":""}`, status: 201, want: full(
			`"name":"least","description":"","archived":false,"deprecated":false,"schemas":null,"featureFlag":null`,
		)},
		"everything": {
			path: "/event-type",
			body: `{"name":"everything","description":"d","archived":true,"deprecated":true,
			"schemas":{"1":{"type":"object","properties":{"a":{"minimum":1.50}}},"two":{}},"featureFlag":"f"}`,
			status: 201,
			want: full(
				`"name":"everything","description":"d","archived":true,"deprecated":true,
			"schemas":{"1":{"type":"object","properties":{"a":{"minimum":1.50}}},"two":{}},"featureFlag":"f"`),
		},
		"ignored fields": {
			path:   "/event-type",
			body:   `{"name":"ignored","description":"","groupName":"g","featureFlags":["f"]}`,
			status: 201,
			want: full(
				`"name":"ignored","description":"","archived":false,"deprecated":false,"schemas":null,` +
					`"featureFlag":null`,
			),
		},
		"no description": {
			path:   "/event-type",
			body:   `{"name":"a"}`,
			status: 422,
			want:   undecodable(root...),
		},
		"no name": {
			path:   "/event-type",
			body:   `{"description":""}`,
			status: 422,
			want:   undecodable(root...),
		},
		"control characters": {
			path:   "/event-type",
			body:   `{"name":"a","description":"\u0001"}`,
			status: 422,
			want:   invalidBody("Control characters 0x00-0x08 not allowed.", "description"),
		},
		"bad feature flag": {
			path:   "/event-type",
			body:   `{"name":"a","description":"","featureFlag":"a b"}`,
			status: 422,
			want:   undecodable("featureFlag"),
		},
		"schema no draft 7": {
			path:   "/event-type",
			body:   `{"name":"a","description":"","schemas":{"1":{"type":"no type"}}}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"schema no object": {
			path:   "/event-type",
			body:   `{"name":"a","description":"","schemas":{"1":7}}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"schemas no object": {
			path:   "/event-type",
			body:   `{"name":"a","description":"","schemas":"x"}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"name without dots": {
			path:   "/event-type",
			body:   `{"name":"UPPER_and-lower","description":""}`,
			status: 201,
		},
		"name with svix.": {
			path:   "/event-type",
			body:   `{"name":"svix.type","description":""}`,
			status: 201,
		},
		"name with a slash": {
			path:   "/event-type",
			body:   `{"name":"a/b","description":""}`,
			status: 422,
			want:   invalidBody(badCharacters, "name", "__all__"),
		},
		"archived from begin": {
			path:   "/event-type",
			body:   `{"name":"archived","description":"","archived":true}`,
			status: 201,
		},
		"all fields together": {
			path:   "/event-type",
			body:   `{"name":"","description":"\u0000"}`,
			status: 422,
			want: invalid(
				issue{[]string{"body", "name", "__all__"}, "*", "value_error"},
				issue{[]string{"body", "description"}, "*", "value_error"},
			),
		},
		"description is null": {
			path:   "/event-type",
			body:   `{"name":"a","description":null}`,
			status: 422,
			want:   undecodable("description"),
		},
		"archived is a string": {
			path:   "/event-type",
			body:   `{"name":"a","description":"","archived":"true"}`,
			status: 422,
			want:   undecodable("archived"),
		},
	})
}

func TestEventTypeLife(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	const path = "/event-type/a.b"
	full := func(members string) string {
		return `{"name":"a.b","createdAt":"*","updatedAt":"*",` + members + `}`
	}
	exists := problem("event_type_exists", "An event_type with this name already exists")
	for i, x := range []exchange{
		{method: "GET", path: path, status: 404, want: notFound},
		{method: "PATCH", path: path, body: `{}`, status: 404, want: notFound},
		{method: "DELETE", path: path, status: 404, want: notFound},
		{method: "DELETE", path: path + "?expunge=true", status: 404, want: notFound},
		{method: "POST", path: "/event-type", body: `{"name":"a.b","description":"d","schemas":{"1":{}},` +
			`"featureFlag":"f","deprecated":true}`, status: 201},
		{method: "POST", path: "/event-type", body: `{"name":"a.b","description":"d"}`, status: 409, want: exists},
		{
			method: "PATCH", path: path, body: `{"description":"e","name":"ignored"}`, status: 200,
			want: full(`"description":"e","archived":false,"deprecated":true,"schemas":{"1":{}},"featureFlag":"f"`),
		},
		{
			method: "PATCH", path: path, body: `{"schemas":null,"featureFlag":null}`, status: 200,
			want: full(`"description":"e","archived":false,"deprecated":true,"schemas":null,"featureFlag":null`),
		},
		{
			method: "PATCH", path: path, body: `{"schemas":{"2":{}}}`, status: 200,
			want: full(`"description":"e","archived":false,"deprecated":true,"schemas":{"2":{}},"featureFlag":null`),
		},
		{method: "DELETE", path: path, status: 204, want: noBody},
		{method: "DELETE", path: path, status: 204, want: noBody},
		{method: "GET", path: path, status: 200, want: full(`"description":"e","archived":true,` +
			`"deprecated":true,"schemas":{"2":{}},"featureFlag":null`)},
		{
			method: "PATCH", path: path, body: `{"description":"f"}`, status: 200,
			want: full(`"description":"f","archived":true,"deprecated":true,"schemas":{"2":{}},"featureFlag":null`),
		},
		{method: "PATCH", path: path, body: `{"archived":false}`, status: 200, want: full(`"description":"f",` +
			`"archived":false,"deprecated":true,"schemas":{"2":{}},"featureFlag":null`)},
		{method: "PATCH", path: path, body: `{"archived":true}`, status: 200},
		{
			method: "POST", path: "/event-type", body: `{"name":"a.b","description":"g","archived":true}`,
			status: 201,
			want:   full(`"description":"g","archived":true,"deprecated":false,"schemas":null,"featureFlag":null`),
		},
		{
			method: "PUT", path: path, body: `{"description":"h","name":"ignored"}`, status: 200,
			want: full(`"description":"h","archived":false,"deprecated":false,"schemas":null,"featureFlag":null`),
		},
		{method: "PUT", path: path, body: `{}`, status: 422, want: undecodable(root...)},
		{
			method: "PUT", path: path, body: `{"description":"h","archived":true,"schemas":{"1":{}}}`,
			status: 200,
			want:   full(`"description":"h","archived":true,"deprecated":false,"schemas":{"1":{}},"featureFlag":null`),
		},
		{method: "DELETE", path: path + "?expunge=true", status: 204, want: noBody},
		{method: "GET", path: path, status: 404, want: notFound},
		{method: "PUT", path: path, body: `{"description":"i"}`, status: 201, want: full(`"description":"i",` +
			`"archived":false,"deprecated":false,"schemas":null,"featureFlag":null`)},
		{method: "DELETE", path: path + "?expunge=false", status: 204, want: noBody},
		{method: "GET", path: path, status: 200},
	} {
		t.Run(fmt.Sprintf("step %d %s", i, x.method), func(t *testing.T) {
			a.with(t).do(x.method, x.path, x.body).expect(x.status, x.want)
		})
	}
}

// Section 7.6: PUT does not check the name in its path.
func TestPutEventTypeWithAnyName(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	for escaped, name := range map[string]string{"a%20b": "a b", "a%2Fb": "a/b", "%C3%A9": "é", "a:b": "a:b"} {
		if got := a.do(http.MethodPut, "/event-type/"+escaped,
			`{"description":""}`).expect(http.StatusCreated, "").text("name"); got != name {
			t.Errorf("got name %q, want %q", got, name)
		}
		a.get("/event-type/"+escaped).expect(http.StatusOK, "")
	}
}

// Section 7.5.
func TestListEventTypes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	a.eventType("b", "c")
	a.post("/event-type", `{"name":"a","description":"","schemas":{"1":{"type":"object"}}}`).
		expect(http.StatusCreated, "")
	a.do(http.MethodDelete, "/event-type/b", "").expect(http.StatusNoContent, noBody)
	for query, want := range map[string][]string{
		"":                               {"a", "c"},
		"?include_archived=false":        {"a", "c"},
		"?include_archived=true":         {"a", "b", "c"},
		"?include_archived=true&limit=2": {"a", "b"},
		"?iterator=b":                    {"c"},
		"?iterator=-b":                   {"a"},
		"?iterator=never.existed":        {},
		"?order=descending":              {"a", "c"},
	} {
		if diff := cmp.Diff(want, a.list("/event-type"+query).ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// Section 7.8: an endpoint keeps the names of its filter types, and they go on to match.
func TestEndpointOutlivesItsEventType(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	r := a.receiver("https://receiver.example")
	app := a.app()
	a.eventType("a.b")
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example", `"filterTypes":["a.b"]`)
	for i, query := range []string{"", "?expunge=true"} {
		a.do(http.MethodDelete, "/event-type/a.b"+query, "").expect(http.StatusNoContent, noBody)
		if diff := cmp.Diff([]any{"a.b"}, a.get(endpoint).field("filterTypes")); diff != "" {
			t.Errorf("filterTypes (-want +got):\n%s", diff)
		}
		a.message(app)
		a.delivered(i + 1)
	}
	if got := len(r.deliveries()); got != 2 {
		t.Errorf("got %d deliveries, want 2", got)
	}
}
