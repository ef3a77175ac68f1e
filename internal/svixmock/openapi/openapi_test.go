package openapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/svixmock/openapi"
)

const (
	app = `"id":"app_1","name":"a","metadata":{},"throttleRate":null,` +
		`"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00.123Z"`
	eventType = `"description":"","archived":false,"deprecated":false,"schemas":null,"featureFlag":null,` +
		`"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"`
	endpoint = `"id":"ep_1","uid":null,"url":"https://example.com/","description":"","disabled":false,` +
		`"version":1,"throttleRate":null,` +
		`"rateLimit":null,"eventTypes":null,"metadata":{},"createdAt":"2026-01-01T00:00:00Z",` +
		`"updatedAt":"2026-01-01T00:00:00Z"`
	message   = `"id":"msg_1","eventId":null,"eventType":"a.b","payload":{},"timestamp":"2026-01-01T00:00:00.123456Z"`
	httpError = `{"code":"not_found","detail":"Entity not found"}`
	health    = `{"database":{"status":"ok"},"queue":{"status":"ok"},"cache":{"status":"ok"}}`
)

type answer struct {
	method string
	path   string
	status int
	header http.Header
	body   string
}

func (a answer) check(t *testing.T, doc *openapi.Document) error {
	t.Helper()
	if a.header == nil && a.body != "" {
		a.header = http.Header{"Content-Type": {"application/json"}}
	}
	return doc.Check(a.method, a.path, a.status, a.header, []byte(a.body))
}

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("c", 200)
	tests := map[string]answer{
		"created": {method: "POST", path: "/api/v1/app", status: 201, body: `{` + app + `}`},
		"existing": {
			method: "POST",
			path:   "/api/v1/app",
			status: 200,
			body:   `{` + app + `,"uid":"u"}`,
		},
		"trailing slash": {
			method: "GET",
			path:   "/api/v1/app/app_1/",
			status: 200,
			body:   `{` + app + `}`,
		},
		"content type, charset": {
			method: "GET",
			path:   "/api/v1/app/app_1",
			status: 200,
			header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
			body:   `{` + app + `}`,
		},
		"null where nullable": {
			method: "GET",
			path:   "/api/v1/app/app_1",
			status: 200,
			body:   `{` + app + `,"uid":null}`,
		},
		"page": {
			method: "GET",
			path:   "/api/v1/app",
			status: 200,
			body:   `{"data":[{` + app + `}],"iterator":"app_1","prevIterator":"-app_1","done":true}`,
		},
		"empty page": {
			method: "GET",
			path:   "/api/v1/app",
			status: 200,
			body:   `{"data":[],"iterator":null,"done":true}`,
		},
		"free map": {
			method: "GET",
			path:   "/api/v1/app/a/endpoint/e/headers",
			status: 200,
			body:   `{"headers":{"X-A":"b"},"sensitive":[]}`,
		},
		"no content":    {method: "DELETE", path: "/api/v1/app/app_1", status: 204},
		"handler's 404": {method: "GET", path: "/api/v1/app/app_1", status: 404, body: httpError},
		"validation error": {
			method: "POST",
			path:   "/api/v1/app",
			status: 422,
			body:   `{"detail":[{"loc":["body","name"],"msg":"m","type":"value_error"}]}`,
		},
		"HEAD":            {method: "HEAD", path: "/api/v1/app/app_1", status: 200},
		"escaped segment": {method: "GET", path: "/api/v1/app/a%2Fb", status: 404, body: httpError},

		"exception: router 404": {
			method: "POST",
			path:   "/api/v1/app/a/msg/precheck/active",
			status: 404,
		},
		"slashes in front": {
			method: "GET",
			path:   "//api/v1/app",
			status: 200,
			body:   `{"data":[],"iterator":null,"done":true}`,
		},
		"slashes behind the prefix": {
			method: "GET",
			path:   "/api/v1///app",
			status: 200,
			body:   `{"data":[],"iterator":null,"done":true}`,
		},
		"exception: home": {
			method: "GET",
			path:   "/",
			status: 307,
			header: http.Header{"Location": {"/docs"}},
		},
		"exception: docs": {
			method: "GET",
			path:   "/docs",
			status: 200,
			header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
			body:   "<p>",
		},
		"exception: statistics": {
			method: "GET",
			path:   "/api/v1/app/a/endpoint/e/stats",
			status: 400,
			header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
			body:   "Failed",
		},
		"exception: router 405": {
			method: "PUT",
			path:   "/api/v1/app",
			status: 405,
			header: http.Header{"Allow": {"GET,HEAD,POST"}},
		},
		"exception: preflight":        {method: "OPTIONS", path: "/api/v1/app", status: 200},
		"exception: bad path segment": {method: "GET", path: "/api/v1/app/%ff", status: 500, body: `{}`},
		"exception: bad request": {
			method: "GET",
			path:   "/api/v1/app",
			status: 400,
			body:   `{"code":"generic_error","detail":"d"}`,
		},
		"exception: too large": {
			method: "POST",
			path:   "/api/v1/app/a/msg",
			status: 413,
			body:   `{"code":"payload_too_large","detail":"d"}`,
		},
		"exception: lost idempotency lock": {method: "POST", path: "/api/v1/app", status: 500},
		"exception: healthy": {
			method: "GET",
			path:   "/api/v1/health",
			status: 200,
			body:   health,
		},
		"exception: unhealthy": {
			method: "GET",
			path:   "/api/v1/health",
			status: 500,
			body:   strings.Replace(health, "ok", "error", 1),
		},
		"exception: logout": {
			method: "POST",
			path:   "/api/v1/auth/logout",
			status: 501,
			body:   httpError,
		},
		"exception: message content": {
			method: "DELETE",
			path:   "/api/v1/app/a/msg/m/content",
			status: 204,
		},
		"exception: attempt content": {
			method: "DELETE",
			path:   "/api/v1/app/a/msg/m/attempt/t/content",
			status: 204,
		},
		"exception: rateLimit": {
			method: "GET",
			path:   "/api/v1/app/app_1",
			status: 200,
			body:   `{` + app + `,"rateLimit":7}`,
		},
		"exception: filterTypes": {
			method: "GET",
			path:   "/api/v1/app/a/endpoint/e",
			status: 200,
			body:   `{` + endpoint + `,"channels":null,"filterTypes":null}`,
		},
		"exception: long channel, endpoint": {
			method: "GET",
			path:   "/api/v1/app/a/endpoint/e",
			status: 200,
			body:   `{` + endpoint + `,"channels":["` + long + `"]}`,
		},
		"exception: long channel, message": {
			method: "POST",
			path:   "/api/v1/app/a/msg",
			status: 202,
			body:   `{` + message + `,"channels":["` + long + `"]}`,
		},
		"exception: event type names by PUT": {
			method: "PUT",
			path:   "/api/v1/event-type/a%20b",
			status: 201,
			body:   `{` + eventType + `,"name":"a b"}`,
		},
		"exception: public key": {
			method: "GET",
			path:   "/api/v1/app/a/endpoint/e/secret",
			status: 200,
			body:   `{"key":"whpk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbM="}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tt.check(t, load(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer
		want string // part of the error
	}{
		"undeclared status": {
			answer{method: "POST", path: "/api/v1/app", status: 202, body: `{` + app + `}`},
			"status 202 is not declared",
		},
		"unknown path": {
			answer{method: "GET", path: "/api/v1/apps", status: 200, body: `{}`},
			"status 200 is not declared",
		},
		"empty path segment": {
			answer{method: "GET", path: "/api/v1/app//u", status: 200, body: `{}`},
			"status 200 is not declared",
		},
		"404 with JSON, no route": {
			answer{method: "GET", path: "/api/v1/apps", status: 404, body: httpError},
			"want none",
		},
		"404 without JSON": {
			answer{method: "GET", path: "/api/v1/app/app_1", status: 404},
			"content type",
		},
		"405 without Allow": {
			answer{method: "PUT", path: "/api/v1/app", status: 405},
			"header Allow is missing",
		},
		"204 with a body": {
			answer{method: "DELETE", path: "/api/v1/app/app_1", status: 204, body: `{}`},
			"want none",
		},
		"HEAD with a body": {
			answer{method: "HEAD", path: "/api/v1/app/app_1", status: 200, body: `{` + app + `}`},
			"want none",
		},
		"another content type": {
			answer{
				method: "GET",
				path:   "/api/v1/app/a",
				status: 200,
				header: http.Header{"Content-Type": {"text/plain"}},
				body:   `{` + app + `}`,
			},
			"content type",
		},
		"not JSON": {
			answer{method: "GET", path: "/api/v1/app/app_1", status: 200, body: `<html>`},
			"not JSON",
		},
		"two values": {
			answer{method: "GET", path: "/api/v1/app/app_1", status: 200, body: `{` + app + `} {}`},
			"after its JSON value",
		},
		"missing property": {
			answer{method: "GET", path: "/api/v1/app/app_1", status: 200, body: `{}`},
			"missing properties",
		},
		"unknown property": {
			answer{
				method: "GET",
				path:   "/api/v1/app/app_1",
				status: 200,
				body:   `{` + app + `,"orgId":"org_1"}`,
			},
			"'orgId' not allowed",
		},
		"unknown property in a row": {
			answer{
				method: "GET",
				path:   "/api/v1/app",
				status: 200,
				body:   `{"data":[{` + app + `,"x":1}],"iterator":"i","done":true}`,
			},
			"'x' not allowed",
		},
		"null where not nullable": {
			answer{
				method: "GET",
				path:   "/api/v1/app",
				status: 200,
				body:   `{"data":null,"iterator":null,"done":true}`,
			},
			"/data",
		},
		"bad date": {
			answer{
				method: "GET",
				path:   "/api/v1/app/a",
				status: 200,
				body:   `{` + strings.Replace(app, "2026-01-01T00:00:00Z", "yesterday", 1) + `}`,
			},
			"date-time",
		},
		"bad enum": {
			answer{
				method: "GET",
				path:   "/api/v1/health",
				status: 200,
				body:   strings.Replace(health, "ok", "fine", 1),
			},
			"database/status",
		},
		"error with another shape": {
			answer{method: "GET", path: "/api/v1/app/app_1", status: 404, body: `{"detail":"x"}`},
			"code",
		},
		"error with more keys": {
			answer{
				method: "GET",
				path:   "/api/v1/app",
				status: 400,
				body:   `{"code":"c","detail":"d","status":400}`,
			},
			"'status' not allowed",
		},
		"500 with text": {
			answer{method: "GET", path: "/api/v1/app", status: 500, body: `{"detail":"x"}`},
			"/maxProperties",
		},
		"empty 500 of a GET": {answer{method: "GET", path: "/api/v1/app", status: 500}, "content type"},
		"ill-formed secret": {
			answer{
				method: "GET",
				path:   "/api/v1/app/a/endpoint/e/secret",
				status: 200,
				body:   `{"key":"secret"}`,
			},
			"/key",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.check(t, load(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestParse covers the forms of schemas that the server's document does not use today.
func TestParse(t *testing.T) {
	t.Parallel()
	doc, err := openapi.Parse([]byte(`{
		"paths": {
			"/api/v1/pets/{name}": {"get": {"responses": {"200": {"content": {"application/json": {
				"schema": {"$ref": "#/components/schemas/Pet"}}}}}}},
			"/api/v1/pets/all": {"get": {"responses": {"204": {}}}},
			"/api/v1/apps": {"get": {"responses": {"200": {"content": {"application/json": {
				"schema": {"$ref": "#/components/schemas/ApplicationOut"}}}}}}}
		},
		"components": {"schemas": {
			"Pet": {"allOf": [
				{"properties": {"name": {"type": "string"}}},
				{"properties": {"kind": {"nullable": true, "$ref": "#/components/schemas/Kind"},
					"size": {"nullable": true, "oneOf": [{"type": "integer"}]}}}
			]},
			"Kind": {"type": "string", "enum": ["cat"]},
			"ApplicationOut": {"type": "object", "properties": {}}
		}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path string
		body string
		ok   bool
	}{
		"all of both members": {
			path: "/api/v1/pets/tom",
			body: `{"name":"tom","kind":"cat","size":1}`,
			ok:   true,
		},
		"nullable reference and choice": {
			path: "/api/v1/pets/tom",
			body: `{"kind":null,"size":null}`,
			ok:   true,
		},
		"referenced enum":           {path: "/api/v1/pets/tom", body: `{"kind":"dog"}`},
		"choice":                    {path: "/api/v1/pets/tom", body: `{"size":"big"}`},
		"literal path first":        {path: "/api/v1/pets/all", body: `{}`},
		"exception: rateLimit":      {path: "/api/v1/apps", body: `{"rateLimit":null}`, ok: true},
		"closed without properties": {path: "/api/v1/apps", body: `{"limit":null}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := answer{method: "GET", path: tt.path, status: 200, body: tt.body}.check(t, doc)
			if (err == nil) != tt.ok {
				t.Errorf("got error %v, want ok %t", err, tt.ok)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":        `openapi: 3.0.2`,
		"default answer": `{"paths":{"/a":{"get":{"responses":{"default":{}}}}}}`,
		"unknown reference": `{"paths":{"/a":{"get":{"responses":{"200":{"content":{"application/json":{` +
			`"schema":{"$ref":"#/components/schemas/X"}}}}}}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := openapi.Parse([]byte(text)); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func load(t *testing.T) *openapi.Document {
	t.Helper()
	doc, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
