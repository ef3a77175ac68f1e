package svixmock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/internal/svixmock/openapi"
)

// The contract tests are written from CONTRACT.md alone and see the mock only as an HTTP server.
// The sections that they name are those of that file.

const (
	missing     = "app_missing" // an id that nothing has
	symmetric   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	anotherKey  = "whsec_C2FVsBQIhrscChlQIMVb5sSYspob7oDa"
	noBody      = "no body"
	notFound    = `{"code":"not_found","detail":"Entity not found"}`
	conflict    = `{"code":"conflict","detail":"A conflict has occurred"}`
	badQuery    = `{"code":"generic_error","detail":"*"}`
	unauthentic = `{"code":"authentication_failed","detail":"Invalid token"}`
)

// start is the time at which tests with a clock begin.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// api speaks plain HTTP to one mock server. Every answer is checked against the server's OpenAPI
// document.
type api struct {
	t      *testing.T
	mock   *svixmock.Server
	doc    *openapi.Document
	client *http.Client
	base   string
}

// newAPI starts a mock server on a socket.
func newAPI(t *testing.T, cfg svixmock.Config) *api {
	t.Helper()
	a := newMemoryAPI(t, cfg)
	web := httptest.NewServer(a.mock)
	t.Cleanup(web.Close)
	a.client, a.base = web.Client(), web.URL
	a.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return a
}

// newMemoryAPI starts a mock server without a socket.
func newMemoryAPI(t *testing.T, cfg svixmock.Config) *api {
	t.Helper()
	doc, err := openapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	mock := svixmock.New(cfg)
	t.Cleanup(mock.Close)
	return &api{
		t:      t,
		mock:   mock,
		doc:    doc,
		client: &http.Client{Transport: mock.RoundTripper()},
		base:   "http://svix.example",
	}
}

// bubble runs a test in a synctest bubble whose time begins at start.
func bubble(t *testing.T, cfg svixmock.Config, test func(a *api)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newMemoryAPI(t, cfg)
		offset := time.Until(start)
		a.mock.SetClock(func() time.Time { return time.Now().Add(offset).UTC() })
		test(a)
	})
}

// clock makes the server's time what the test sets, beginning at start. It stands still otherwise.
func (a *api) clock() *clock {
	c := &clock{now: start}
	a.mock.SetClock(c.read)
	return c
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// set puts the clock to start plus d.
func (c *clock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = start.Add(d)
}

// answer is a complete answer of the server.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// try makes a request to a path of the server and checks the form of the answer. Headers are pairs
// of name and value; an empty value removes the header.
func (a *api) try(ctx context.Context, method, path string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+a.mock.Token())
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
		if pair[1] == "" {
			req.Header.Del(pair[0])
		}
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	ans := answer{a.t, resp.StatusCode, resp.Header, text}
	return ans, a.doc.Check(method, req.URL.EscapedPath(), ans.status, ans.header, text)
}

// do makes a request to a path below /api/v1. An empty body is no body.
func (a *api) do(method, path, body string, headers ...string) answer {
	a.t.Helper()
	return a.raw(method, "/api/v1"+path, body, headers...)
}

// raw is do with the whole path.
func (a *api) raw(method, path, body string, headers ...string) answer {
	a.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	ans, err := a.try(a.t.Context(), method, path, reader, headers...)
	if err != nil {
		a.t.Fatalf("%s %s %.200s: %v", method, path, body, err)
	}
	for _, stamp := range stamps.FindAllSubmatch(ans.body, -1) {
		if !validStamp.Match(stamp[1]) {
			a.t.Errorf("%s %s: time %s has not 0, 3 or 6 digits, or more than it needs", method, path, stamp[1])
		}
	}
	return ans
}

// Times as in 4.5: the shortest of 0, 3 and 6 digits.
var (
	stamps     = regexp.MustCompile(`"(?:createdAt|updatedAt|timestamp)":"([^"]*)"`)
	validStamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.(\d{3}|\d{6}))?Z$`)
)

func (a *api) get(path string) answer {
	a.t.Helper()
	return a.do(http.MethodGet, path, "")
}

func (a *api) post(path, body string, headers ...string) answer {
	a.t.Helper()
	return a.do(http.MethodPost, path, body, headers...)
}

// expect compares the answer with a status and the JSON of a body, in which "*" stands for any
// value but null and the items of a detail list are in any order. A body of "" is not compared.
func (ans answer) expect(status int, body string) answer {
	ans.t.Helper()
	if ans.status != status {
		ans.t.Fatalf("got status %d with body %.500s, want %d", ans.status, ans.body, status)
	}
	switch body {
	case "":
	case noBody:
		if len(ans.body) > 0 {
			ans.t.Errorf("got body %.500s, want none", ans.body)
		}
	default:
		want, got := parse(ans.t, []byte(body)), parse(ans.t, ans.body)
		if diff := cmp.Diff(want, blank(got, want)); diff != "" {
			ans.t.Errorf("body (-want +got):\n%s", diff)
		}
	}
	return ans
}

// field returns one member of the answer's object, nil where it is null or missing.
func (ans answer) field(name string) any {
	ans.t.Helper()
	return ans.object()[name]
}

// text returns one member of the answer's object as text.
func (ans answer) text(name string) string {
	ans.t.Helper()
	s, ok := ans.field(name).(string)
	if !ok {
		ans.t.Fatalf("%s is no text in %.500s", name, ans.body)
	}
	return s
}

func (ans answer) object() map[string]any {
	ans.t.Helper()
	object, ok := parse(ans.t, ans.body).(map[string]any)
	if !ok {
		ans.t.Fatalf("got status %d and %.500s, want an object", ans.status, ans.body)
	}
	return object
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%.500q: %v", text, err)
	}
	sortDetails(v)
	return v
}

// sortDetails sorts the items of a validation error, whose order is undefined.
func sortDetails(v any) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	if items, ok := object["detail"].([]any); ok {
		slices.SortFunc(items, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
}

// blank replaces everything in got by "*" for which want has "*".
func blank(got, want any) any {
	switch want := want.(type) {
	case string:
		if want == "*" && got != nil {
			return "*"
		}
	case map[string]any:
		got, ok := got.(map[string]any)
		for name := range want {
			if v, has := got[name]; ok && has {
				got[name] = blank(v, want[name])
			}
		}
	case []any:
		got, ok := got.([]any)
		for i := range want {
			if ok && i < len(got) {
				got[i] = blank(got[i], want[i])
			}
		}
	}
	return got
}

// problem is the body of a standard error.
func problem(code, detail string) string {
	return jsonText(map[string]string{"code": code, "detail": detail})
}

// undecodable is the body of the answer to JSON that does not fit, at a place in the body.
func undecodable(loc ...string) string {
	return invalid(issue{append([]string{"body"}, loc...), "*", "value_error.jsondecode"})
}

// issue is one item of a validation error.
type issue struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

func invalid(issues ...issue) string { return jsonText(map[string]any{"detail": issues}) }

// invalidBody is a validation error with one item, at a place in the body.
func invalidBody(msg string, loc ...string) string {
	return invalid(issue{append([]string{"body"}, loc...), msg, "value_error"})
}

// invalidQuery is a validation error with one item, at a place in the query.
func invalidQuery(msg string, loc ...string) string {
	return invalid(issue{append([]string{"query"}, loc...), msg, "value_error"})
}

// root is the place of an error that concerns the whole body.
var root = []string{"", ""}

func jsonText(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// app creates an application and returns its path.
func (a *api) app() string {
	a.t.Helper()
	return "/app/" + a.post("/app", `{"name":"test"}`).expect(http.StatusCreated, "").text("id")
}

// eventType creates event types.
func (a *api) eventType(names ...string) {
	a.t.Helper()
	for _, name := range names {
		a.post("/event-type", `{"name":"`+name+`","description":""}`).expect(http.StatusCreated, "")
	}
}

// endpoint creates an endpoint with further members, as in `"uid":"x"`, and returns its id.
func (a *api) endpoint(app, rawURL string, members ...string) string {
	a.t.Helper()
	body := strings.Join(append([]string{`"url":"` + rawURL + `"`}, members...), ",")
	return a.post(app+"/endpoint", "{"+body+"}").expect(http.StatusCreated, "").text("id")
}

// message creates a message of the type "a.b" with further members and returns its id.
func (a *api) message(app string, members ...string) string {
	a.t.Helper()
	body := strings.Join(append([]string{`"eventType":"a.b"`, `"payload":{}`}, members...), ",")
	return a.post(app+"/msg", "{"+body+"}").expect(http.StatusAccepted, "").text("id")
}

// page is the envelope of a list.
type page struct {
	ids      []string // or names
	iterator string   // "null" for null
	prev     string   // "" where missing
	done     bool
}

// list fetches a page and returns its envelope; every item is known by its id, or by its name where
// it has none.
func (a *api) list(path string) page {
	a.t.Helper()
	object := a.get(path).expect(http.StatusOK, "").object()
	p := page{ids: []string{}, iterator: "null", done: object["done"].(bool)}
	for _, item := range object["data"].([]any) {
		item := item.(map[string]any)
		id, ok := item["id"].(string)
		if !ok {
			id = item["name"].(string)
		}
		p.ids = append(p.ids, id)
	}
	iterator, ok := object["iterator"]
	if !ok {
		a.t.Errorf("%s: iterator is missing", path)
	}
	if iterator != nil {
		p.iterator = iterator.(string)
	}
	if prev, ok := object["prevIterator"]; ok {
		p.prev = prev.(string)
	}
	return p
}

// items returns the objects of a list.
func (a *api) items(path string) []map[string]any {
	a.t.Helper()
	var items []map[string]any
	for _, item := range a.get(path).expect(http.StatusOK, "").field("data").([]any) {
		items = append(items, item.(map[string]any))
	}
	return items
}

// attempts returns the attempts of a message, newest first.
func (a *api) attempts(app, message string) []map[string]any {
	a.t.Helper()
	return a.items(app + "/attempt/msg/" + message)
}

// at formats a time for a query.
func at(d time.Duration) string { return url.QueryEscape(start.Add(d).Format(time.RFC3339Nano)) }

// delivery is one request that a receiver got.
type delivery struct {
	path   string
	header http.Header
	body   []byte
	at     time.Time
}

// receiver is a receiver of webhooks. It answers with the answers given, one after the other, the
// last one for ever.
type receiver struct {
	answers []http.HandlerFunc

	mu  sync.Mutex
	got []delivery
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.got = append(r.got, delivery{req.URL.Path, req.Header.Clone(), body, time.Now()})
	n := min(len(r.got), len(r.answers))
	r.mu.Unlock()
	if n > 0 {
		r.answers[n-1](w, req)
	}
}

func (r *receiver) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// delays returns the times between the deliveries.
func (r *receiver) delays() []time.Duration {
	var delays []time.Duration
	got := r.deliveries()
	for i := 1; i < len(got); i++ {
		delays = append(delays, got[i].at.Sub(got[i-1].at))
	}
	return delays
}

// receiver adds a receiver in memory, for all URLs of a host.
func (a *api) receiver(origin string, answers ...http.HandlerFunc) *receiver {
	r := &receiver{answers: answers}
	a.mock.Handle(origin, r)
	return r
}

// status is an answer of a receiver, with pairs of header name and value.
func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for pair := range slices.Chunk(headers, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		w.WriteHeader(code)
	}
}

// reply is an answer of a receiver with a body.
func reply(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// delivered waits until n attempts have been made in all.
func (a *api) delivered(n int) {
	a.t.Helper()
	if err := a.mock.WaitForDeliveries(a.t.Context(), n); err != nil {
		a.t.Fatal(err)
	}
}

// exchange is a request with the answer to it.
type exchange struct {
	method string // default POST
	path   string
	body   string
	status int
	want   string // as of answer.expect
}

// run makes the requests of a table, each as a subtest on the same server; no two may depend on
// each other.
func (a *api) run(t *testing.T, exchanges map[string]exchange) {
	t.Helper()
	for name, x := range exchanges {
		t.Run(name, func(t *testing.T) {
			if x.method == "" {
				x.method = http.MethodPost
			}
			a.with(t).do(x.method, x.path, x.body).expect(x.status, x.want)
		})
	}
}

// with returns the same server for a subtest.
func (a *api) with(t *testing.T) *api {
	t.Helper()
	b := *a
	b.t = t
	return &b
}
