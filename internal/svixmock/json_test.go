package svixmock_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// places are where a JSON value can stand in a request: read strictly, kept as it is, or skipped.
var places = map[string]struct{ path, before, after string }{
	"schema":         {"/event-type", `{"name":"a.b","description":"","schemas":{"1":{"x":`, `}}}`},
	"payload":        {"/app/app/msg", `{"eventType":"a.b","payload":{"x":`, `}}`},
	"unknown member": {"/app", `{"name":"a","x":`, `}`},
}

// placed sends a request with a value in one of the places, to a server of its own.
func placed(t *testing.T, place, value string) answer {
	t.Helper()
	a := newMemoryAPI(t, svixmock.Config{})
	a.post("/app", `{"name":"a","uid":"app"}`).expect(http.StatusCreated, "")
	p := places[place]
	return a.post(p.path, p.before+value+p.after)
}

func TestMalformedJSON(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		``, `{`, `[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`,
		`{"a" 1}`, `{1:2}`, `{a:1}`, `{"a":1 "b":2}`,
		`tru`, `True`, `nul`, `x`, `01`, `-`, `-x`, `1.`, `1.e5`, `1e`, `1e+`, `.5`, `+1`, `"`, `"\`, `"\x"`,
		`"\u12`, `"\u12G4"`, "\"\n\"", "\"\x00\"", `'a'`,
	} {
		if json.Valid([]byte(value)) {
			t.Fatalf("%q is well formed", value)
		}
		for place := range places {
			got := placed(t, place, value)
			if got.status != http.StatusUnprocessableEntity ||
				!strings.Contains(string(got.body), "value_error.jsondecode") {
				t.Errorf("%q as %s: got %d %s, want a decoding error", value, place, got.status, got.body)
			}
		}
	}
}

func TestWellFormedJSON(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`null`, `true`, `false`, `0`, `-0`, `-12.50`, `1e5`, `1E+5`, `1.5e-10`,
		`123456789012345678901234567890`, `""`, `"a"`, `"\"\\\/\b\f\n\r\t"`,
		`"\u00e9\uD83D\uDE00"`, `[]`, `{}`, ` [ 1 , { "a" : [ ] , "b" : { } } ] `, "\t\r\n1",
		"\"\x7f\u2028\"", strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		for place := range places {
			if got := placed(t, place, value); got.status >= 300 {
				t.Errorf("%q as %s: got %d %s, want a success", value, place, got.status, got.body)
			}
		}
	}
}

// What only a strict parser refuses.
func TestTolerance(t *testing.T) {
	t.Parallel()
	const refused, ok = http.StatusUnprocessableEntity, true
	for name, tt := range map[string]struct {
		value string
		takes map[string]bool
	}{
		"lone high surrogate": {`"\ud800"`, map[string]bool{"payload": ok, "unknown member": ok}},
		"lone low surrogate":  {`"\udc00x"`, map[string]bool{"payload": ok, "unknown member": ok}},
		"wrong pair":          {`"\ud800\u0041"`, map[string]bool{"payload": ok, "unknown member": ok}},
		"surrogate in a key":  {`{"\ud800":1}`, map[string]bool{"payload": ok, "unknown member": ok}},
		"nested deeply": {
			strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
			map[string]bool{"payload": ok, "unknown member": ok},
		},
		"not UTF-8":             {"\"\xff\"", map[string]bool{"unknown member": ok}},
		"key that is not UTF-8": {"{\"\xff\":1}", map[string]bool{"unknown member": ok}},
	} {
		for place := range places {
			got := placed(t, place, tt.value)
			if took := got.status < 300; took != tt.takes[place] || !took && got.status != refused {
				t.Errorf(
					"%s as %s: got %d %.100s, want a success: %t",
					name,
					place,
					got.status,
					got.body,
					tt.takes[place],
				)
			}
		}
	}
}

// A portal's token sees one application, and of the event types those whose feature flags it has.
func TestPortalAccess(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app, other := a.app(), a.app()
	a.post("/event-type", `{"name":"a.plain","description":""}`)
	a.post("/event-type", `{"name":"b.flagged","description":"","featureFlag":"beta"}`)
	access := func(body string) string {
		return "Bearer " + a.post("/auth/app-portal-access"+strings.TrimPrefix(app, "/app"), body).
			expect(http.StatusOK, `{"url":"*","token":"*"}`).
			text("token")
	}
	as := func(token, path string) answer { return a.do(http.MethodGet, path, "", "Authorization", token) }

	plain, beta := access(`{}`), access(`{"featureFlags":["beta"]}`)
	as(plain, app).expect(http.StatusOK, "")
	as(plain, other).expect(http.StatusNotFound, notFound)
	as(plain, "/app").expect(http.StatusForbidden, "")
	for token, flagged := range map[string]int{plain: http.StatusNotFound, beta: http.StatusOK} {
		as(token, "/event-type/b.flagged").expect(flagged, "")
		as(token, "/event-type/a.plain").expect(http.StatusOK, "")
	}
	a.post("/auth/app-portal-access/app_missing", `{}`).
		expect(http.StatusNotFound, problem("not_found", "Application not found"))
	a.post("/auth/app-portal-access/new", `{"application":{"name":"a","uid":"new"}}`).expect(http.StatusOK, "")
	a.get("/app/new").expect(http.StatusOK, "")
	a.post("/auth/app-portal-access/x", `{"application":{"name":"","uid":"x"}}`).
		expect(http.StatusUnprocessableEntity, "")
	a.post("/auth/app-portal-access/x", `{"featureFlags":1}`).expect(http.StatusUnprocessableEntity, "")
}
