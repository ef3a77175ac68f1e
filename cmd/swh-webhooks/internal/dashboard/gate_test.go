package dashboard_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard/dashboardtest"
)

var everyPath = []string{
	"/", "/endpoint?type=origin.visit&id=ep_x", "/deliveries",
	"/message?type=origin.visit&id=msg_x", "/payload?type=origin.visit&id=msg_x",
	"/find?id=x", "/live?type=origin.visit", "/assets/style.css", "/assets/icon.svg", "/nothing",
}

// ask sends a request straight to the dashboard.
func ask(d http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, http.NoBody) //nolint:noctx // it ends at once
	r.Host = "127.0.0.1:8090"
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func newDashboard(t *testing.T, change func(*dashboard.Config)) *dashboard.Dashboard {
	t.Helper()
	cfg := dashboard.Config{Client: dashboardtest.New(t).Client, Server: dashboardtest.ServerURL}
	if change != nil {
		change(&cfg)
	}
	return dashboard.New(cfg)
}

// cookieOf comes by the address with the key.
func cookieOf(t *testing.T, d *dashboard.Dashboard) *http.Cookie {
	t.Helper()
	answer := ask(d, http.MethodGet, "/?key="+d.Key())
	cookie, err := http.ParseSetCookie(answer.Header().Get("Set-Cookie"))
	if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/" || err != nil {
		t.Fatalf("answered %d to %q with the cookie %v, %v", answer.Code, answer.Header().Get("Location"), cookie, err)
	}
	return cookie
}

func checkStatus(t *testing.T, answer *httptest.ResponseRecorder, want int) {
	t.Helper()
	if answer.Code != want {
		t.Errorf("answered %d, want %d", answer.Code, want)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "DENY", "Cache-Control": "no-store",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := answer.Header().Get(name); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestNothingIsAnsweredWithoutTheKey(t *testing.T) {
	t.Parallel()
	d, other := newDashboard(t, nil), newDashboard(t, nil)
	name := cookieOf(t, d).Name
	for _, cookie := range []string{"", name + "=", name + "=x", name + "=" + d.Key(), cookieOf(t, other).String()} {
		for _, path := range everyPath {
			checkStatus(t, ask(d, http.MethodGet, path, "Cookie", cookie), http.StatusForbidden)
		}
		checkStatus(t, ask(d, http.MethodPost, "/action", "Cookie", cookie), http.StatusForbidden)
	}
	for _, key := range []string{"", "x", other.Key(), d.Key() + "x"} {
		checkStatus(t, ask(d, http.MethodGet, "/?key="+key), http.StatusForbidden)
	}
	checkStatus(t, ask(d, http.MethodPost, "/?key="+d.Key()), http.StatusForbidden)
}

func TestTheKeyBecomesACookie(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, nil)
	cookie := cookieOf(t, d)
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure ||
		cookie.Path != "/" || strings.Contains(cookie.Value, d.Key()) {
		t.Errorf("cookie %s", cookie)
	}
	checkStatus(t, ask(d, http.MethodGet, "/", "Cookie", cookie.Name+"="+cookie.Value), http.StatusOK)
	secure := cookieOf(t, newDashboard(t, func(cfg *dashboard.Config) { cfg.TLS = true }))
	if !secure.Secure || !strings.HasPrefix(secure.Name, "__Host-") {
		t.Errorf("cookie over https %s", secure)
	}
}

// A name that somebody has made to point here is not one of ours.
func TestHostIsChecked(t *testing.T) {
	t.Parallel()
	local := newDashboard(t, nil)
	remote := newDashboard(t, func(cfg *dashboard.Config) {
		cfg.Remote, cfg.Hosts = true, []string{"Hooks.example.org"}
	})
	for host, want := range map[string]struct{ local, remote bool }{
		"127.0.0.1:8090":            {true, true},
		"localhost:8090":            {true, true},
		"LOCALHOST":                 {true, true},
		"[::1]:8090":                {true, true},
		"127.0.0.2":                 {true, true},
		"192.0.2.7:8090":            {false, true},
		"[2001:db8::7]":             {false, true},
		"hooks.example.org":         {false, true},
		"hooks.example.org:8090":    {false, true},
		"evil.example:8090":         {false, false},
		"localhost.evil.example":    {false, false},
		"127.0.0.1.evil.example":    {false, false},
		"evil.example:80:127.0.0.1": {false, false},
		"":                          {false, false},
	} {
		for d, ok := range map[*dashboard.Dashboard]bool{local: want.local, remote: want.remote} {
			cookie := cookieOf(t, d)
			status := http.StatusOK
			if !ok {
				status = http.StatusMisdirectedRequest
			}
			checkStatus(t, ask(d, http.MethodGet, "/", "Host", host, "Cookie", cookie.Name+"="+cookie.Value), status)
			if !ok {
				checkStatus(t, ask(d, http.MethodGet, "/?key="+d.Key(), "Host", host), status)
			}
		}
	}
}

// Pages of other origins, those on other ports of this machine included, may lead here and no more.
func TestOtherOriginsCannotRead(t *testing.T) {
	t.Parallel()
	d := newDashboard(t, nil)
	cookie := cookieOf(t, d)
	tests := map[string]struct {
		site, mode, dest string
		want             int
	}{
		"typed":                        {"none", "navigate", "document", http.StatusOK},
		"a page of ours":               {"same-origin", "cors", "empty", http.StatusOK},
		"a link on another site":       {"cross-site", "navigate", "document", http.StatusOK},
		"a frame on another site":      {"cross-site", "navigate", "iframe", http.StatusForbidden},
		"a script on another site":     {"cross-site", "no-cors", "script", http.StatusForbidden},
		"a script on another port":     {"same-site", "no-cors", "script", http.StatusForbidden},
		"an EventSource, another port": {"same-site", "cors", "empty", http.StatusForbidden},
		"an image on another port":     {"same-site", "no-cors", "image", http.StatusForbidden},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkStatus(t, ask(d, http.MethodGet, "/", "Cookie", cookie.Name+"="+cookie.Value,
				"Sec-Fetch-Site", tt.site, "Sec-Fetch-Mode", tt.mode, "Sec-Fetch-Dest", tt.dest), tt.want)
		})
	}
}

func TestOtherOriginsCannotAct(t *testing.T) {
	t.Parallel()
	s := dashboardtest.New(t)
	s.Fill(3)
	v := visit(t, s)
	ep := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	disable := map[string]string{"do": "disable", "type": ep.EventType, "id": ep.ID}
	v.post("", disable, http.StatusForbidden)
	v.post(`name="token" value="guessed"`, disable, http.StatusForbidden)
	foreign := visit(t, s).get("/endpoint?type=origin.visit&id="+ep.ID, http.StatusOK)
	v.post(foreign, disable, http.StatusForbidden) // of another run of the dashboard
	page := v.get("/endpoint?type=origin.visit&id="+ep.ID, http.StatusOK)
	for _, site := range []string{"cross-site", "same-site"} {
		r := v.request(http.MethodPost, "/action",
			strings.NewReader("do=disable&type=origin.visit&id="+ep.ID+"&token="+tokenOf(page)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		v.do(r, http.StatusForbidden)
	}
	v.get("/action?do=disable&type=origin.visit&id="+ep.ID+"&token="+tokenOf(page), http.StatusNotFound)
	if s.Endpoint(t, webhooks.TypeOriginVisit, ep.URL).Disabled {
		t.Error("the endpoint is disabled")
	}
}

func tokenOf(page string) string {
	_, rest, _ := strings.Cut(page, `name="token" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

const (
	script = `<script>alert(1)</script>`
	bidi   = "\u202egnp.exe\u2066"
)

// What strangers write is shown as what it is.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	s := dashboardtest.New(t)
	channel := "javascript:alert(1)//" + script + bidi
	ep := webhooks.Endpoint{
		URL:       "https://hostile.example.org/" + `"onload=alert(1)%0d'><svg/onload=alert(1)>`,
		EventType: webhooks.TypeOriginVisit, Channel: channel,
		Metadata: map[string]string{script: bidi, "team": `"><img src=x onerror=alert(1)>`},
	}
	if err := s.Client.CreateEventType(t.Context(),
		webhooks.EventType{
			Name: "group.hostile", Description: script + bidi,
			Schema: json.RawMessage(`{"type":"object"}`),
		}); err != nil {
		t.Fatal(err)
	}
	ep.EventType = "group.hostile"
	if err := s.Client.CreateEndpoint(t.Context(), ep, ""); err != nil {
		t.Fatal(err)
	}
	answer := script + bidi + "\x1b[31m" + strings.Repeat("A", 19_000)
	s.Receive("https://hostile.example.org", func(w http.ResponseWriter) {
		http.Error(w, answer, http.StatusInternalServerError)
	})
	message, err := s.Client.SendEvent(t.Context(), webhooks.Event{
		Type: "group.hostile", Channel: channel,
		Payload: map[string]string{
			"</pre>" + script: bidi,
			"long":            strings.Repeat("<b>", 10_000) + strings.Repeat("A", 900_000),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaitForDeliveries(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	v := visit(t, s)
	listed := s.Endpoint(t, "group.hostile", "https://hostile")
	for _, path := range []string{
		"/?type=group.hostile", "/endpoint?type=group.hostile&id=" + listed.ID,
		"/deliveries?type=group.hostile", "/message?type=group.hostile&id=" + message.ID,
		"/deliveries?type=group.hostile&channel=" + "%3Cscript%3Ealert(1)%3C/script%3E",
		"/?type=%3Cscript%3Ealert(1)%3C/script%3E",
	} {
		r := v.request(http.MethodGet, path, nil)
		want := http.StatusOK
		if strings.HasPrefix(path, "/?type=%3C") {
			want = http.StatusNotFound
		}
		page := v.do(r, want).text
		v.lacks(page, script, "<svg/onload", "<img src=x", `href="javascript:`, "\x1b", "<b>", "</pre><")
		for _, r := range page {
			if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Errorf("%s: the page has the character %U", path, r)
			}
		}
		if len(page) > 200_000 {
			t.Errorf("%s: the page has %d bytes", path, len(page))
		}
	}
}

// The token of the server is for the server.
func TestTokenIsOnNoPage(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	ep := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	secret, err := s.Client.GetEndpointSecret(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/", "/endpoint?type=origin.visit&id=" + ep.ID,
		"/deliveries?type=origin.visit", "/message?type=origin.visit&id=" + s.Failed(t),
	} {
		v.lacks(v.get(path, http.StatusOK), s.Token(), secret)
	}
}

func TestServerThatFails(t *testing.T) {
	t.Parallel()
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL("https://svix.example.org"), webhooks.WithAuthToken("secret-token"),
		webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}),
		webhooks.WithHTTPClient(&http.Client{Transport: failing{}}))
	if err != nil {
		t.Fatal(err)
	}
	d := dashboard.New(dashboard.Config{Client: client, Server: dashboardtest.ServerURL})
	cookie := cookieOf(t, d)
	answer := ask(d, http.MethodGet, "/", "Cookie", cookie.Name+"="+cookie.Value)
	checkStatus(t, answer, http.StatusBadGateway)
}

type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrServerClosed }
