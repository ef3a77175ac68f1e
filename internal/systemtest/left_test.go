package systemtest_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// leftBehind is what there is of the things that a test changes.
type leftBehind struct {
	Application bool // of new.type
	EventType   string
	Endpoint    string // the new one
	Secret      string // of the known one
	Headers     string // of the known one
	Metadata    string // of the known one
	Disabled    bool   // the known one
	Deleted     bool   // the known one
	Archived    bool   // origin.create
	Attempts    int    // that somebody asked for
}

// TestWhatADroppedChangeLeaves drops the handler of each request of a change once it has stored
// what it had to, and so the change with it. Then it repeats the change. The package documentation
// has a row for each of these.
func TestWhatADroppedChangeLeaves(t *testing.T) {
	t.Parallel()
	operations := harness.Operations()
	known := leftBehind{Secret: "SecretA", Headers: "X-Swh-Event", Metadata: "archive"}
	with := func(change func(*leftBehind)) leftBehind {
		changed := known
		change(&changed)
		return changed
	}
	changed := harness.KnownEndpoint()
	changed.Metadata = map[string]string{"team": "vault"}
	tests := map[string]struct {
		do   harness.Operation
		left []leftBehind // by each request that changes something, in their order
		then leftBehind   // after the repetition
	}{
		"CreateEventType": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEventType(ctx,
					webhooks.EventType{Name: "new.type", Description: "new", Schema: []byte(`{}`)})
			},
			[]leftBehind{
				with(func(l *leftBehind) { l.Application = true }),
				with(func(l *leftBehind) { l.Application, l.EventType = true, "new" }),
			},
			with(func(l *leftBehind) { l.Application, l.EventType = true, "new" }),
		},
		"CreateEndpoint, new": {
			operations["CreateEndpoint, new"],
			[]leftBehind{
				with(func(l *leftBehind) { l.Endpoint = "disabled, without its header" }),
				with(func(l *leftBehind) { l.Endpoint = "disabled, with its header" }),
				with(func(l *leftBehind) { l.Endpoint = "enabled, with its header" }),
			},
			with(func(l *leftBehind) { l.Endpoint = "enabled, with its header" }),
		},
		"CreateEndpoint, existing": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEndpoint(ctx, changed, harness.SecretB)
			},
			[]leftBehind{
				known, // it tries to create it first
				with(func(l *leftBehind) { l.Secret = "SecretB" }),
				with(func(l *leftBehind) { l.Secret = "SecretB" }),
				with(func(l *leftBehind) { l.Secret, l.Metadata = "SecretB", "vault" }),
			},
			with(func(l *leftBehind) { l.Secret, l.Metadata = "SecretB", "vault" }),
		},
		"RotateEndpointSecret, given": {
			operations["RotateEndpointSecret"],
			[]leftBehind{with(func(l *leftBehind) { l.Secret = "SecretB" })},
			with(func(l *leftBehind) { l.Secret = "SecretB" }),
		},
		"RotateEndpointSecret, generated": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.RotateEndpointSecret(ctx, harness.KnownEndpoint(), "")
			},
			[]leftBehind{with(func(l *leftBehind) { l.Secret = "another" })},
			with(func(l *leftBehind) { l.Secret = "another" }),
		},
		"SetEndpointDisabled": {
			operations["SetEndpointDisabled"],
			[]leftBehind{with(func(l *leftBehind) { l.Disabled = true })},
			with(func(l *leftBehind) { l.Disabled = true }),
		},
		"DeleteEndpoint": {
			operations["DeleteEndpoint"],
			[]leftBehind{{Deleted: true}},
			leftBehind{Deleted: true},
		},
		"DeleteEventType": {
			operations["DeleteEventType"],
			[]leftBehind{with(func(l *leftBehind) { l.Archived = true })},
			with(func(l *leftBehind) { l.Archived = true }),
		},
		"ResendMessage": {
			operations["ResendMessage"],
			[]leftBehind{known},
			with(func(l *leftBehind) { l.Attempts = 1 }),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				for k, want := range tt.left {
					mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{}})
					client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
						webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
					mock.FailNext(1, svixmock.Fault{GoAway: svixmock.StoredNotQueued, Only: changing(k)})
					if err := tt.do(t.Context(), client); err == nil {
						t.Errorf("request %d: the change was dropped and got no error", k)
					}
					if diff := cmp.Diff(want, whatIsLeft(t, mock)); diff != "" {
						t.Errorf("request %d: left (-want +got):\n%s", k, diff)
					}
					if err := tt.do(t.Context(), client); err != nil && !tt.then.Deleted {
						t.Errorf("request %d: the repetition got %v", k, err)
					}
					synctest.Wait()
					if diff := cmp.Diff(tt.then, whatIsLeft(t, mock)); diff != "" {
						t.Errorf("request %d: after the repetition (-want +got):\n%s", k, diff)
					}
				}
			})
		})
	}
}

// changing selects the k-th request that changes something.
func changing(k int) func(*http.Request) bool {
	nth := harness.Only(k)
	return func(r *http.Request) bool { return r.Method != http.MethodGet && nth(r) }
}

func whatIsLeft(t *testing.T, mock *svixmock.Server) leftBehind {
	t.Helper()
	var left leftBehind
	var app, et struct {
		UID, Description string
		Archived         bool
	}
	left.Application = harness.RawGet(t, mock, "/api/v1/app/"+identity.Application("new.type"), &app) == http.StatusOK
	harness.RawGet(t, mock, "/api/v1/event-type/new.type", &et)
	left.EventType = et.Description
	harness.RawGet(t, mock, "/api/v1/event-type/"+webhooks.TypeOriginCreate, &et)
	left.Archived = et.Archived
	left.Deleted = true
	for _, ep := range harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate) {
		var headers []string
		for name := range ep.Headers {
			headers = append(headers, name)
		}
		slices.Sort(headers)
		if ep.URL == harness.NewHookURL {
			left.Endpoint = map[bool]string{true: "disabled", false: "enabled"}[ep.Disabled] +
				map[bool]string{true: ", without its header", false: ", with its header"}[headers == nil]
			continue
		}
		secrets := map[string]string{harness.SecretA: "SecretA", harness.SecretB: "SecretB"}
		if left.Secret = secrets[ep.Secret]; left.Secret == "" {
			left.Secret = "another"
		}
		left.Headers, left.Metadata = strings.Join(headers, ", "), ep.Metadata["team"]
		left.Disabled, left.Deleted = ep.Disabled, false
	}
	for _, d := range mock.Deliveries() {
		if d.Manual {
			left.Attempts++
		}
	}
	return left
}
