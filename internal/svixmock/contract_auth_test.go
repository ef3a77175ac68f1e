package svixmock_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// secret is what signs the tokens of these tests.
const secret = "signing secret of the contract tests"

// signed returns the value of an Authorization header for claims, given as a JSON object.
func signed(t *testing.T, claims string) string {
	t.Helper()
	return "Bearer " + signedWith(t, jwt.SigningMethodHS256, secret, claims)
}

func signedWith(t *testing.T, method jwt.SigningMethod, key, claims string) string {
	t.Helper()
	var values jwt.MapClaims
	if err := json.Unmarshal([]byte(claims), &values); err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(method, values).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Section 2: who is let in, and with which answer the others are turned away.
func TestTokens(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{Secret: secret})
	a.clock()
	const org = `"sub":"org_a"`
	now, minute := start.Unix(), int64(60)
	tests := map[string]struct {
		authorization string
		status        int
		want          string
	}{
		"own token":      {"Bearer " + a.mock.Token(), 200, ""},
		"organization":   {signed(t, `{`+org+`}`), 200, ""},
		"another issuer": {signed(t, `{`+org+`,"iss":"someone"}`), 200, ""},
		"times within tolerance": {
			signed(
				t,
				jsonText(
					map[string]any{
						"sub": "org_a",
						"exp": now - 14*minute,
						"nbf": now + 14*minute,
						"iat": now + 14*minute,
					},
				),
			),
			200,
			"",
		},
		"expired": {
			signed(t, jsonText(map[string]any{"sub": "org_a", "exp": now - 16*minute})),
			401,
			unauthentic,
		},
		"not yet valid": {
			signed(t, jsonText(map[string]any{"sub": "org_a", "nbf": now + 16*minute})),
			401,
			unauthentic,
		},
		"issued in the future": {
			signed(t, jsonText(map[string]any{"sub": "org_a", "iat": now + 16*minute})),
			401,
			unauthentic,
		},
		"no header":    {"", 401, unauthentic},
		"wrong scheme": {"Basic " + a.mock.Token(), 401, unauthentic},
		"no scheme":    {a.mock.Token(), 401, unauthentic},
		"no token":     {"Bearer x", 401, unauthentic},
		"another secret": {
			"Bearer " + signedWith(t, jwt.SigningMethodHS256, "another", `{`+org+`}`),
			401,
			unauthentic,
		},
		"another algorithm": {
			"Bearer " + signedWith(t, jwt.SigningMethodHS512, secret, `{`+org+`}`),
			401,
			unauthentic,
		},
		"the secret itself": {"Bearer " + secret, 401, problem("authentication_failed", "*")},
		"no subject": {
			signed(t, `{}`),
			401,
			problem("authentication_failed", "Invalid token (missing `sub`)."),
		},
		"subject no organization": {
			signed(t, `{"sub":"user_a"}`),
			400,
			problem("bad_token", "`sub` is not a valid organization id."),
		},
		"subject an application": {
			signed(t, `{"sub":"app_a"}`),
			400,
			problem("bad_token", "`sub` is not a valid organization id."),
		},
		"bad organization": {
			signed(t, `{"sub":"app_a","org":"user_a"}`),
			400,
			problem("bad token", "`org` is not a valid organization id"),
		},
		"bad application": {
			signed(t, `{"sub":"org_a","org":"org_a"}`),
			400,
			problem("bad token", "`sub` is not a valid application id"),
		},
		"application, not allowed": {
			signed(t, `{"sub":"app_a","org":"org_a"}`),
			403,
			problem("insufficient access", "Insufficient access for the given operation."),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a.with(t).
				do(http.MethodGet, "/app", "", "Authorization", tt.authorization).
				expect(tt.status, tt.want)
		})
	}
}

func TestSecretAsToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{Secret: secret})
	got := a.do(http.MethodGet, "/app", "", "Authorization", "Bearer "+secret).text("detail")
	const head, tail = "Authentication failed. JWT signing secrets can not be used as tokens, please refer " +
		"to ", " for more information."
	if !strings.HasPrefix(got, head) || !strings.HasSuffix(got, tail) {
		t.Errorf("got detail %q", got)
	}
}

// The token selects the organization, and nothing is visible in another.
func TestOrganizationsAreApart(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{Secret: secret})
	one, two := signed(t, `{"sub":"org_one"}`), signed(t, `{"sub":"org_two"}`)
	app := "/app/" + a.post("/app", `{"name":"a","uid":"u"}`, "Authorization", one).
		expect(http.StatusCreated, "").
		text("id")
	a.post("/event-type", `{"name":"a.b","description":""}`, "Authorization", one).
		expect(http.StatusCreated, "")
	a.post("/app", `{"name":"a","uid":"u"}`, "Authorization", two).expect(http.StatusCreated, "")
	a.post("/event-type", `{"name":"a.b","description":""}`, "Authorization", two).
		expect(http.StatusCreated, "")
	for _, path := range []string{app, app + "/endpoint", app + "/msg"} {
		a.do(http.MethodGet, path, "", "Authorization", one).expect(http.StatusOK, "")
		a.do(http.MethodGet, path, "", "Authorization", two).expect(http.StatusNotFound, notFound)
	}
	if got := len(a.do(http.MethodGet, "/app", "", "Authorization", two).field("data").([]any)); got != 1 {
		t.Errorf("got %d applications of the second organization, want 1", got)
	}
}

// Section 2: what an application's own token may do.
func TestApplicationTokens(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{Secret: secret, RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example")
	org := signed(t, `{"sub":"org_one"}`)
	create := func(path, body string) string {
		got := a.post(path, body, "Authorization", org)
		if got.status > 299 {
			t.Fatalf("%s: got %d %s", path, got.status, got.body)
		}
		id, _ := got.field("id").(string)
		return id
	}
	id, other := create("/app", `{"name":"a","uid":"own"}`), create("/app", `{"name":"b"}`)
	app := "/app/" + id
	create("/event-type", `{"name":"open.type","description":""}`)
	create("/event-type", `{"name":"flag.type","description":"","featureFlag":"f"}`)
	create("/event-type", `{"name":"hidden.type","description":"","featureFlag":"g"}`)
	endpoint := create(app+"/endpoint", `{"url":"https://receiver.example"}`)
	msg := create(app+"/msg", `{"eventType":"a.b","payload":{}}`)
	a.delivered(1)
	own := signed(t, `{"sub":"`+id+`","org":"org_one","feature_flags":["f"]}`)
	const forbidden = `{"code":"insufficient access","detail":"Insufficient access for the given operation."}`

	for _, x := range []exchange{
		{method: "GET", path: app, status: 200},
		{method: "GET", path: "/app/own", status: 200},
		{method: "GET", path: "/app/" + other, status: 404, want: notFound},
		{method: "GET", path: "/app/" + other + "/endpoint", status: 404, want: notFound},
		{method: "GET", path: "/app", status: 403, want: forbidden},
		{method: "POST", path: "/app", body: `{"name":"a"}`, status: 403, want: forbidden},
		{method: "PUT", path: app, body: `{"name":"a"}`, status: 403, want: forbidden},
		{method: "PATCH", path: app, body: `{"name":"a"}`, status: 403, want: forbidden},
		{method: "DELETE", path: app, status: 403, want: forbidden},
		{method: "POST", path: "/event-type", body: `{"name":"a.b","description":""}`, status: 403, want: forbidden},
		{method: "PUT", path: "/event-type/a.b", body: `{"description":""}`, status: 403, want: forbidden},
		{method: "PATCH", path: "/event-type/open.type", body: `{}`, status: 403, want: forbidden},
		{method: "DELETE", path: "/event-type/open.type", status: 403, want: forbidden},
		{method: "GET", path: "/event-type/open.type", status: 200},
		{method: "GET", path: "/event-type/flag.type", status: 200},
		{method: "POST", path: app + "/msg", body: `{"eventType":"a.b","payload":{}}`, status: 403, want: forbidden},
		{method: "GET", path: app + "/msg", status: 200},
		{method: "GET", path: app + "/msg/" + msg, status: 200},
		{method: "GET", path: app + "/attempt/msg/" + msg, status: 200},
		{method: "GET", path: app + "/attempt/endpoint/" + endpoint, status: 200},
		{method: "POST", path: app + "/msg/" + msg + "/endpoint/" + endpoint + "/resend", status: 202},
		{method: "GET", path: app + "/endpoint", status: 200},
		{method: "POST", path: app + "/endpoint", body: `{"url":"https://a.example"}`, status: 201},
		{method: "PUT", path: app + "/endpoint/" + endpoint, body: `{"url":"https://a.example"}`, status: 200},
		{method: "PATCH", path: app + "/endpoint/" + endpoint, body: `{}`, status: 200},
		{method: "GET", path: app + "/endpoint/" + endpoint + "/secret", status: 200},
		{method: "POST", path: app + "/endpoint/" + endpoint + "/secret/rotate", body: `{}`, status: 204},
		{method: "GET", path: app + "/endpoint/" + endpoint + "/headers", status: 200},
		{method: "PUT", path: app + "/endpoint/" + endpoint + "/headers", body: `{"headers":{}}`, status: 204},
		{method: "DELETE", path: app + "/endpoint/" + endpoint, status: 204},
	} {
		t.Run(
			x.method+" "+strings.NewReplacer(id, "own", other, "other", msg, "msg", endpoint, "ep").
				Replace(x.path),
			func(t *testing.T) {
				a.with(t).do(x.method, x.path, x.body, "Authorization", own).expect(x.status, x.want)
			},
		)
	}
	t.Run("event types by feature flag", func(t *testing.T) {
		var got []any
		for _, item := range a.with(t).do(http.MethodGet, "/event-type", "", "Authorization",
			own).field("data").([]any) {
			got = append(got, item.(map[string]any)["name"])
		}
		if diff := cmp.Diff([]any{"flag.type", "open.type"}, got); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
	})
}
