package systemtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// wantedEndpoint is what an endpoint is to be on the server.
type wantedEndpoint struct {
	Disabled bool
	Channels []string
	Metadata map[string]string
	Headers  map[string]string
	Secret   string // "": any but harness.SecretA
}

// A change is an operation that changes what is on the server of harness.NewServer.
type change struct {
	before func(*testing.T, *svixmock.Server) // nil: nothing
	do     harness.Operation
	again  error // that the repetition may return in place of nil
	check  func(t *testing.T, mock *svixmock.Server)
}

func changes() map[string]change {
	withHeaders := func(more map[string]string) map[string]string {
		more["X-Swh-Event"] = webhooks.TypeOriginCreate
		return more
	}
	channel := identity.Channel(harness.NewEndpoint().Channel)
	created := wantedEndpoint{
		Channels: []string{channel},
		Metadata: map[string]string{channel: harness.NewEndpoint().Channel},
		Headers:  withHeaders(map[string]string{}),
	}
	createdWith := func(change func(*wantedEndpoint)) wantedEndpoint {
		changed := created
		change(&changed)
		return changed
	}
	known := wantedEndpoint{
		Metadata: harness.KnownEndpoint().Metadata,
		Headers:  withHeaders(map[string]string{}), Secret: harness.SecretA,
	}
	knownWith := func(change func(*wantedEndpoint)) wantedEndpoint {
		changed := known
		change(&changed)
		return changed
	}
	disabledNew := harness.NewEndpoint()
	disabledNew.Disabled = true
	changedKnown := harness.KnownEndpoint()
	changedKnown.Metadata = map[string]string{"team": "vault"}
	changedKnown.Disabled = true
	create := func(ep webhooks.Endpoint, secret string) harness.Operation {
		return func(ctx context.Context, c *webhooks.Client) error { return c.CreateEndpoint(ctx, ep, secret) }
	}
	createType := func(ctx context.Context, c *webhooks.Client) error {
		et := webhooks.DefaultEventTypes()[0]
		et.Description = "changed"
		return c.CreateEventType(ctx, et)
	}
	deleteType := func(ctx context.Context, c *webhooks.Client) error {
		return c.DeleteEventType(ctx, webhooks.TypeOriginCreate)
	}
	archive := func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		harness.RawRequest(t, mock, http.MethodDelete, "/api/v1/event-type/"+webhooks.TypeOriginCreate, "")
	}
	addHeader := func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		path := "/api/v1/app/" + identity.Application(webhooks.TypeOriginCreate) + "/endpoint/" +
			harness.KnownEndpoint().UID() + "/headers"
		harness.RawRequest(t, mock, http.MethodPatch, path, `{"headers":{"X-Other":"kept"}}`)
	}
	return map[string]change{
		"CreateEventType, new": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEventType(ctx,
					webhooks.EventType{Name: "new.type", Description: "new", Schema: []byte(`{"type":"object"}`)})
			},
			check: wantType("new.type", "new", false),
		},
		"CreateEventType, existing": {do: createType, check: wantType(webhooks.TypeOriginCreate, "changed", false)},
		"CreateEventType, archived": {
			before: archive, do: createType,
			check: wantType(webhooks.TypeOriginCreate, "changed", false),
		},
		"DeleteEventType": {
			do:    deleteType,
			check: wantType(webhooks.TypeOriginCreate, webhooks.DefaultEventTypes()[0].Description, true),
		},
		"CreateEndpoint, new": {
			do:    create(harness.NewEndpoint(), ""),
			check: wantEndpoint(harness.NewEndpoint(), created),
		},
		"CreateEndpoint, new with a secret": {
			do: create(harness.NewEndpoint(), harness.SecretB),
			check: wantEndpoint(harness.NewEndpoint(), createdWith(func(w *wantedEndpoint) {
				w.Secret = harness.SecretB
			})),
		},
		"CreateEndpoint, new and disabled": {
			do:    create(disabledNew, ""),
			check: wantEndpoint(harness.NewEndpoint(), createdWith(func(w *wantedEndpoint) { w.Disabled = true })),
		},
		"CreateEndpoint, existing": {
			do:    create(harness.KnownEndpoint(), ""),
			check: wantEndpoint(harness.KnownEndpoint(), knownWith(func(w *wantedEndpoint) { w.Secret = "" })),
		},
		"CreateEndpoint, existing with its secret": {
			do:    create(harness.KnownEndpoint(), harness.SecretA),
			check: wantEndpoint(harness.KnownEndpoint(), known),
		},
		"CreateEndpoint, existing with another of all": {
			before: addHeader,
			do:     create(changedKnown, harness.SecretB),
			check: wantEndpoint(harness.KnownEndpoint(), wantedEndpoint{
				Disabled: true, Metadata: changedKnown.Metadata,
				Headers: withHeaders(map[string]string{"X-Other": "kept"}), Secret: harness.SecretB,
			}),
		},
		"RotateEndpointSecret, given": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.RotateEndpointSecret(ctx, harness.KnownEndpoint(), harness.SecretB)
			},
			check: wantEndpoint(harness.KnownEndpoint(), knownWith(func(w *wantedEndpoint) {
				w.Secret = harness.SecretB
			})),
		},
		"RotateEndpointSecret, generated": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.RotateEndpointSecret(ctx, harness.KnownEndpoint(), "")
			},
			check: wantEndpoint(harness.KnownEndpoint(), knownWith(func(w *wantedEndpoint) { w.Secret = "" })),
		},
		"SetEndpointDisabled": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.SetEndpointDisabled(ctx, harness.KnownEndpoint(), true)
			},
			check: wantEndpoint(harness.KnownEndpoint(), knownWith(func(w *wantedEndpoint) { w.Disabled = true })),
		},
		"DeleteEndpoint": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.DeleteEndpoint(ctx, harness.KnownEndpoint())
			},
			again: webhooks.ErrEndpointNotFound, // the answer to the first call was lost
			check: func(t *testing.T, mock *svixmock.Server) {
				t.Helper()
				if left := harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate); len(left) != 0 {
					t.Errorf("%d endpoints are left", len(left))
				}
			},
		},
	}
}

func wantType(name, description string, archived bool) func(*testing.T, *svixmock.Server) {
	return func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		var got struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Archived    bool           `json:"archived"`
			Schemas     map[string]any `json:"schemas"`
		}
		harness.RawGet(t, mock, "/api/v1/event-type/"+name, &got)
		if got.Name != name || got.Description != description || got.Archived != archived || got.Schemas["1"] == nil {
			t.Errorf("got event type %+v, want %s, %q, archived: %v, with a schema", got, name, description, archived)
		}
		var app struct {
			UID string `json:"uid"`
		}
		if status := harness.RawGet(t, mock, "/api/v1/app/"+identity.Application(name), &app); status != http.StatusOK {
			t.Errorf("the application has the status %d", status)
		}
	}
}

func wantEndpoint(ep webhooks.Endpoint, want wantedEndpoint) func(*testing.T, *svixmock.Server) {
	return func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		var found []harness.RawEndpoint
		for _, raw := range harness.RawEndpoints(t, mock, ep.EventType) {
			if raw.URL == ep.URL {
				found = append(found, raw)
			}
		}
		if len(found) != 1 || found[0].UID != ep.UID() || !slices.Equal(found[0].FilterTypes, []string{ep.EventType}) {
			t.Fatalf("got endpoints %+v, want one, with the uid %s, for %s", found, ep.UID(), ep.EventType)
		}
		got := wantedEndpoint{
			found[0].Disabled, found[0].Channels, found[0].Metadata,
			found[0].Headers, found[0].Secret,
		}
		if want.Secret == "" && got.Secret != harness.SecretA {
			got.Secret = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("endpoint (-want +got):\n%s", diff)
		}
	}
}

// halfWayFaults are ways in which a request fails.
func halfWayFaults() map[string]svixmock.Fault {
	return map[string]svixmock.Fault{
		"reset before acting":   {Reset: true},
		"reset after acting":    {Reset: true, AfterActing: true},
		"500 after acting":      {Status: 500, AfterActing: true},
		"no answer":             {Hang: true},
		"429":                   {Status: 429},
		"dropped before acting": {GoAway: svixmock.NothingStored},
		"dropped after acting":  {GoAway: svixmock.StoredNotQueued},
		"404 of another server": {Status: 404, Body: "<html>"},
	}
}

// TestChangesConverge lets each request of each change fail, in each way, and then repeats the
// change. What it comes to is the same, and no delivery before, between or after lacks its header.
func TestChangesConverge(t *testing.T) {
	t.Parallel()
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cases := 0
			harness.InBubble(t, func(t *testing.T) {
				requests := requestsOfChange(t, change)
				for faultName, fault := range halfWayFaults() {
					for k := range requests {
						if cases++; !converges(t, change, k, fault) {
							t.Errorf("after %s at request %d of %d", faultName, k+1, requests)
						}
					}
				}
			})
			t.Logf("%d cases", cases)
		})
	}
}

func requestsOfChange(t *testing.T, change change) int {
	t.Helper()
	mock := changedServer(t, change)
	return harness.RequestsOn(t, mock, change.do)
}

func changedServer(t *testing.T, change change) *svixmock.Server {
	t.Helper()
	mock := harness.NewServer(t, svixmock.Config{NoIdempotency: true, RetrySchedule: []time.Duration{}})
	mock.Handle(harness.NewHookURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if change.before != nil {
		change.before(t, mock)
	}
	return mock
}

// converges makes a change of which request k meets a fault, and makes it again.
func converges(t *testing.T, change change, k int, fault svixmock.Fault) bool {
	t.Helper()
	mock := changedServer(t, change)
	defer mock.Close()
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
		webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
	mock.FailNext(1, withOnly(fault, harness.Only(k)))
	failed := change.do(t.Context(), client)
	deliverSome(t, mock)
	repeated := change.do(t.Context(), client)
	deliverSome(t, mock)
	if failed == nil || repeated != nil && !errors.Is(repeated, change.again) {
		t.Errorf("the change gave %v, its repetition %v", failed, repeated)
	}
	change.check(t, mock)
	for _, d := range mock.Deliveries() {
		if d.Header.Get("X-Swh-Event") != webhooks.TypeOriginCreate {
			t.Errorf("a delivery to %s has the headers %v", d.URL, d.Header)
		}
	}
	return !t.Failed()
}

// TestChangesOutliveOneFault: where requests are tried again, each change works at once whatever
// happens to one of its requests, on servers without an idempotency cache, too.
func TestChangesOutliveOneFault(t *testing.T) {
	t.Parallel()
	step := harness.Sized(5, 1) // not every fault at every request in each run
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				requests := requestsOfChange(t, change)
				for i, fault := range harness.EveryFault(time.Second) {
					for k := i % step; k < requests; k += step {
						mock := changedServer(t, change)
						mock.FailNext(1, withOnly(fault, harness.Only(k)))
						if err := change.do(t.Context(),
							harness.NewClient(t, mock.RoundTripper(), mock.Token())); err != nil {
							t.Errorf("after fault %d at request %d of %d: %v", i, k+1, requests, err)
						}
						change.check(t, mock)
						mock.Close()
					}
				}
			})
		})
	}
}

// deliverSome sends an event, as another process does, to whoever listens now.
func deliverSome(t *testing.T, mock *svixmock.Server) {
	t.Helper()
	event := harness.KnownEvent()
	event.Channel = harness.NewEndpoint().Channel
	sender := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithoutListenerCheck())
	if _, err := sender.SendEvent(t.Context(), event); err != nil && !errors.Is(err, webhooks.ErrEventTypeArchived) {
		t.Error(err)
	}
	synctest.Wait()
}

// TestProcessesThatCreateTheSameAtOnce: the requests of all of them interleave, because each answer
// takes a moment, before or after the server has acted.
func TestProcessesThatCreateTheSameAtOnce(t *testing.T) {
	t.Parallel()
	channel := identity.Channel(harness.NewEndpoint().Channel)
	endpoint := wantedEndpoint{
		Channels: []string{channel}, Metadata: map[string]string{channel: harness.NewEndpoint().Channel},
		Headers: map[string]string{"X-Swh-Event": webhooks.TypeOriginCreate},
	}
	withSecret := endpoint
	withSecret.Secret = harness.SecretB
	tests := map[string]change{
		"event type": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEventType(ctx,
					webhooks.EventType{Name: "new.type", Description: "new", Schema: []byte(`{"type":"object"}`)})
			},
			check: wantType("new.type", "new", false),
		},
		"endpoint with a generated secret": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEndpoint(ctx, harness.NewEndpoint(), "")
			},
			again: webhooks.ErrSecretRotationLimit, // each of them but the first rotates it
			check: wantEndpoint(harness.NewEndpoint(), endpoint),
		},
		"endpoint with a given secret": {
			do: func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEndpoint(ctx, harness.NewEndpoint(), harness.SecretB)
			},
			check: wantEndpoint(harness.NewEndpoint(), withSecret),
		},
	}
	for name, test := range tests {
		for _, processes := range []int{2, 16} {
			for _, afterActing := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/acts first %v", name, processes, afterActing), func(t *testing.T) {
					t.Parallel()
					harness.InBubble(t, func(t *testing.T) {
						mock := changedServer(t, test)
						mock.FailRate(1, 1, svixmock.Fault{Delay: time.Millisecond, AfterActing: afterActing})
						var running sync.WaitGroup
						for range processes {
							running.Go(func() {
								client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
								if err := test.do(t.Context(), client); err != nil &&
									(processes == 2 || !errors.Is(err, test.again)) {
									t.Error(err)
								}
							})
						}
						running.Wait()
						mock.FailRate(0, 0)
						test.check(t, mock)
					})
				})
			}
		}
	}
}
