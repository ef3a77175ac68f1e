package svixmock_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Section 1.1.
func TestRouting(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	tests := map[string]struct {
		method, path string
		status       int
		want         string
	}{
		"trailing slash":            {http.MethodGet, "/api/v1" + app + "/", 200, ""},
		"trailing slashes":          {http.MethodGet, "/api/v1" + app + "///", 200, ""},
		"slashes at the start":      {http.MethodGet, "///api/v1" + app, 200, ""},
		"slashes behind the prefix": {http.MethodGet, "/api/v1//" + app, 200, ""},
		"slashes in the prefix":     {http.MethodGet, "/api//v1" + app, 404, noBody},
		"empty segment":             {http.MethodGet, "/api/v1/app//u", 404, noBody},
		"empty application":         {http.MethodGet, "/api/v1/app//endpoint", 404, notFound},
		"NUL in the path":           {http.MethodGet, "/api/v1/app/a%00b", 500, `{}`},
		"unknown route":             {http.MethodGet, "/api/v1/apps", 404, noBody},
		"no route":                  {http.MethodGet, "/x", 404, noBody},
		"base only":                 {http.MethodGet, "/api/v1", 404, noBody},
		"another version":           {http.MethodGet, "/api/v2/app", 404, noBody},
		"unknown entity":            {http.MethodGet, "/api/v1/app/" + missing, 404, notFound},
		"HEAD of a GET":             {http.MethodHead, "/api/v1" + app, 200, noBody},
		"HEAD of an unknown entity": {http.MethodHead, "/api/v1/app/" + missing, 404, noBody},
		"no UTF-8 in the path":      {http.MethodGet, "/api/v1/app/%ff", 500, `{}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a.with(t).raw(tt.method, tt.path, "").expect(tt.status, tt.want)
		})
	}
}

func TestMethodNotAllowed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	for path, want := range map[string]map[string][]string{
		"/app":                            {http.MethodPut: {"GET", "POST"}, http.MethodDelete: {"GET", "POST"}},
		"/app/a":                          {http.MethodPost: {"GET", "PUT", "PATCH", "DELETE"}},
		"/event-type/a":                   {http.MethodPost: {"GET", "PUT", "PATCH", "DELETE"}},
		"/app/a/endpoint/b":               {http.MethodPost: {"GET", "PUT", "PATCH", "DELETE"}},
		"/app/a/endpoint/b/headers":       {http.MethodPost: {"GET", "PUT", "PATCH"}},
		"/app/a/endpoint/b/secret":        {http.MethodPost: {"GET"}},
		"/app/a/endpoint/b/secret/rotate": {http.MethodGet: {"POST"}},
		"/app/a/msg":                      {http.MethodPut: {"GET", "POST"}},
		"/app/a/msg/b":                    {http.MethodPost: {"GET"}},
		"/app/a/msg/expunge-all-contents": {http.MethodPost: {"GET"}},
		"/app/a/attempt/msg/b":            {http.MethodPost: {"GET"}},
		"/app/a/msg/b/endpoint/c/resend":  {http.MethodGet: {"POST"}},
		"/health":                         {http.MethodPost: {"GET"}},
	} {
		for method, allowed := range want {
			t.Run(method+" "+path, func(t *testing.T) {
				got := a.with(t).
					do(method, path, "", "Authorization", "").
					expect(http.StatusMethodNotAllowed, noBody).
					header.Get(
					"Allow",
				)
				for _, name := range allowed {
					if !regexp.MustCompile(`\b` + name + `\b`).MatchString(got) {
						t.Errorf("allow is %q, want %s in it", got, name)
					}
				}
			})
		}
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	got := a.do(
		http.MethodOptions,
		"/app",
		"",
		"Authorization",
		"",
		"Origin",
		"https://portal.example",
		"Access-Control-Request-Method",
		"PUT",
		"Access-Control-Request-Headers",
		"x-a,x-b",
	).expect(http.StatusOK, noBody).header
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Methods": "*",
		"Access-Control-Allow-Headers": "x-a,x-b",
		"Access-Control-Max-Age":       "600",
	} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
}

// Section 5.4: an iterator that is no ksuid makes the real server drop the connection.
func TestDroppedConnection(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*api{
		"socket": newAPI(t, svixmock.Config{}),
		"memory": newMemoryAPI(t, svixmock.Config{}),
	} {
		app := a.app()
		if ans, err := a.try(t.Context(), http.MethodGet, "/api/v1"+app+"/msg?iterator=msg_foo", nil); err == nil {
			t.Errorf("%s: got status %d, want no answer", name, ans.status)
		}
		a.get(app).expect(http.StatusOK, "")
	}
}

// Section 1.3: what is read of a request, and how it is refused.
func TestBodies(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := app + "/endpoint"
	a.run(t, map[string]exchange{
		"no body":            {path: "/app", status: 422, want: undecodable(root...)},
		"cut off":            {path: "/app", body: `{"name":"a"`, status: 422, want: undecodable("?")},
		"not JSON":           {path: "/app", body: `name=a`, status: 422, want: undecodable(root...)},
		"missing field":      {path: "/app", body: `{}`, status: 422, want: undecodable(root...)},
		"text for an object": {path: "/app", body: `"a"`, status: 422, want: undecodable(root...)},
		"wrong type": {
			path:   "/app",
			body:   `{"name":1}`,
			status: 422,
			want:   undecodable("name"),
		},
		"number out of range": {
			path:   "/app",
			body:   `{"name":"a","throttleRate":65536}`,
			status: 422,
			want:   undecodable("throttleRate"),
		},
		"negative number": {
			path:   "/app",
			body:   `{"name":"a","throttleRate":-1}`,
			status: 422,
			want:   undecodable("throttleRate"),
		},
		"index glued to field": {
			path:   endpoint,
			body:   `{"url":"https://a.example","channels":["a",1]}`,
			status: 422,
			want:   undecodable("channels[1]"),
		},
		"no URL": {
			path:   endpoint,
			body:   `{"url":"example"}`,
			status: 422,
			want:   undecodable("url"),
		},
		"too large": {
			path:   "/app",
			body:   `{"name":"a"}` + strings.Repeat(" ", 2<<20),
			status: 413,
			want:   problem("payload_too_large", "Request payload is too large."),
		},
		"text after the value":      {path: "/app", body: `{"name":"a"} and so on`, status: 201},
		"white space around":        {path: "/app", body: " \n{\"name\":\"a\"}\n", status: 201},
		"unknown field":             {path: "/app", body: `{"name":"a","unknown":{"x":[1]}}`, status: 201},
		"unknown field given twice": {path: "/app", body: `{"name":"a","unknown":1,"unknown":2}`, status: 201},
		"known field given twice": {
			path:   "/app",
			body:   `{"name":"a","name":"b"}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"eventTypes and filterTypes": {
			path:   endpoint,
			body:   `{"url":"https://a.example","eventTypes":null,"filterTypes":null}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"payload and data": {
			path:   app + "/msg",
			body:   `{"eventType":"a","payload":{},"data":{}}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"no such escape": {
			path:   "/app",
			body:   `{"name":"\x41"}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"no hexadecimal escape": {
			path:   "/app",
			body:   `{"name":"\u004g"}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"raw line break": {
			path:   "/app",
			body:   "{\"name\":\"a\nb\"}",
			status: 422,
			want:   undecodableAnywhere,
		},
		"invalid UTF-8": {
			path:   "/app",
			body:   "{\"name\":\"\xff\"}",
			status: 422,
			want:   undecodableAnywhere,
		},
		"all violations together": {
			path:   "/app",
			body:   `{"name":"","uid":"app_ a","throttleRate":0}`,
			status: 422,
			want: invalid(
				issue{
					[]string{"body", "name"},
					"Application names must be at least one character",
					"value_error",
				},
				issue{
					[]string{"body", "throttle_rate"},
					"Application throttle rate must be at least 1 if set",
					"value_error",
				},
				issue{[]string{"body", "uid", "__all__"}, badCharacters, "value_error"},
				issue{[]string{"body", "uid", "__all__"}, badUID, "value_error"},
			),
		},
		"rateLimit": {
			path:   "/app",
			body:   `{"name":"a","rateLimit":0}`,
			status: 422,
			want:   invalidBody("*", "rate_limit"),
		},
		"first bad element only": {
			path:   endpoint,
			body:   `{"url":"https://a.example","channels":["a b","c d"]}`,
			status: 422,
			want:   invalidBody(badCharacters, "channels", "__all__"),
		},
		"count before elements": {
			path:   app + "/msg",
			body:   `{"eventType":"a","payload":{},"channels":["a b","2","3","4","5","6"]}`,
			status: 422,
			want:   invalidBody("*", "channels"),
		},
		"text of a rule without a text": {
			path:   app + "/msg",
			body:   `{"eventType":"a","payload":{},"payloadRetentionPeriod":0}`,
			status: 422,
			want:   invalidBody("Validation error", "payload_retention_period"),
		},
	})
}

// undecodableAnywhere is the refusal of JSON at a place that the contract leaves open.
const (
	undecodableAnywhere = `{"detail":[{"loc":"*","msg":"*","type":"value_error.jsondecode"}]}`
	badCharacters       = `String must match the following pattern: [a-zA-Z0-9\-_.].`
	badUID              = `Uids are not allowed to have the same prefix as the ID. Prefix with _?`
)

func TestDecodeMessages(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	for body, want := range map[string]string{
		``:                             "^EOF while parsing a value at line 1 column 0$",
		`{}`:                           "^missing field `name` at line 1 column \\d+$",
		`{"name":1}`:                   `^name: .* at line 1 column \d+$`,
		"{\n\"name\":\"a\",\"uid\":1}": `^uid: .* at line 2 column \d+$`,
	} {
		items := a.post("/app", body).expect(http.StatusUnprocessableEntity, "").field("detail").([]any)
		if msg, _ := items[0].(map[string]any)["msg"].(string); !regexp.MustCompile(want).MatchString(msg) {
			t.Errorf("%s: got msg %q, want %s", body, msg, want)
		}
	}
}

func TestContentTypeIsNotChecked(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "nonsense"} {
		a.post("/app", `{"name":"a"}`, "Content-Type", contentType).expect(http.StatusCreated, "")
	}
}

// Section 1.3: which fields take null.
func TestNullInBodies(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://a.example")
	a.eventType("a.b")
	type resource struct {
		method, path, base string
		nullable, not      []string
	}
	for name, r := range map[string]resource{
		"POST app": {http.MethodPost, "/app", `"name":"a"`, []string{
			"uid", "throttleRate", "rateLimit",
			"metadata",
		}, []string{"name"}},
		"PATCH app": {
			http.MethodPatch, app, "",
			[]string{"uid", "throttleRate", "rateLimit"},
			[]string{"name"},
		},
		"PUT event-type": {
			http.MethodPut, "/event-type/a.b", `"description":""`,
			[]string{"schemas", "featureFlag"},
			[]string{"description", "archived", "deprecated"},
		},
		"PATCH event-type": {
			http.MethodPatch, "/event-type/a.b", "",
			[]string{"schemas", "featureFlag"},
			[]string{"description", "archived", "deprecated"},
		},
		"POST endpoint": {
			http.MethodPost, app + "/endpoint", `"url":"https://a.example"`,
			[]string{
				"uid", "throttleRate", "rateLimit", "version", "secret", "eventTypes", "filterTypes",
				"channels", "metadata",
			},
			[]string{"url", "description", "disabled"},
		},
		"PUT endpoint": {
			http.MethodPut, endpoint, `"url":"https://a.example"`,
			[]string{
				"uid", "throttleRate", "rateLimit", "version", "eventTypes", "filterTypes", "channels",
				"metadata",
			},
			[]string{"url", "description", "disabled"},
		},
		"PATCH endpoint": {
			http.MethodPatch, endpoint, "",
			[]string{"uid", "throttleRate", "rateLimit", "eventTypes", "filterTypes", "channels"},
			[]string{"url", "description", "disabled"},
		},
		"rotate":        {http.MethodPost, endpoint + "/secret/rotate", "", []string{"key", "gracePeriodSeconds"}, nil},
		"PUT headers":   {http.MethodPut, endpoint + "/headers", "", nil, []string{"headers"}},
		"PATCH headers": {http.MethodPatch, endpoint + "/headers", "", nil, []string{"headers"}},
		"POST msg": {
			http.MethodPost, app + "/msg", `"eventType":"a.b","payload":{}`,
			[]string{"eventId", "channels", "application", "transformationsParams"},
			[]string{"payloadRetentionPeriod", "eventType"},
		},
	} {
		send := func(t *testing.T, field string) answer {
			t.Helper()
			members := `"` + field + `":null`
			if r.base != "" && !strings.Contains(r.base, `"`+field+`"`) {
				members = r.base + "," + members
			}
			return a.with(t).do(r.method, r.path, "{"+members+"}")
		}
		for _, field := range r.nullable {
			t.Run(name+" "+field, func(t *testing.T) {
				if got := send(t, field); got.status > 299 {
					t.Errorf("got status %d with %s, want null accepted", got.status, got.body)
				}
			})
		}
		for _, field := range r.not {
			t.Run(name+" not "+field, func(t *testing.T) {
				send(t, field).expect(http.StatusUnprocessableEntity, undecodable("*"))
			})
		}
	}
}

// Section 1.4.
func TestQueries(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	id := a.endpoint(app, "https://a.example")
	msg := a.message(app)
	unparseable := map[string][]string{
		"/app": {
			"limit=",
			"limit=many",
			"limit=-1",
			"limit=1.5",
			"limit=1&limit=2",
			"order=",
			"order=up",
			"order=Ascending",
		},
		"/event-type": {
			"limit=-1",
			"include_archived=1",
			"with_content=",
			"with_content=yes",
			"with_content=True",
			"order=x",
		},
		app + "/endpoint": {"limit=x", "order=x"},
		app + "/msg": {
			"limit=x",
			"with_content=",
			"before=",
			"before=yesterday",
			"before=2026-01-01",
			"after=2026-01-01T00:00:00",
			"after=2026-01-01T00:00:00+01:00",
		},
		app + "/attempt/msg/" + msg: {
			"limit=x",
			"status=4",
			"status=-1",
			"status=fail",
			"status=",
			"status_code_class=150",
			"status_code_class=600",
			"with_content=x",
		},
		app + "/attempt/endpoint/" + id:      {"limit=x", "status=4", "status_code_class=1", "after=x"},
		"/app/" + missing + "/msg":           {"limit=x"},
		app + "/attempt/msg/" + "msg_absent": {"limit=x"},
	}
	for path, queries := range unparseable {
		for _, query := range queries {
			t.Run(path+"?"+query, func(t *testing.T) {
				for _, token := range []string{"Bearer " + a.mock.Token(), ""} {
					got := a.with(t).
						do(http.MethodGet, path+"?"+query, "", "Authorization", token).
						expect(http.StatusBadRequest, badQuery)
					if text := got.text("detail"); !strings.HasPrefix(
						text,
						"Failed to deserialize query string: ",
					) {
						t.Errorf("got detail %q", text)
					}
				}
			})
		}
	}
	tooBig := invalidQuery("Given limit must not exceed 250", "limit", "limit")
	outOfRange := map[string]map[string]string{
		"/app": {
			"limit=251":        tooBig,
			"iterator=":        badName("iterator"),
			"iterator=ep_x":    badIterator,
			"iterator=--app_x": badIterator,
		},
		"/event-type": {
			"limit=1000":     tooBig,
			"iterator=":      badName("iterator"),
			"iterator=a%20b": badName("iterator"),
		},
		app + "/endpoint": {"limit=251": tooBig, "iterator=app_x": badIterator},
		app + "/msg": {
			"limit=251":     tooBig,
			"iterator=ep_x": badIterator,
			"iterator=-":    badIterator,
			"channel=a%20b": badName("channel"),
			"channel=":      badName("channel"),
		},
		app + "/attempt/msg/" + msg: {
			"limit=251":         tooBig,
			"iterator=msg_x":    badIterator,
			"endpoint_id=a%20b": badName("endpoint_id"),
			"channel=a/b":       badName("channel"),
		},
		app + "/attempt/endpoint/" + id: {
			"limit=251":      tooBig,
			"iterator=msg_x": badIterator,
			"channel=a/b":    badName("channel"),
			"event_types=":   invalidQuery("*", "__all__"),
		},
	}
	for path, queries := range outOfRange {
		for query, want := range queries {
			t.Run(path+"?"+query, func(t *testing.T) {
				for _, token := range []string{"Bearer " + a.mock.Token(), ""} {
					a.with(t).
						do(http.MethodGet, path+"?"+query, "", "Authorization", token).
						expect(http.StatusUnprocessableEntity, want)
				}
			})
		}
	}
	for _, path := range []string{
		"/app?unknown=1&unknown=2&limit=1", "/event-type?with_content=true&include_archived=false", app +
			"/msg?tag=x&before=2026-01-01T00:00:00%2B01:00",
		app + "/attempt/msg/" + msg + "?with_msg=nonsense&expanded_statuses=x&tag=", app + "/endpoint?order=ascending",
	} {
		t.Run("accepted "+path, func(t *testing.T) {
			a.with(t).get(path).expect(http.StatusOK, "")
		})
	}
	t.Run("create", func(t *testing.T) {
		a := a.with(t)
		a.post("/app?get_if_exists=yes", `{`, "Authorization", "").expect(http.StatusBadRequest, badQuery)
		a.post(app+"/msg?with_content=", `{`, "Authorization", "").expect(http.StatusBadRequest, badQuery)
	})
	t.Run("single objects", func(t *testing.T) {
		a := a.with(t)
		a.get(app+"/msg/"+msg+"?with_content=0").expect(http.StatusBadRequest, badQuery)
		a.do(http.MethodDelete, "/event-type/absent?expunge=1", "").expect(http.StatusBadRequest, badQuery)
	})
}

var badIterator = invalidQuery("Invalid id. Expected different prefix", "iterator", "__all__")

func badName(parameter string) string { return invalidQuery("*", parameter, "__all__") }

// Section 1.5.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://a.example")
	t.Run("token before path and body", func(t *testing.T) {
		for _, path := range []string{
			"/app", "/event-type", app + "/endpoint", app + "/msg", endpoint + "/secret/rotate",
			"/app/" + missing + "/endpoint", app + "/msg/a/endpoint/b/resend",
		} {
			a.with(t).
				post(path, `{`, "Authorization", "Bearer wrong").
				expect(http.StatusUnauthorized, unauthentic)
		}
	})
	a.run(t, map[string]exchange{
		"application before body, endpoint": {
			path:   "/app/" + missing + "/endpoint",
			body:   `{`,
			status: 404,
			want:   notFound,
		},
		"application before body, rotate": {
			path:   "/app/" + missing + "/endpoint/a/secret/rotate",
			body:   `{`,
			status: 404,
			want:   notFound,
		},
		"application before body, endpoint PUT": {
			method: "PUT",
			path:   "/app/" + missing + "/endpoint/a",
			body:   `{`,
			status: 404,
			want:   notFound,
		},
		"body before application, message": {
			path:   "/app/" + missing + "/msg",
			body:   `{`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"body before application's syntax": {
			path:   "/app/a%20b/msg",
			body:   `{`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"application's syntax before its existence": {
			path:   "/app/a%20b/msg",
			body:   `{"eventType":"a","payload":{}}`,
			status: 422,
			want:   badPathApp,
		},
		"application's existence, message": {
			path:   "/app/" + missing + "/msg",
			body:   `{"eventType":"a","payload":{}}`,
			status: 404,
			want:   problem("not_found", "Application not found"),
		},
		"decoding before validation": {
			path:   "/app",
			body:   `{"name":"","uid":1}`,
			status: 422,
			want:   undecodable("uid"),
		},
		"validation before existence of event types": {
			path:   app + "/endpoint",
			body:   `{"url":"https://a.example","uid":"a b","filterTypes":["x"]}`,
			status: 422,
			want:   invalidBody("*", "uid", "__all__"),
		},
		"message before endpoint and content, resend": {
			path:   app + "/msg/msg_x/endpoint/ep_x/resend",
			status: 404,
			want:   notFound,
		},
		"any text in a path is looked up, not checked": {
			method: "GET",
			path:   "/app/a%20b",
			status: 404,
			want:   notFound,
		},
	})
}

var badPathApp = invalid(issue{[]string{"path", "app_id_or_uid", "__all__"}, "*", "value_error"})

// Sections 11 and 12.
func TestHealthAndAbsentRoutes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://a.example")
	for _, token := range []string{"", "Bearer wrong"} {
		a.do(http.MethodGet, "/health", "", "Authorization", token).
			expect(http.StatusOK, `{"database":{"status":"ok"},"queue":{"status":"ok"},"cache":{"status":"ok"}}`)
		a.do(http.MethodHead, "/health", "", "Authorization", token).expect(http.StatusOK, noBody)
		a.do(http.MethodGet, "/health/ping", "", "Authorization", token).expect(http.StatusNoContent, noBody)
	}
	a.run(t, map[string]exchange{
		"precheck": {
			path:   app + "/msg/precheck/active",
			body:   `{"eventType":"a.b"}`,
			status: 404,
			want:   noBody,
		},
		"expunge all contents": {path: app + "/msg/expunge-all-contents", status: 405, want: noBody},
		"bulk replay":          {path: endpoint + "/bulk-replay", body: `{}`, status: 404, want: noBody},
		"replay missing":       {path: endpoint + "/replay-missing", body: `{}`, status: 404, want: noBody},
		"transformation":       {method: "GET", path: endpoint + "/transformation", status: 404, want: noBody},
		"change transformation": {
			method: "PATCH",
			path:   endpoint + "/transformation",
			body:   `{}`,
			status: 404,
			want:   noBody,
		},
		"import": {path: "/event-type/import/openapi", body: `{}`, status: 404, want: noBody},
		"logout": {
			path:   "/auth/logout",
			status: 501,
			want:   problem("not_implemented", "This API endpoint is not yet implemented."),
		},
		"background tasks": {method: "GET", path: "/background-task", status: 404, want: noBody},
		"statistics":       {method: "GET", path: "/stats/usage/app", status: 404, want: noBody},
		"integration":      {method: "GET", path: app + "/integration", status: 404, want: noBody},
		"operational endpoints": {
			method: "GET",
			path:   "/operational-webhook/endpoint",
			status: 404,
			want:   noBody,
		},
		"poller": {method: "GET", path: app + "/poller/p", status: 404, want: noBody},
	})
}

// Section 1.6.
func TestNoRequestIDInAnswers(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	got := a.do(http.MethodGet, "/health", "", "X-Request-Id", "r", "Svix-Req-Id", "s").header
	if diff := cmp.Diff([]string(nil), append(got.Values("X-Request-Id"), got.Values("Svix-Req-Id")...)); diff != "" {
		t.Errorf("request ids (-want +got):\n%s", diff)
	}
}
