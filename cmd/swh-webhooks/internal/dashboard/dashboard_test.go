package dashboard_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard/dashboardtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A visitor is a browser without a script engine.
type visitor struct {
	*testing.T

	url    string
	client *http.Client
}

// serve starts a dashboard of a scene, to which nobody has come yet.
func serve(t *testing.T, s *dashboardtest.Scene) (v visitor, key string) {
	t.Helper()
	d := dashboard.New(dashboard.Config{Client: s.Client, Server: dashboardtest.ServerURL})
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{t, server.URL, &http.Client{Jar: jar, Transport: server.Client().Transport}}, d.Key()
}

// visit starts a dashboard of a scene and comes by its address.
func visit(t *testing.T, s *dashboardtest.Scene) visitor {
	t.Helper()
	v, key := serve(t, s)
	v.get("/?key="+key, http.StatusOK)
	return v
}

// A page is what a visitor got.
type page struct {
	text   string
	path   string // where it was led to
	header http.Header
}

func (v visitor) do(r *http.Request, want int) page {
	v.Helper()
	answer, err := v.client.Do(r)
	if err != nil {
		v.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		v.Fatal(err)
	}
	if answer.StatusCode != want {
		v.Errorf("%s %s: answered %d, want %d: %.300s", r.Method, r.URL, answer.StatusCode, want, text)
	}
	return page{text: string(text), path: answer.Request.URL.Path, header: answer.Header}
}

func (v visitor) request(method, path string, body io.Reader) *http.Request {
	v.Helper()
	r, err := http.NewRequestWithContext(v.Context(), method, v.url+path, body)
	if err != nil {
		v.Fatal(err)
	}
	return r
}

func (v visitor) get(path string, want int) string {
	v.Helper()
	return v.do(v.request(http.MethodGet, path, nil), want).text
}

// post sends a form as a page has it, with the changes.
func (v visitor) post(page string, fields map[string]string, want int) string {
	v.Helper()
	form := url.Values{}
	for _, match := range regexp.MustCompile(`name="token" value="([^"]+)"`).FindAllStringSubmatch(page, 1) {
		form.Set("token", match[1])
	}
	for name, value := range fields {
		form.Set(name, value)
	}
	r := v.request(http.MethodPost, "/action", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(r, want).text
}

func (v visitor) has(page string, wants ...string) {
	v.Helper()
	for _, want := range wants {
		if !strings.Contains(page, want) {
			v.Errorf("the page lacks %q: %s", want, page)
		}
	}
}

func (v visitor) lacks(page string, unwanted ...string) {
	v.Helper()
	for _, text := range unwanted {
		if strings.Contains(page, text) {
			v.Errorf("the page has %q: %s", text, page)
		}
	}
}

// filled is a scene with a short past.
func filled(t *testing.T) *dashboardtest.Scene {
	t.Helper()
	s := dashboardtest.New(t)
	s.Fill(60)
	return s
}

func TestOverviewShowsEndpointsWithTheirStatistics(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	page := v.get("/?type=origin.visit&window=week", http.StatusOK)
	v.has(page, "origin.create", "origin.visit", "https://ci.kernel.example/software-heritage",
		"https://github.com/torvalds/linux",
		`<span class="pill off">disabled</span>`, `<td class="n" data-label="delivered">40</td>`,
		dashboardtest.ServerURL)
	v.lacks(page, "almanac.example.org", s.Token())
	first := v.get("/", http.StatusOK)
	v.has(first, "almanac.example.org")
	onChannel := v.get("/?type=origin.visit&channel="+url.QueryEscape("https://example.org/no-such-channel"),
		http.StatusOK)
	v.has(onChannel, "https://notify.zenodo.example/")
	v.lacks(onChannel, "https://ci.kernel.example/")
}

func TestOverviewHasPages(t *testing.T) {
	t.Parallel()
	s := dashboardtest.New(t)
	for i := range 120 {
		ep := webhooks.Endpoint{
			URL:       fmt.Sprintf("https://subscriber-%03d.example.org/", i),
			EventType: webhooks.TypeOriginVisit,
		}
		if err := s.Client.CreateEndpoint(t.Context(), ep, ""); err != nil {
			t.Fatal(err)
		}
	}
	v := visit(t, s)
	seen := map[string]bool{}
	for path, n := "/?type=origin.visit", 1; path != ""; n++ {
		page := v.get(path, http.StatusOK)
		urls := regexp.MustCompile(`https://subscriber-\d+`).FindAllString(page, -1)
		if want := min(50, 120-50*(n-1)); len(urls) != want {
			t.Errorf("page %d has %d endpoints, want %d", n, len(urls), want)
		}
		for _, url := range urls {
			seen[url] = true
		}
		path = nextPage(page)
	}
	if len(seen) != 120 {
		t.Errorf("%d endpoints on all pages, want 120", len(seen))
	}
}

func nextPage(page string) string {
	match := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(page)
	if match == nil {
		return ""
	}
	return strings.ReplaceAll(match[1], "&amp;", "&")
}

func TestOverviewOfAnEmptyServer(t *testing.T) {
	t.Parallel()
	s := dashboardtest.New(t)
	for _, et := range webhooks.DefaultEventTypes() {
		if err := s.Client.DeleteEventType(t.Context(), et.Name); err != nil {
			t.Fatal(err)
		}
	}
	v := visit(t, s)
	v.has(v.get("/", http.StatusOK), "No event types yet", "register-defaults")
	v.has(v.get("/deliveries", http.StatusOK), "No such delivery")
}

func TestEndpointShowsChartsAndNewestDeliveries(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	ep := s.Endpoint(t, webhooks.TypeOriginVisit, "https://hooks.inria.example")
	for window, bars := range map[string]int{"hour": 20, "day": 24, "week": 28} {
		page := v.get("/endpoint?type=origin.visit&window="+window+"&id="+ep.ID, http.StatusOK)
		if got := strings.Count(page, `<rect class="hit"`); got != bars {
			t.Errorf("%s: %d bars, want %d", window, got, bars)
		}
	}
	page := v.get("/endpoint?type=origin.visit&window=week&id="+ep.ID, http.StatusOK)
	v.has(page, "https://hooks.inria.example/archive/visits", "team", "science", "enabled",
		`<polyline class="p50"`, `<polyline class="p99"`,
		"The newest 40 attempts", ">Disable<", ">Recover<", "delivered, 0 failed")
	if got := strings.Count(page, `<tr id="atmpt_`); got != 12 {
		t.Errorf("%d newest deliveries, want 12", got)
	}
}

func TestDeliveriesAreFiltered(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	ep := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	rows := func(query string) (all, failed int) {
		page := v.get("/deliveries?type=origin.visit&"+query, http.StatusOK)
		return strings.Count(page, `<tr id="atmpt_`), strings.Count(page, `<span class="pill bad">`)
	}
	isPage := func(rows int) bool { return rows >= 50 && rows < 60 } // all of one time are on one page
	if all, _ := rows(""); !isPage(all) {
		t.Errorf("%d deliveries, want a page of 50", all)
	}
	if all, failed := rows("status=bad"); all == 0 || failed != all {
		t.Errorf("%d of %d are failed, want all", failed, all)
	}
	if all, failed := rows("status=ok"); !isPage(all) || failed != 0 {
		t.Errorf("%d of %d are failed, want none of 50", failed, all)
	}
	if all, _ := rows("endpoint=" + ep.ID); all == 0 || all >= 40 {
		t.Errorf("%d deliveries to an endpoint on a channel, want some of 40", all)
	}
	if all, _ := rows("channel=" + url.QueryEscape("https://example.org/nothing-happens-here")); all != 0 {
		t.Errorf("%d deliveries on a channel without events, want none", all)
	}
	v.get("/deliveries?type=origin.visit&before=yesterday", http.StatusBadRequest)
}

func TestDeliveriesHavePages(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	want := map[string]bool{}
	for ev, err := range s.Client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginVisit,
		webhooks.SentEventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		want[ev.AttemptID] = true
	}
	got := map[string]bool{}
	for path := "/deliveries?type=origin.visit"; path != ""; {
		page := v.get(path, http.StatusOK)
		for _, match := range regexp.MustCompile(`<tr id="(atmpt_[^"]+)"`).FindAllStringSubmatch(page, -1) {
			if got[match[1]] {
				t.Errorf("%s is on two pages", match[1])
			}
			got[match[1]] = true
		}
		path = nextPage(page)
	}
	if len(got) != len(want) || len(got) < 100 {
		t.Errorf("%d deliveries on all pages, want %d", len(got), len(want))
	}
}

func TestMessageShowsPayloadAndAttempts(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	id := s.Failed(t)
	page := v.get("/message?type=origin.visit&id="+id, http.StatusOK)
	v.has(page, id, "&#34;origin_url&#34;: &#34;", "503 Service Unavailable",
		"the database is being vacuumed", "{&#34;received&#34;:true}",
		"Webhook-Signature", "v1,", "X-Swh-Event", `<circle class="bad"`, `<circle class="ok"`, ">Resend<")
	r := v.request(http.MethodGet, "/find?type=origin.visit&id=%20"+id+"%0A", nil)
	if found := v.do(r, http.StatusOK); found.path != "/message" {
		t.Errorf("looking for the message leads to %s", found.path)
	}
	payload := v.do(v.request(http.MethodGet, "/payload?type=origin.visit&id="+id, nil), http.StatusOK)
	disposition := payload.header.Get("Content-Disposition")
	if !strings.HasPrefix(payload.text, `{"origin_url":"`) || disposition != `attachment; filename="`+id+`.json"` {
		t.Errorf("payload %s as %s", payload.text, disposition)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	v := visit(t, dashboardtest.New(t))
	for path, want := range map[string]string{
		"/nothing":             "There is no such page.",
		"/?type=origin.forget": "event type does not exist",
		"/message?type=origin.visit&id=msg_nothing": "message does not exist",
		"/message": "event type does not exist",
		"/endpoint?type=origin.visit&id=ep_nothing": "endpoint does not exist",
	} {
		v.has(v.get(path, http.StatusNotFound), want)
	}
	v.get("/endpoint?type=origin.visit&id=%2e%2e", http.StatusBadRequest)
}

func TestActions(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	ep := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	address := "/endpoint?type=origin.visit&window=week&id=" + ep.ID
	fields := func(do string) map[string]string {
		return map[string]string{"do": do, "type": "origin.visit", "id": ep.ID, "window": "week"}
	}
	page := v.get(address, http.StatusOK)
	v.has(v.post(page, fields("disable"), http.StatusOK), "The endpoint is disabled", ">Enable<")
	if now := s.Endpoint(t, webhooks.TypeOriginVisit, ep.URL); !now.Disabled {
		t.Error("the endpoint is not disabled")
	}
	v.has(v.post(page, fields("enable"), http.StatusOK), "The endpoint is enabled", ">Disable<")
	if now := s.Endpoint(t, webhooks.TypeOriginVisit, ep.URL); now.Disabled {
		t.Error("the endpoint is not enabled")
	}
	v.has(v.post(page, fields("recover"), http.StatusOK), "delivers once more what failed")

	event := webhooks.Event{
		Type:    webhooks.TypeOriginVisit,
		Channel: "https://github.com/torvalds/linux", Payload: webhooks.OriginVisit{
			OriginURL: "https://github.com/torvalds/linux", VisitType: "git",
			VisitStatus: webhooks.VisitFull, VisitDate: webhooks.NewVisitDate(time.Now()),
		},
	}
	message := s.Send(event)
	page = v.get("/message?type=origin.visit&id="+message.ID, http.StatusOK)
	resend := fields("resend")
	resend["message"] = message.ID
	v.has(v.post(page, resend, http.StatusOK), "delivers the message once more", message.ID)
	manual := 0
	for deadline := time.Now().Add(5 * time.Second); manual == 0 &&
		time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for ev, err := range s.Client.ListSentEventsForMessage(t.Context(), webhooks.TypeOriginVisit, message.ID) {
			if err != nil {
				t.Fatal(err)
			}
			if ev.Manual && ev.EndpointID == ep.ID {
				manual++
			}
		}
	}
	if manual == 0 {
		t.Error("the message was not resent")
	}
	v.post(page, fields("delete"), http.StatusBadRequest)
	v.post(page, map[string]string{"do": "disable", "type": "origin.visit"}, http.StatusBadRequest)
}

// events reads what a live list sends, until the test ends.
func (v visitor) events(path string) <-chan string {
	v.Helper()
	ctx, cancel := context.WithCancel(v.Context())
	v.Cleanup(cancel)
	answer, err := v.client.Do(v.request(http.MethodGet, path, nil).WithContext(ctx)) //nolint:bodyclose // below
	if err != nil {
		v.Fatal(err)
	}
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		v.Fatalf("answered %d, %s", answer.StatusCode, kind)
	}
	events, began := make(chan string, 100), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer answer.Body.Close()
		first := true
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if first {
				close(began)
				first = false
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok && strings.HasPrefix(text, "<tr ") {
				events <- text
			}
		}
	}()
	v.Cleanup(func() { cancel(); <-ended })
	<-began
	return events
}

func TestLiveDeliveries(t *testing.T) {
	t.Parallel()
	s := filled(t)
	v := visit(t, s)
	ep := s.Endpoint(t, webhooks.TypeOriginVisit, "https://hooks.inria.example")
	since := "&since=" + time.Now().UTC().Format(time.RFC3339Nano)
	all := v.events("/live?type=origin.visit" + since)
	one := v.events("/live?type=origin.visit&endpoint=" + ep.ID + since)
	failed := v.events("/live?type=origin.visit&status=bad" + since)
	began := time.Now()
	s.Send(webhooks.Event{Type: webhooks.TypeOriginVisit, Payload: webhooks.OriginVisit{
		OriginURL: "https://git.example.org/new", VisitType: "git", VisitStatus: webhooks.VisitFull,
		VisitDate: webhooks.NewVisitDate(time.Now()),
	}})
	for name, events := range map[string]<-chan string{"of the event type": all, "of the endpoint": one} {
		select {
		case row := <-events:
			if !strings.Contains(row, "atmpt_") {
				t.Errorf("%s: got %s", name, row)
			}
			t.Logf("%s: after %v", name, time.Since(began).Round(time.Millisecond))
		case <-time.After(5 * time.Second):
			t.Errorf("%s: nothing appears", name)
		}
	}
	if len(failed) > 0 {
		t.Errorf("among those that failed: %s", <-failed)
	}
}
