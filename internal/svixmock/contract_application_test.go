package svixmock_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Sections 6.1 and 6.2: what is read of an application, and what is answered.
func TestApplicationInput(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	full := func(members string) string {
		return `{"id":"*","createdAt":"*","updatedAt":"*",` + members + `}`
	}
	// The size of metadata is that of its text, here {"k":"…"}.
	most := strings.Repeat("v", 4096-len(`{"k":""}`))
	a.run(t, map[string]exchange{
		"least": {
			path:   "/app",
			body:   `{"name":"a"}`,
			status: 201,
			want:   full(`"name":"a","throttleRate":null,"metadata":{}`),
		},
		"nulls": {
			path:   "/app",
			body:   `{"name":"a","uid":null,"throttleRate":null,"metadata":null}`,
			status: 201,
			want:   full(`"name":"a","throttleRate":null,"metadata":{}`),
		},
		"everything": {
			path:   "/app",
			body:   `{"name":"a","uid":"u","throttleRate":7,"metadata":{"k":"v"}}`,
			status: 201,
			want:   full(`"name":"a","uid":"u","throttleRate":7,"rateLimit":7,"metadata":{"k":"v"}`),
		},
		"rateLimit": {
			path:   "/app",
			body:   `{"name":"a","rateLimit":7}`,
			status: 201,
			want:   full(`"name":"a","throttleRate":7,"rateLimit":7,"metadata":{}`),
		},
		"throttleRate wins": {
			path:   "/app",
			body:   `{"name":"a","rateLimit":7,"throttleRate":8}`,
			status: 201,
			want:   full(`"name":"a","throttleRate":8,"rateLimit":8,"metadata":{}`),
		},
		"most": {
			path:   "/app",
			body:   `{"name":"a","throttleRate":65535,"metadata":{"k":"` + most + `"}}`,
			status: 201,
		},
		"long name": {
			path:   "/app",
			body:   `{"name":"` + strings.Repeat("ü", 5000) + `"}`,
			status: 201,
		},
		"empty name": {
			path:   "/app",
			body:   `{"name":""}`,
			status: 422,
			want:   invalidBody("Application names must be at least one character", "name"),
		},
		"control character 0": {
			path:   "/app",
			body:   `{"name":"a\u0000"}`,
			status: 422,
			want:   invalidBody("Control characters 0x00-0x08 not allowed.", "name"),
		},
		"control character 8": {
			path:   "/app",
			body:   `{"name":"a\u0008"}`,
			status: 422,
			want:   invalidBody("Control characters 0x00-0x08 not allowed.", "name"),
		},
		"control character 9": {path: "/app", body: `{"name":"a\u0009"}`, status: 201},
		"no rate": {
			path:   "/app",
			body:   `{"name":"a","throttleRate":0}`,
			status: 422,
			want:   invalidBody("Application throttle rate must be at least 1 if set", "throttle_rate"),
		},
		"metadata too large": {
			path:   "/app",
			body:   `{"name":"a","metadata":{"k":"` + most + `v"}}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"metadata of numbers": {
			path:   "/app",
			body:   `{"name":"a","metadata":{"k":1}}`,
			status: 422,
			want:   undecodableAnywhere,
		},
		"metadata no object": {
			path:   "/app",
			body:   `{"name":"a","metadata":["k"]}`,
			status: 422,
			want:   undecodableAnywhere,
		},
	})
}

func TestMetadataSizeMessage(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	got := a.post("/app", `{"name":"a","metadata":{"k":"`+strings.Repeat("v", 4096)+`"}}`).
		expect(http.StatusUnprocessableEntity, "")
	if want := "metadata must be less than or equal to 4096 bytes"; !strings.Contains(string(got.body), want) {
		t.Errorf("got %s, want one with %q", got.body, want)
	}
}

// Section 6.3.
func TestCreateApplication(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	stored := a.post("/app", `{"name":"first","uid":"u"}`).expect(http.StatusCreated, "")
	taken := problem("conflict", "An application with that id or uid already exists")
	a.run(t, map[string]exchange{
		"same name": {path: "/app", body: `{"name":"first"}`, status: 201},
		"no uid, get if exists": {
			path:   "/app?get_if_exists=true",
			body:   `{"name":"first"}`,
			status: 201,
		},
		"uid taken": {
			path:   "/app",
			body:   `{"name":"x","uid":"u"}`,
			status: 409,
			want:   taken,
		},
		"uid taken, explicitly": {
			path:   "/app?get_if_exists=false",
			body:   `{"name":"x","uid":"u"}`,
			status: 409,
			want:   taken,
		},
		"uid taken, get if exists": {
			path:   "/app?get_if_exists=true",
			body:   `{"name":"x","uid":"u"}`,
			status: 200,
			want:   string(stored.body),
		},
		"uid taken, bad input": {
			path:   "/app?get_if_exists=true",
			body:   `{"name":"","uid":"u"}`,
			status: 422,
		},
		"uid free, get if exists": {
			path:   "/app?get_if_exists=true",
			body:   `{"name":"x","uid":"free"}`,
			status: 201,
		},
		"uid is an id of another": {
			path:   "/app",
			body:   `{"name":"x","uid":"` + stored.text("id") + `"}`,
			status: 422,
		},
		"uid differs in case": {path: "/app", body: `{"name":"x","uid":"U"}`, status: 201},
		"uid differs in case, and free": {
			path:   "/app?get_if_exists=true",
			body:   `{"name":"x","uid":"FREE"}`,
			status: 201,
		},
	})
}

// Section 6.6.
func TestDeleteApplication(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example")
	app := "/app/" + a.post("/app", `{"name":"a","uid":"u"}`).text("id")
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example")
	msg := a.message(app)
	a.delivered(1)
	a.do(http.MethodDelete, "/app/u", "").expect(http.StatusNoContent, noBody)
	for _, path := range []string{
		app, "/app/u", app + "/endpoint", endpoint, endpoint + "/secret", endpoint + "/headers",
		app + "/msg", app + "/msg/" + msg, app + "/attempt/msg/" + msg,
	} {
		a.get(path).expect(http.StatusNotFound, notFound)
	}
	a.do(http.MethodDelete, app, "").expect(http.StatusNotFound, notFound)
	a.post(app+"/msg", `{"eventType":"a","payload":{}}`).expect(http.StatusNotFound, "")
	if got := a.post("/app?get_if_exists=true", `{"name":"b","uid":"u"}`).expect(http.StatusCreated,
		"").text("id"); "/app/"+got == app {
		t.Errorf("got the deleted application %s back", got)
	}
}

// Section 6.7.
func TestPutApplication(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	created := a.post("/app", `{"name":"a","uid":"u","throttleRate":7,"metadata":{"k":"v"}}`)
	app := "/app/" + created.text("id")
	clock.set(time.Hour)
	got := a.do(http.MethodPut, "/app/u", `{"name":"b"}`).expect(http.StatusOK, fmt.Sprintf(
		`{"id":"%s","name":"b","throttleRate":null,"metadata":{},"createdAt":"%s","updatedAt":"2026-01-01T01:00:00Z"}`,
		created.text("id"),
		created.text("createdAt"),
	))
	a.get(app).expect(http.StatusOK, string(got.body))
	a.get("/app/u").expect(http.StatusNotFound, notFound)

	upserted := a.do(http.MethodPut, "/app/path-value", `{"name":"c","uid":"body-value"}`).
		expect(http.StatusCreated, "")
	if upserted.text("uid") != "body-value" {
		t.Errorf("got %s, want the uid of the body", upserted.body)
	}
	a.get("/app/path-value").expect(http.StatusNotFound, notFound)
	a.do(http.MethodPut, "/app/path-value", `{"name":"d"}`).
		expect(http.StatusCreated, `{"id":"*","name":"d","throttleRate":null,"metadata":{},"createdAt":"*",`+
			`"updatedAt":"*"}`)
	a.do(http.MethodPut, app, `{"name":"b","uid":"body-value"}`).
		expect(http.StatusConflict, `{"code":"conflict","detail":"*"}`)
	a.do(http.MethodPut, "/app/body-value", `{"name":"c2","uid":"body-value"}`).expect(http.StatusOK, "")
	a.do(http.MethodPut, app, `{"uid":"x"}`).expect(http.StatusUnprocessableEntity, undecodable(root...))
}

func TestPatchApplication(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := "/app/" + a.post("/app", `{"name":"a","uid":"u","throttleRate":7,"metadata":{"k":"v"}}`).text("id")
	patched := func(body, members string) {
		t.Helper()
		a.do(http.MethodPatch, app, body).
			expect(http.StatusOK, `{"id":"*","createdAt":"*","updatedAt":"*",`+members+`}`)
	}
	patched(`{}`, `"name":"a","uid":"u","throttleRate":7,"rateLimit":7,"metadata":{"k":"v"}`)
	patched(`{"name":"b"}`, `"name":"b","uid":"u","throttleRate":7,"rateLimit":7,"metadata":{"k":"v"}`)
	patched(`{"throttleRate":null}`, `"name":"b","uid":"u","throttleRate":null,"metadata":{"k":"v"}`)
	patched(`{"uid":null,"metadata":{"l":"w"}}`, `"name":"b","throttleRate":null,"metadata":{"l":"w"}`)
	patched(`{"uid":"v"}`, `"name":"b","uid":"v","throttleRate":null,"metadata":{"l":"w"}`)
	a.do(http.MethodPatch, app, `{"name":""}`).expect(http.StatusUnprocessableEntity, invalidBody("*", "name"))
	a.do(http.MethodPatch, app, `{"name":null}`).expect(http.StatusUnprocessableEntity, undecodable("name"))
	a.do(http.MethodPatch, "/app/"+missing, `{}`).expect(http.StatusNotFound, notFound)
}
