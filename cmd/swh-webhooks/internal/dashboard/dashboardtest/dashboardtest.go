// Package dashboardtest makes a Svix server with a past that is worth looking at.
package dashboardtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/testdata"
)

// ServerURL is how the pages name the server.
const ServerURL = "https://svix.example.org"

// A Scene is a server with event types, endpoints and a week of deliveries.
type Scene struct {
	*svixmock.Server

	Client *webhooks.Client
	// Slow makes receivers take their time, so that the attempts have durations.
	Slow bool

	// Requests counts what the client asks of the server.
	Requests atomic.Int64

	tb      testing.TB
	settled chan struct{} // one for each message that an endpoint has received, or failed to for good

	mu    sync.Mutex
	clock time.Time // zero: that of the machine
	dice  *rand.Rand
	count int // of deliveries

	deliveries map[string]int // to an endpoint
	tries      map[string]int // of a message at an endpoint
}

// maxTries is how often a delivery is tried.
const maxTries = 3

// New returns a server with the archive's event types and nothing else.
func New(tb testing.TB) *Scene {
	tb.Helper()
	s := &Scene{
		Server:     svixmock.New(svixmock.Config{RetrySchedule: make([]time.Duration, maxTries-1)}),
		tb:         tb,
		settled:    make(chan struct{}, 100),
		tries:      map[string]int{},
		deliveries: map[string]int{},
		dice:       rand.New(rand.NewPCG(1, 2)), //nolint:gosec // the same past each time
	}
	tb.Cleanup(s.Close)
	s.SetClock(s.now)
	var err error
	s.Client, err = webhooks.NewClient(
		webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(ServerURL),
		webhooks.WithAuthToken(s.Token()),
		webhooks.WithHTTPClient(&http.Client{Transport: counting{s}}),
		webhooks.WithoutListenerCheck())
	s.check(err)
	for _, et := range webhooks.DefaultEventTypes() {
		s.check(s.Client.CreateEventType(tb.Context(), et))
	}
	return s
}

type counting struct{ *Scene }

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.Requests.Add(1)
	return c.RoundTripper().RoundTrip(r)
}

func (s *Scene) check(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Scene) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock.IsZero() {
		return time.Now()
	}
	return s.clock
}

func (s *Scene) setClock(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = t
}

// A Subscriber is an endpoint with a receiver that fails now and then.
type Subscriber struct {
	webhooks.Endpoint

	Failing int           // every so manieth delivery fails; 0: none does
	Typical time.Duration // of an answer
}

// Subscribers are those of a Scene with a past.
func Subscribers() []Subscriber {
	const visit, create = webhooks.TypeOriginVisit, webhooks.TypeOriginCreate
	subscribers := []Subscriber{
		{
			Endpoint: webhooks.Endpoint{
				URL:       "https://hooks.inria.example/archive/visits",
				EventType: visit, Metadata: map[string]string{"team": "science", "contact": "visits@inria.example"},
			},
			Failing: 250, Typical: 45 * time.Millisecond,
		},
		{Endpoint: webhooks.Endpoint{
			URL:       "https://ci.kernel.example/software-heritage",
			EventType: visit, Channel: "https://github.com/torvalds/linux",
			Metadata: map[string]string{"team": "kernel"},
		}, Failing: 12, Typical: 120 * time.Millisecond},
		{Endpoint: webhooks.Endpoint{
			URL: "https://forge.example.org/hooks/swh", EventType: visit,
			Channel: "https://codeberg.org/fediverse/fep.git",
		}, Failing: 4, Typical: 800 * time.Millisecond},
		{
			Endpoint: webhooks.Endpoint{URL: "https://notify.zenodo.example/api/swh/v1/visit", EventType: visit},
			Typical:  15 * time.Millisecond,
		},
		{Endpoint: webhooks.Endpoint{
			URL:       "https://old.example.net/cgi-bin/notify.pl",
			EventType: visit, Disabled: true,
		}, Failing: 1, Typical: time.Second},
	}
	for i, name := range strings.Fields("almanac beacon catalog depot exhibit folio gazette herald " +
		"index journal kiosk ledger mirror notary observer") {
		subscribers = append(subscribers, Subscriber{
			Endpoint: webhooks.Endpoint{URL: "https://" + name + ".example.org/new-origins", EventType: create},
			Failing:  i % 4 * 30, Typical: time.Duration(20+10*i) * time.Millisecond,
		})
	}
	return subscribers
}

// Fill gives the scene its subscribers and a past: as many events as n in the last week, each of
// which is delivered.
func (s *Scene) Fill(n int) {
	s.tb.Helper()
	begin := time.Now().Add(-7 * 24 * time.Hour)
	for i, sub := range Subscribers() {
		s.setClock(begin.Add(time.Duration(i)*time.Minute - time.Hour))
		s.check(s.Client.CreateEndpoint(s.tb.Context(), sub.Endpoint, ""))
		s.Handle(sub.URL[:strings.Index(sub.URL[8:], "/")+8], s.receiver(sub))
	}
	origins, visits := lines(testdata.Origins), lines(testdata.Visits)
	for i := range n {
		share := float64(i) / float64(n)
		share += 0.8 * math.Sin(2*math.Pi*7*share) / (2 * math.Pi * 7) // more by day than by night
		at := begin.Add(time.Duration(share * float64(7*24*time.Hour)))
		s.setClock(at.Add(time.Duration(s.dice.IntN(1000)) * time.Millisecond))
		if i%3 == 0 {
			url, _ := origins[i%len(origins)]["url"].(string)
			s.Send(webhooks.Event{
				Type: webhooks.TypeOriginCreate, Channel: url,
				Payload: webhooks.OriginCreate{OriginURL: url},
			})
			continue
		}
		s.Send(s.visit(visits[i%len(visits)], i))
	}
	s.setClock(time.Time{})
}

func (s *Scene) visit(sample map[string]any, i int) webhooks.Event {
	url, _ := sample["origin"].(string)
	if i%2 == 0 {
		url = "https://github.com/torvalds/linux"
	}
	kind, _ := sample["type"].(string)
	return webhooks.Event{Type: webhooks.TypeOriginVisit, Channel: url, Payload: webhooks.OriginVisit{
		OriginURL: url, VisitType: kind, VisitDate: webhooks.NewVisitDate(s.now()), VisitStatus: webhooks.VisitFull,
	}}
}

// Send sends an event and waits until it is delivered to all who listen, or has failed for good.
func (s *Scene) Send(ev webhooks.Event) webhooks.Message {
	s.tb.Helper()
	message, err := s.Client.SendEvent(s.tb.Context(), ev)
	s.check(err)
	for _, sub := range Subscribers() {
		if sub.EventType == ev.Type && !sub.Disabled && (sub.Channel == "" || sub.Channel == ev.Channel) {
			<-s.settled
		}
	}
	s.mu.Lock()
	count := s.count
	s.mu.Unlock()
	s.check(s.WaitForDeliveries(s.tb.Context(), count))
	return message
}

// Receive has the deliveries to a URL answered.
func (s *Scene) Receive(url string, answer func(w http.ResponseWriter)) {
	s.tb.Helper()
	s.Handle(url, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
}

// FillWith gives the scene as many endpoints for visits, all on channels of their own but the
// first, and as many messages of the last days, each delivered to the first.
func (s *Scene) FillWith(endpoints, messages int) {
	s.tb.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	all := webhooks.Endpoint{URL: "https://all.example.org/visits", EventType: webhooks.TypeOriginVisit}
	s.check(s.Client.EnsureEndpoint(s.tb.Context(), all))
	for i := range endpoints - 1 {
		g.Go(func() error {
			return s.Client.EnsureEndpoint(s.tb.Context(), webhooks.Endpoint{
				URL: fmt.Sprintf("https://subscriber-%d.example.org/visits", i), EventType: webhooks.TypeOriginVisit,
				Channel: fmt.Sprintf("https://forge.example.org/project-%d", i),
			})
		})
	}
	s.check(g.Wait())
	begin, step := time.Now().Add(-6*24*time.Hour), 6*24*time.Hour/time.Duration(messages)
	s.check(s.SeedAttempts(messages, svixmock.Seed{
		App: identity.Application(webhooks.TypeOriginVisit), Endpoint: all.UID(), EventType: webhooks.TypeOriginVisit,
		Payload: func(i int) []byte {
			return fmt.Appendf(nil, `{"origin_url":"https://forge.example.org/project-%d"}`, i)
		},
		At: func(i int) time.Time { return begin.Add(step * time.Duration(i)) },
	}))
}

// Endpoints returns the endpoints of an event type, newest first.
func (s *Scene) Endpoints(tb testing.TB, eventType string) []webhooks.Endpoint {
	tb.Helper()
	endpoints, err := webhooks.Collect(s.Client.ListEndpoints(tb.Context(), eventType, webhooks.EndpointQuery{}))
	s.check(err)
	return endpoints
}

// Endpoint returns the endpoint with a URL that begins so.
func (s *Scene) Endpoint(tb testing.TB, eventType, url string) webhooks.Endpoint {
	tb.Helper()
	for _, ep := range s.Endpoints(tb, eventType) {
		if strings.HasPrefix(ep.URL, url) {
			return ep
		}
	}
	tb.Fatalf("no endpoint with the URL %s", url)
	return webhooks.Endpoint{}
}

// Failed returns the id of the newest message of a visit with a failed attempt.
func (s *Scene) Failed(tb testing.TB) string {
	tb.Helper()
	query := webhooks.SentEventQuery{Status: webhooks.DeliveryFailed, Limit: 1}
	events, err := webhooks.Collect(s.Client.ListSentEventsForEventType(tb.Context(), webhooks.TypeOriginVisit, query))
	s.check(err)
	return events[0].MessageID
}

// receiver answers for a subscriber. While the clock is not that of the machine, it moves it on by
// the time that the answer takes.
func (s *Scene) receiver(sub Subscriber) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		s.mu.Lock()
		took := time.Duration(float64(sub.Typical) * (0.5 + s.dice.ExpFloat64()))
		s.deliveries[sub.URL]++
		failed := sub.Failing > 0 && s.deliveries[sub.URL]%sub.Failing == 0
		if !s.clock.IsZero() {
			s.clock = s.clock.Add(took)
		}
		s.count++
		try := sub.URL + " " + r.Header.Get("Webhook-Id")
		s.tries[try]++
		last := !failed || s.tries[try] == maxTries
		s.mu.Unlock()
		if last {
			defer func() { s.settled <- struct{}{} }()
		}
		if s.Slow {
			time.Sleep(took / 4)
		}
		if failed {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "the database is being vacuumed, try again later")
			return
		}
		fmt.Fprintln(w, `{"received":true}`)
	})
}

func lines(text []byte) []map[string]any {
	var items []map[string]any
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		var item map[string]any
		if json.Unmarshal(scanner.Bytes(), &item) == nil {
			items = append(items, item)
		}
	}
	return items
}
