package systemtest_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestClientBehavesAsItsModel does what rapid draws, on a server of whose requests 30 % fail and
// whose clock jumps, and compares each outcome with a model that knows no server.
func TestClientBehavesAsItsModel(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg     svixmock.Config
		clients int
		opts    []webhooks.Option
	}{
		"one process":                        {svixmock.Config{}, 1, nil},
		"one process, no idempotency cache":  {svixmock.Config{NoIdempotency: true}, 1, nil},
		"three processes that cache nothing": {svixmock.Config{}, 3, []webhooks.Option{webhooks.WithCacheTTL(0)}},
		"three, no idempotency cache, neither": {
			svixmock.Config{NoIdempotency: true},
			3,
			[]webhooks.Option{webhooks.WithCacheTTL(0)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				steps := 0
				for range harness.Sized(1, 25) {
					rapid.Check(notATest{t}, func(rt *rapid.T) {
						m := newMachine(t, rt, test.cfg, test.clients, test.opts)
						rt.Repeat(rapid.StateMachineActions(m))
						steps += m.steps
					})
				}
				t.Logf("%d steps", steps)
			})
		})
	}
}

// notATest hides the type of a *testing.T, whose deadline rapid would ask for, which is not
// possible in a bubble.
type notATest struct{ rapid.TB }

const (
	modelHost   = "http://receiver.test"
	longestJump = 48 * time.Hour

	looseSchema  = `{"type":"object"}`
	strictSchema = `{"properties":{"n":{"type":"integer"}},"required":["n"],"type":"object"}`
)

var (
	modelTypes    = []string{"group.one", "group.two"}
	modelChannels = []string{"", "https://git.example.org/a", "https://git.example.org/b"}
	modelURLs     = []string{modelHost + "/1", modelHost + "/2"}
)

type modelType struct {
	archived  bool
	schema    string
	endpoints map[modelKey]*modelEndpoint
	messages  map[string]webhooks.Message // by the event's ID
	delivered []string                    // ids of messages, one for each delivery
}

type modelKey struct{ url, channel string }

type modelEndpoint struct {
	metadata  map[string]string
	disabled  bool
	secret    string   // "": generated
	delivered []string // ids of messages
}

// A machine is the client, its server and the model. Its exported methods are the actions that are
// drawn.
type machine struct {
	ctx     context.Context //nolint:containedctx // that of one run
	mock    *svixmock.Server
	clients []*webhooks.Client
	offset  time.Duration // of the server's clock
	types   map[string]*modelType
	steps   int
}

func newMachine(t *testing.T, rt *rapid.T, cfg svixmock.Config, clients int, opts []webhooks.Option) *machine {
	t.Helper()
	cfg.RetrySchedule = []time.Duration{}
	// The clock jumps back, so that it cannot be told which endpoints are older than a message that
	// was not queued.
	cfg.Patient = true
	m := &machine{ctx: t.Context(), mock: harness.NewMock(rt, cfg), types: map[string]*modelType{}}
	m.mock.Handle(modelHost, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	m.mock.SetClock(func() time.Time { return time.Now().Add(m.offset) })
	m.mock.FailRate(0.3, rapid.Uint64().Draw(rt, "seed of the faults"), harness.EveryFault(3*time.Second)...)
	opts = append([]webhooks.Option{webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 30})}, opts...)
	for range clients {
		m.clients = append(m.clients, harness.NewClient(t, m.mock.RoundTripper(), m.mock.Token(), opts...))
	}
	return m
}

// client draws the process that acts.
func (m *machine) client(t *rapid.T) *webhooks.Client {
	m.steps++
	return m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(t, "process")]
}

// drawType draws the name of an event type; the type is nil where there is none.
func (m *machine) drawType(t *rapid.T) (string, *modelType) {
	name := rapid.SampledFrom(modelTypes).Draw(t, "event type")
	return name, m.types[name]
}

// drawEndpoint draws an endpoint; its model is nil where there is none.
func (m *machine) drawEndpoint(t *rapid.T) (webhooks.Endpoint, *modelEndpoint) {
	name, et := m.drawType(t)
	key := modelKey{rapid.SampledFrom(modelURLs).Draw(t, "url"), rapid.SampledFrom(modelChannels).Draw(t, "channel")}
	ep := webhooks.Endpoint{URL: key.url, EventType: name, Channel: key.channel}
	if et == nil {
		return ep, nil
	}
	return ep, et.endpoints[key]
}

// usable is the error of operations that need an event type that is not archived.
func usable(et *modelType) error {
	switch {
	case et == nil:
		return webhooks.ErrEventTypeNotFound
	case et.archived:
		return webhooks.ErrEventTypeArchived
	}
	return nil
}

// missing is the error of operations on an endpoint that exists or not.
func (m *machine) missing(ep webhooks.Endpoint, model *modelEndpoint) error {
	switch {
	case m.types[ep.EventType] == nil:
		return webhooks.ErrEventTypeNotFound
	case model == nil:
		return webhooks.ErrEndpointNotFound
	}
	return nil
}

func wantErr(t *rapid.T, got, want error) {
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func (m *machine) CreateEventType(t *rapid.T) {
	name, et := m.drawType(t)
	schema := rapid.SampledFrom([]string{looseSchema, strictSchema}).Draw(t, "schema")
	wantErr(t, m.client(t).CreateEventType(m.ctx,
		webhooks.EventType{Name: name, Description: schema, Schema: []byte(schema)}), nil)
	if et == nil {
		et = &modelType{endpoints: map[modelKey]*modelEndpoint{}, messages: map[string]webhooks.Message{}}
		m.types[name] = et
	}
	et.archived, et.schema = false, schema
}

func (m *machine) DeleteEventType(t *rapid.T) {
	name, et := m.drawType(t)
	err := m.client(t).DeleteEventType(m.ctx, name)
	if et == nil {
		wantErr(t, err, webhooks.ErrEventTypeNotFound)
		return
	}
	wantErr(t, err, nil)
	et.archived = true
}

func (m *machine) GetEventType(t *rapid.T) {
	name, et := m.drawType(t)
	got, err := m.client(t).GetEventType(m.ctx, name)
	wantErr(t, err, usable(et))
	if err == nil && (got.Name != name || string(got.Schema) != et.schema || got.Description != et.schema) {
		t.Fatalf("got event type %+v, want %s with %s", got, name, et.schema)
	}
}

func (m *machine) ListEventTypes(t *rapid.T) {
	got, err := webhooks.Collect(m.client(t).ListEventTypes(m.ctx))
	wantErr(t, err, nil)
	var want []webhooks.EventType
	for _, name := range modelTypes {
		if et := m.types[name]; usable(et) == nil {
			want = append(want, webhooks.EventType{Name: name, Description: et.schema, Schema: []byte(et.schema)})
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("event types (-want +got):\n%s", diff)
	}
}

func (m *machine) CreateEndpoint(t *rapid.T) {
	ep, model := m.drawEndpoint(t)
	ep.Disabled = rapid.Bool().Draw(t, "disabled")
	if team := rapid.SampledFrom([]string{"", "archive", "vault"}).Draw(t, "team"); team != "" {
		ep.Metadata = map[string]string{"team": team}
	}
	secret := rapid.SampledFrom([]string{"", harness.SecretA, harness.SecretB}).Draw(t, "secret")
	err := m.client(t).CreateEndpoint(m.ctx, ep, secret)
	et := m.types[ep.EventType]
	if refused := usable(et); refused != nil {
		wantErr(t, err, refused)
		return
	}
	if model == nil {
		model = &modelEndpoint{}
		et.endpoints[modelKey{ep.URL, ep.Channel}] = model
	}
	model.metadata, model.disabled = ep.Metadata, ep.Disabled
	model.setSecret(t, err, secret)
}

// setSecret notes what err says of a change of the secret. The server refuses the eleventh within a
// day; how often faults have made it change is not modelled.
func (ep *modelEndpoint) setSecret(t *rapid.T, err error, secret string) {
	if errors.Is(err, webhooks.ErrSecretRotationLimit) {
		return
	}
	wantErr(t, err, nil)
	ep.secret = secret
}

func (m *machine) RotateEndpointSecret(t *rapid.T) {
	ep, model := m.drawEndpoint(t)
	secret := rapid.SampledFrom([]string{"", harness.SecretA, harness.SecretB}).Draw(t, "secret")
	err := m.client(t).RotateEndpointSecret(m.ctx, ep, secret)
	if model == nil {
		wantErr(t, err, m.missing(ep, model))
		return
	}
	model.setSecret(t, err, secret)
}

func (m *machine) GetEndpointSecret(t *rapid.T) {
	ep, model := m.drawEndpoint(t)
	got, err := m.client(t).GetEndpointSecret(m.ctx, ep)
	if model == nil {
		wantErr(t, err, webhooks.ErrEndpointNotFound)
		return
	}
	wantErr(t, err, nil)
	if model.secret != "" && got != model.secret || !strings.HasPrefix(got, "whsec_") {
		t.Fatalf("got secret %q, want %q", got, model.secret)
	}
}

func (m *machine) SetEndpointDisabled(t *rapid.T) {
	ep, model := m.drawEndpoint(t)
	disabled := rapid.Bool().Draw(t, "disabled")
	wantErr(t, m.client(t).SetEndpointDisabled(m.ctx, ep, disabled), m.missing(ep, model))
	if model != nil {
		model.disabled = disabled
	}
}

func (m *machine) DeleteEndpoint(t *rapid.T) {
	ep, model := m.drawEndpoint(t)
	err := m.client(t).DeleteEndpoint(m.ctx, ep)
	if err != nil || model != nil { // it may seem to have been this call that deleted it
		wantErr(t, err, m.missing(ep, model))
	}
	if model != nil {
		delete(m.types[ep.EventType].endpoints, modelKey{ep.URL, ep.Channel})
	}
}

func (m *machine) ListEndpoints(t *rapid.T) {
	name, et := m.drawType(t)
	q := webhooks.EndpointQuery{Channel: rapid.SampledFrom(modelChannels).Draw(t, "channel")}
	q.NoChannel = q.Channel == "" && rapid.Bool().Draw(t, "no channel")
	q.Ascending = rapid.Bool().Draw(t, "ascending")
	got, err := webhooks.Collect(m.client(t).ListEndpoints(m.ctx, name, q))
	wantErr(t, err, usable(et))
	if err != nil {
		return
	}
	var want []webhooks.Endpoint
	for key, ep := range et.endpoints {
		if key.channel == "" || !q.NoChannel && (q.Channel == "" || q.Channel == key.channel) {
			want = append(want, webhooks.Endpoint{
				URL: key.url, EventType: name,
				Channel: key.channel, Metadata: ep.metadata, Disabled: ep.disabled,
			})
		}
	}
	sorted := cmpopts.SortSlices(func(a, b webhooks.Endpoint) bool { return a.URL+a.Channel < b.URL+b.Channel })
	if diff := cmp.Diff(want, got, sorted, cmpopts.IgnoreFields(webhooks.Endpoint{}, "ID", "CreatedAt", "UpdatedAt"),
		cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("endpoints (-want +got):\n%s", diff)
	}
}

func (m *machine) SendEvent(t *rapid.T) {
	name, et := m.drawType(t)
	fits := rapid.Bool().Draw(t, "fits the strict schema")
	ev := webhooks.Event{
		Type:    name,
		Payload: map[string]any{},
		Channel: rapid.SampledFrom(modelChannels).Draw(t, "channel"),
		ID:      rapid.SampledFrom([]string{"", "journal-0-1", "journal-0-2"}).Draw(t, "ID"),
	}
	if fits {
		ev.Payload = map[string]any{"n": 1}
	}
	if et != nil && et.messages[ev.ID] != (webhooks.Message{}) {
		m.offset = longestJump // the server does not show attempts that are still to come
	}
	message, err := m.client(t).SendEvent(m.ctx, ev)
	switch refused := usable(et); {
	case refused != nil:
		wantErr(t, err, refused)
		return
	case et.schema == strictSchema && !fits:
		wantErr(t, err, webhooks.ErrInvalidPayload)
		return
	}
	wantErr(t, err, nil)
	recipients := et.recipients(ev.Channel)
	known, isKnown := et.messages[ev.ID]
	switch {
	case len(recipients) == 0:
		if !message.IsZero() {
			t.Fatalf("got message %v, but nobody listens", message)
		}
		return
	case isKnown && !message.Repeated:
		t.Fatalf("got message %v, which is not told to be repeated", message)
	}
	message.Repeated = false
	switch {
	case isKnown && message != known:
		t.Fatalf("got message %v, want that of the first send, %v", message, known)
	case message.IsZero():
		t.Fatal("nothing was sent, but somebody listens")
	case isKnown:
		return
	}
	if ev.ID != "" {
		et.messages[ev.ID] = message
	}
	m.checkDeliveries(t, et, message.ID, name, recipients)
}

// recipients are the endpoints that an event on a channel is delivered to.
func (et *modelType) recipients(channel string) map[modelKey]*modelEndpoint {
	found := map[modelKey]*modelEndpoint{}
	for key, ep := range et.endpoints {
		if !ep.disabled && (key.channel == "" || key.channel == channel) {
			found[key] = ep
		}
	}
	return found
}

// checkDeliveries checks who receives a message, with which header and signature.
func (m *machine) checkDeliveries(t *rapid.T, et *modelType, id, eventType string,
	recipients map[modelKey]*modelEndpoint,
) {
	synctest.Wait()
	var got, want []string
	for _, d := range m.mock.Deliveries() {
		if d.MessageID != id {
			continue
		}
		got = append(got, d.URL)
		if d.Header.Get("X-Swh-Event") != eventType {
			t.Fatalf("a delivery of %s has the headers %v", eventType, d.Header)
		}
	}
	for key, ep := range recipients {
		want = append(want, key.url)
		ep.delivered = append(ep.delivered, id)
		et.delivered = append(et.delivered, id)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("deliveries of %s (-want +got):\n%s", id, diff)
	}
}

func (m *machine) ListSentEvents(t *rapid.T) {
	m.offset = longestJump // the server does not list what is still to come
	ep, model := m.drawEndpoint(t)
	et := m.types[ep.EventType]
	ofType, err := webhooks.Collect(m.client(t).ListSentEventsForEventType(m.ctx, ep.EventType,
		webhooks.SentEventQuery{}))
	wantErr(t, err, usable(et))
	ofEndpoint, err := webhooks.Collect(m.client(t).ListSentEventsForEndpoint(m.ctx, ep, webhooks.SentEventQuery{}))
	if refused := usable(et); refused != nil {
		wantErr(t, err, refused)
		return
	}
	checkSentEvents(t, "the event type", et.delivered, ofType)
	wantErr(t, err, m.missing(ep, model))
	if err != nil {
		return
	}
	checkSentEvents(t, "the endpoint", model.delivered, ofEndpoint)
}

func checkSentEvents(t *rapid.T, of string, want []string, events []webhooks.SentEvent) {
	var got []string
	for _, event := range events {
		got = append(got, event.MessageID)
		if event.ResponseStatusCode != http.StatusOK ||
			event.Headers.Get("X-Swh-Event") != event.EventType || len(event.Payload) == 0 {
			t.Fatalf("sent event %+v", event)
		}
	}
	less := func(a, b string) bool { return a < b }
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(less), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("sent events of %s (-want +got):\n%s", of, diff)
	}
}

// Jump sets the server's clock forward or back.
func (m *machine) Jump(t *rapid.T) {
	m.offset = time.Duration(rapid.Int64Range(-int64(longestJump), int64(longestJump)).Draw(t, "offset"))
}

// Pause lets what the clients and the server have cached expire, or not.
func (m *machine) Pause(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
}

// Check is the invariant: all that is stored is what the model knows.
func (m *machine) Check(t *rapid.T) {
	perEvent := map[string]int{}
	for _, message := range m.mock.Messages() {
		perEvent[message.AppID+" "+message.EventID]++
	}
	for event, n := range perEvent {
		if n != 1 {
			t.Fatalf("event %s is stored %d times", event, n)
		}
	}
}
