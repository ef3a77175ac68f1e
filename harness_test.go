package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/testdata"
	"github.com/softwareheritage/webhooks/webhookstest"
)

func TestMain(m *testing.M) { harness.Main(m) }

// The environment may name a real Svix server (see testdata/svix/compose.yaml), which may be in use
// by others. Tests that begin with newServer run on it unchanged, else on a mock server each.
const (
	realServerURL   = "WEBHOOKS_TEST_SVIX_URL"
	realServerToken = "WEBHOOKS_TEST_SVIX_TOKEN" //nolint:gosec // the name of a variable
)

// patience is how long a test waits for what a real server does in its own time.
const patience = 30 * time.Second

const (
	channel1 = "https://git.example.org/user/projekt-ä"
	channel2 = "https://hg.example.org/?p=project&x=1"
)

// A server is what a test runs on. It is the test and a client in one.
type server struct {
	*testing.T
	*webhooks.Client

	url, token   string
	hc           *http.Client
	group        string // that the names of the test's own event types begin with
	originCreate string // the default event types, registered under names of the test's own
	originVisit  string

	mock  *webhookstest.Server // nil: the server is real
	ahead atomic.Int64         // of the clock, in nanoseconds
}

func newServer(t *testing.T) *server {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(hc.CloseIdleConnections)
	s := &server{
		T: t, hc: hc, url: os.Getenv(realServerURL), token: os.Getenv(realServerToken),
		group: "test-" + uuid.NewString()[:8],
	}
	if s.url == "" {
		s.mock = webhookstest.NewServer(t, webhookstest.WithRetrySchedule())
		s.url, s.token = s.mock.URL, s.mock.Token
		s.mock.SetClock(func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) })
	} else {
		t.Cleanup(s.archiveTypes)
	}
	s.Client = s.newClient()
	defaults := webhooks.DefaultEventTypes()
	s.originCreate, s.originVisit = s.createType("create", string(defaults[0].Schema)),
		s.createType("visit", string(defaults[1].Schema))
	return s
}

// newClient is another client of the server.
func (s *server) newClient(opts ...webhooks.Option) *webhooks.Client {
	s.Helper()
	client, err := webhooks.NewClient(append([]webhooks.Option{
		webhooks.WithConfig(webhooks.Config{}), webhooks.WithServerURL(s.url),
		webhooks.WithAuthToken(s.token), webhooks.WithHTTPClient(s.hc),
	}, opts...)...)
	s.must(err)
	return client
}

// archiveTypes leaves a server that others use as tidy as can be.
func (s *server) archiveTypes() {
	ctx := context.WithoutCancel(s.Context()) // which has ended
	for et, err := range s.ListEventTypes(ctx) {
		if err == nil && strings.HasPrefix(et.Name, s.group+".") {
			err = s.DeleteEventType(ctx, et.Name)
		}
		if err != nil {
			s.Error(err)
		}
	}
}

// tick makes sure that what is made next gets a later id: the ids of one slot of 4 ms are in no
// order.
func (s *server) tick() {
	const slot = 5 * time.Millisecond
	if s.mock != nil {
		s.ahead.Add(int64(slot))
		return
	}
	<-time.After(slot)
}

func (s *server) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wantError checks that an error is another one and says more besides.
func (s *server) wantError(got, want error, texts ...string) {
	s.Helper()
	checkError(s.T, got, want, texts...)
}

func checkError(t *testing.T, got, want error, texts ...string) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got the error %v, want %q", got, want)
		return
	}
	for _, text := range texts {
		if !strings.Contains(got.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, got)
		}
	}
}

// wantEqual compares what the library gave with what it should have given.
func (s *server) wantEqual(what string, want, got any, opts ...cmp.Option) {
	s.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// onServers runs each check on a server of its own.
func onServers(t *testing.T, checks map[string]func(s *server)) {
	t.Helper()
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(newServer(t))
		})
	}
}

// createType registers an event type and returns its name.
func (s *server) createType(event, schema string) string {
	s.Helper()
	name := s.group + "." + event
	s.must(s.CreateEventType(s.Context(),
		webhooks.EventType{Name: name, Description: "Of a test", Schema: json.RawMessage(schema)}))
	return name
}

// createEndpoints creates endpoints one after the other, with generated secrets.
func (s *server) createEndpoints(endpoints ...webhooks.Endpoint) {
	s.Helper()
	for _, ep := range endpoints {
		s.tick()
		s.must(s.CreateEndpoint(s.Context(), ep, ""))
	}
}

// endpoint describes an endpoint of origin.create that nothing is sent to.
func (s *server) endpoint(path, channel string) webhooks.Endpoint {
	return webhooks.Endpoint{URL: "https://example.org/" + path, EventType: s.originCreate, Channel: channel}
}

func (s *server) endpoints(eventType string, q webhooks.EndpointQuery) []webhooks.Endpoint {
	s.Helper()
	endpoints, err := webhooks.Collect(s.ListEndpoints(s.Context(), eventType, q))
	s.must(err)
	return endpoints
}

// withoutIDs leaves what the server sets, ids and times, out of a comparison of endpoints.
var withoutIDs = cmpopts.IgnoreFields(webhooks.Endpoint{}, "ID", "CreatedAt", "UpdatedAt")

func (s *server) secret(ep webhooks.Endpoint) string {
	s.Helper()
	secret, err := s.GetEndpointSecret(s.Context(), ep)
	s.must(err)
	return secret
}

// originURLs are sample origins of the archive, different ones.
func originURLs(n int) []string {
	var urls []string
	for line := range bytes.Lines(testdata.Origins) {
		var origin struct {
			URL string `json:"url"`
		}
		if err := json.Unmarshal(line, &origin); err != nil {
			panic(err)
		}
		urls = append(urls, origin.URL)
	}
	return urls[:n]
}

// sendOrigins sends events of origin.create, one after the other.
func (s *server) sendOrigins(n int, channel string) []webhooks.Message {
	s.Helper()
	var messages []webhooks.Message
	for _, url := range originURLs(n) {
		messages = append(messages,
			s.send(webhooks.Event{
				Type:    s.originCreate,
				Payload: webhooks.OriginCreate{OriginURL: url}, Channel: channel,
			}))
	}
	return messages
}

func (s *server) send(ev webhooks.Event) webhooks.Message {
	s.Helper()
	s.tick()
	message, err := s.SendEvent(s.Context(), ev)
	s.must(err)
	if message.IsZero() {
		s.Fatalf("the event %+v was not sent, nobody listens", ev)
	}
	return message
}

// sentEvents lists sent events until there are n.
func (s *server) sentEvents(n int, list iter.Seq2[webhooks.SentEvent, error]) []webhooks.SentEvent {
	s.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for enough := time.After(patience); ; {
		events, err := webhooks.Collect(list)
		s.must(err)
		if len(events) >= n {
			return events
		}
		select {
		case <-again.C:
		case <-enough:
			s.Fatalf("got %d sent events, want %d: %+v", len(events), n, events)
		}
	}
}

// An inbox receives what is delivered to it, at any path.
type inbox struct {
	*server

	address string
	posts   chan post
}

// A post is what was delivered.
type post struct {
	url    string
	header http.Header
	body   string
}

func (s *server) newInbox() *inbox {
	s.Helper()
	in := &inbox{server: s, posts: make(chan post, 1000)}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.Error(err)
		}
		in.posts <- post{url: in.address + r.URL.Path, header: asWebhook(r.Header), body: string(body)}
		_, _ = io.WriteString(w, "OK")
	}))
	s.Cleanup(receiver.Close)
	in.address = receiver.URL
	return in
}

// asWebhook names the headers of a delivery as a server does that sends webhook-* ones. Others send
// svix-* ones with the same values.
func asWebhook(header http.Header) http.Header {
	for _, name := range []string{"Id", "Timestamp", "Signature"} {
		if values, ok := header["Svix-"+name]; ok {
			header["Webhook-"+name] = values
			delete(header, "Svix-"+name)
		}
	}
	return header
}

// endpoint describes an endpoint of origin.create that delivers here.
func (in *inbox) endpoint(path, channel string) webhooks.Endpoint {
	return webhooks.Endpoint{URL: in.address + "/" + path, EventType: in.originCreate, Channel: channel}
}

// receive waits for n deliveries.
func (in *inbox) receive(n int) []post {
	in.Helper()
	enough := time.After(patience)
	var posts []post
	for range n {
		select {
		case p := <-in.posts:
			posts = append(posts, p)
		case <-enough:
			in.Fatalf("got %d deliveries, want %d: %+v", len(posts), n, posts)
		}
	}
	return posts
}

// raw makes a request of the server's API without the library, as other programs do.
func (s *server) raw(method, path, body string, into any) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+"/api/v1"+path, strings.NewReader(body))
	s.must(err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.hc.Do(req)
	s.must(err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	s.must(err)
	if resp.StatusCode > 299 {
		s.Fatalf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	if into != nil {
		s.must(json.Unmarshal(answer, into))
	}
}

// derived is the identifier of a name, by the rule of the Python module.
func derived(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name)).String()
}

// application is the path of the Svix application of an event type.
func application(eventType string) string { return "/app/" + derived(eventType) }

// compacted is a JSON text without white space.
func compacted(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// ownTypes lists the test's own event types.
func (s *server) ownTypes() []webhooks.EventType {
	s.Helper()
	all, err := webhooks.Collect(s.ListEventTypes(s.Context()))
	s.must(err)
	return slices.DeleteFunc(all, func(et webhooks.EventType) bool { return !strings.HasPrefix(et.Name, s.group+".") })
}

func (s *server) typeNames() []string {
	s.Helper()
	var names []string
	for _, et := range s.ownTypes() {
		names = append(names, et.Name)
	}
	return names
}

// wantAPIError checks that an error tells of an answer of the server.
func (s *server) wantAPIError(err error, status int, code string) {
	s.Helper()
	var api *webhooks.APIError
	if !errors.As(err, &api) || api.StatusCode != status || api.Code != code {
		s.Errorf("got the error %v, want an APIError of status %d and code %q", err, status, code)
	}
}

// bothListings are the two listings of sent events of an endpoint, the only one of its event type.
func (s *server) bothListings(
	ep webhooks.Endpoint,
) map[string]func(webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
	return map[string]func(webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error]{
		"listing by endpoint": func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
			return s.ListSentEventsForEndpoint(s.Context(), ep, q)
		},
		"listing by event type": func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
			return s.ListSentEventsForEventType(s.Context(), ep.EventType, q)
		},
	}
}

// origin is an event about the i-th sample origin.
func (s *server) origin(i int, channel string) webhooks.Event {
	return webhooks.Event{
		Type:    s.originCreate,
		Payload: webhooks.OriginCreate{OriginURL: originURLs(i + 1)[i]}, Channel: channel,
	}
}

// messages counts the messages that the server has of an event type.
func (s *server) messages(eventType string) int {
	s.Helper()
	var page struct{ Data []struct{} }
	s.raw(http.MethodGet, application(eventType)+"/msg?limit=250", "", &page)
	return len(page.Data)
}

// offline is a client for calls that must not make a request.
func offline(t *testing.T) *webhooks.Client {
	t.Helper()
	return harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request was made: %s %s", r.Method, r.URL)
		return nil, errors.New("no request should be made")
	}), "token", webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
}

// errorsOf ranges twice over a sequence and returns the errors of all pairs.
func errorsOf[T any](seq iter.Seq2[T, error]) []error {
	_, first := pairs(seq)
	_, second := pairs(seq)
	return append(first, second...)
}

func schemaFiles(tb testing.TB, kind string) map[string]string {
	tb.Helper()
	return textFiles(tb, "testdata/schemas/"+kind+"/*.json")
}

// textFiles returns the texts of the files that match a pattern by their base names.
func textFiles(tb testing.TB, pattern string) map[string]string {
	tb.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		tb.Fatalf("found %d files %s (%v)", len(files), pattern, err)
	}
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // of this repository
		if err != nil {
			tb.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	return texts
}

// exactJSON decodes JSON without rounding its numbers.
func exactJSON(t *testing.T, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return writtenOut(value)
}

// writtenOut is a JSON value without exponents in its numbers, as a server's database shows a
// schema.
func writtenOut(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name := range value {
			value[name] = writtenOut(value[name])
		}
	case []any:
		for i := range value {
			value[i] = writtenOut(value[i])
		}
	case json.Number:
		exact, ok := new(big.Rat).SetString(value.String())
		if ok && strings.ContainsAny(value.String(), "eE") {
			return json.Number(exact.RatString())
		}
	}
	return value
}
