package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// listedEndpoint is the endpoint with a URL as the library lists it.
func listedEndpoint(t *testing.T, client *webhooks.Client, url string) webhooks.Endpoint {
	t.Helper()
	for ep, err := range client.ListEndpoints(t.Context(), webhooks.TypeOriginCreate, webhooks.EndpointQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if ep.URL == url {
			return ep
		}
	}
	t.Fatalf("no endpoint with the URL %s is listed", url)
	return webhooks.Endpoint{}
}

// TestUpdateOfListedEndpointKeepsItsChannel: a listed endpoint can be given back as it is, whoever
// made it, and the name of its channel is never lost: without it the Python module cannot list the
// endpoints of the event type any more.
func TestUpdateOfListedEndpointKeepsItsChannel(t *testing.T) {
	t.Parallel()
	const url = "https://example.org/foreign"
	tests := map[string]struct {
		channels string // as JSON
		metadata map[string]string
	}{
		"no channel": {`null`, map[string]string{"team": "archive"}},
		"of this library": {
			`["` + identity.Channel("a") + `"]`,
			map[string]string{identity.Channel("a"): "a", "team": "archive"},
		},
		"without name":         {`["a"]`, map[string]string{"team": "archive"}},
		"with an empty name":   {`["a"]`, map[string]string{"a": ""}},
		"named in another way": {`["a"]`, map[string]string{"a": "project A"}},
		"the empty channel of Python": {
			`["` + identity.Channel("") + `"]`,
			map[string]string{identity.Channel(""): ""},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			metadata, err := json.Marshal(tt.metadata)
			if err != nil {
				t.Fatal(err)
			}
			harness.RawPost(t, mock, application(webhooks.TypeOriginCreate)+"/endpoint",
				fmt.Sprintf(`{"url":%q,"channels":%s,"metadata":%s}`, url, tt.channels, metadata))
			listed := listedEndpoint(t, client, url)
			if hasChannel := tt.channels != "null"; (listed.Channel != "") != hasChannel {
				t.Errorf("got the channel %q of an endpoint on %s", listed.Channel, tt.channels)
			}
			if err := client.CreateEndpoint(t.Context(), listed, ""); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.metadata, harness.RawEndpointAt(t, mock, url).Metadata); diff != "" {
				t.Errorf("metadata on the server (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(listed, listedEndpoint(t, client, url),
				cmpopts.IgnoreFields(webhooks.Endpoint{}, "UpdatedAt")); diff != "" {
				t.Errorf("listed again (-before +after):\n%s", diff)
			}

			stored := harness.RawEndpointAt(t, mock, url)
			listed.Channel += "another"
			checkError(t, client.CreateEndpoint(t.Context(), listed, ""), webhooks.ErrInvalidEndpoint)
			if diff := cmp.Diff(stored, harness.RawEndpointAt(t, mock, url)); diff != "" {
				t.Errorf("given another channel it was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestChannelNoneIsNotNoChannel: its uid is that of the endpoint on no channel, which must not be
// taken for it.
func TestChannelNoneIsNotNoChannel(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	before, requests := harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate), len(mock.Requests())
	ep := harness.KnownEndpoint()
	ep.Channel = "None"
	_, errSecret := client.GetEndpointSecret(t.Context(), ep)
	_, errList := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), ep, webhooks.SentEventQuery{}))
	for name, err := range map[string]error{
		"CreateEndpoint":            client.CreateEndpoint(t.Context(), ep, ""),
		"GetEndpointSecret":         errSecret,
		"RotateEndpointSecret":      client.RotateEndpointSecret(t.Context(), ep, ""),
		"SetEndpointDisabled":       client.SetEndpointDisabled(t.Context(), ep, true),
		"DeleteEndpoint":            client.DeleteEndpoint(t.Context(), ep),
		"ListSentEventsForEndpoint": errList,
	} {
		t.Log(name)
		checkError(t, err, webhooks.ErrInvalidEndpoint, "None")
	}
	if made := len(mock.Requests()) - requests; made != 0 {
		t.Errorf("made %d requests, want none", made)
	}
	if diff := cmp.Diff(before, harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate)); diff != "" {
		t.Errorf("endpoints (-before +after):\n%s", diff)
	}

	// One that the Python module made is listed, and the ID tells it apart.
	harness.RawPost(t, mock, application(webhooks.TypeOriginCreate)+"/endpoint",
		fmt.Sprintf(`{"url":"https://example.org/none","channels":[%q],"metadata":{%[1]q:"None"}}`,
			identity.Channel("None")))
	listed := listedEndpoint(t, client, "https://example.org/none")
	if err := client.CreateEndpoint(t.Context(), listed, ""); err != nil || listed.Channel != "None" {
		t.Errorf("updating the listed endpoint %+v: %v", listed, err)
	}
	if err := client.DeleteEndpoint(t.Context(), listed); err != nil {
		t.Error(err)
	}
}

// TestEndpointOfUnknownEventType: what can be told from one answer alone is not asked, but where it
// is asked the answer is the same whatever the secret.
func TestEndpointOfUnknownEventType(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	ep := webhooks.Endpoint{URL: harness.HookURL, EventType: "no.type"}
	for name, err := range map[string]error{
		"generated secret": client.RotateEndpointSecret(t.Context(), ep, ""),
		"given secret":     client.RotateEndpointSecret(t.Context(), ep, harness.SecretB),
		"disable":          client.SetEndpointDisabled(t.Context(), ep, true),
		"delete":           client.DeleteEndpoint(t.Context(), ep),
	} {
		t.Log(name)
		checkError(t, err, webhooks.ErrEventTypeNotFound, "no.type")
	}
}

// TestCreateEndpointSaysWhatIsHalfDone: the error tells whether anything was done.
func TestCreateEndpointSaysWhatIsHalfDone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ep       webhooks.Endpoint
		requests int
		first    int // request after which something is changed
	}{
		"new":      {harness.NewEndpoint(), 4, 2},
		"existing": {harness.KnownEndpoint(), 7, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k := range tt.requests {
				mock := harness.NewServer(t, svixmock.Config{})
				mock.FailNext(1, svixmock.Fault{Status: http.StatusForbidden, Only: harness.Only(k)})
				err := harness.NewClient(t, mock.RoundTripper(),
					mock.Token()).CreateEndpoint(t.Context(), tt.ep, harness.SecretB)
				if err == nil {
					t.Fatalf("request %d fails: got no error", k)
				}
				if said, want := strings.Contains(err.Error(), "in part"), k >= tt.first; said != want {
					t.Errorf("request %d fails: got %v; want it to say that something was done: %t", k, err, want)
				}
			}
		})
	}
}

// TestCreationsAtOnce: who is too late finds what the other has made.
func TestCreationsAtOnce(t *testing.T) {
	t.Parallel()
	conflict := func(selects func(*http.Request) bool) svixmock.Fault {
		return svixmock.Fault{
			Status: http.StatusConflict,
			Body:   `{"code":"conflict","detail":"A conflict has occurred"}`, AfterActing: true, Only: selects,
		}
	}
	operations := harness.Operations()
	tests := map[string]struct {
		do      harness.Operation
		selects func(*http.Request) bool
	}{
		"application": {
			operations["CreateEventType"],
			func(r *http.Request) bool { return r.URL.Path == "/api/v1/app" },
		},
		"event type": {
			operations["CreateEventType"],
			func(r *http.Request) bool { return r.Method == http.MethodPut },
		},
		"endpoint": {
			operations["CreateEndpoint, new"],
			func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/endpoint") && harness.IsPost(r) },
		},
		"message, by a retry of ours": {
			operations["SendEvent"],
			func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/msg") },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{NoIdempotency: true})
			mock.FailNext(1, conflict(tt.selects))
			if err := tt.do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token())); err != nil {
				t.Error(err)
			}
			for _, ep := range harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate) {
				if ep.Disabled || ep.Headers["X-Swh-Event"] != webhooks.TypeOriginCreate {
					t.Errorf("got the endpoint %+v, want it enabled and with its header", ep)
				}
			}
		})
	}
}

// TestHalfCreatedEndpoint: where a later step fails the endpoint delivers nothing, and creating it
// again completes it.
func TestHalfCreatedEndpoint(t *testing.T) {
	t.Parallel()
	for step := 2; step <= 3; step++ {
		mock := harness.NewServer(t, svixmock.Config{})
		mock.Handle(harness.NewHookURL, http.NotFoundHandler())
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
			webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
		// after the event type
		mock.FailNext(1, svixmock.Fault{Status: http.StatusInternalServerError, Only: harness.Only(step)})
		if err := client.CreateEndpoint(t.Context(), harness.NewEndpoint(), harness.SecretA); err == nil {
			t.Fatalf("step %d: got no error", step)
		}
		if created := harness.RawEndpointAt(t, mock, harness.NewHookURL); !created.Disabled {
			t.Errorf("step %d failed: got %+v, want the new endpoint, disabled", step, created)
		}
		if err := client.CreateEndpoint(t.Context(), harness.NewEndpoint(), harness.SecretA); err != nil {
			t.Fatal(err)
		}
		if created := harness.RawEndpointAt(t, mock, harness.NewHookURL); created.Disabled ||
			created.Headers["X-Swh-Event"] != webhooks.TypeOriginCreate || created.Secret != harness.SecretA {
			t.Errorf("created again after step %d failed: got %+v", step, created)
		}
	}
}

// TestDeleteEndpointWhoseAnswerIsLost: what an earlier try has deleted is deleted.
func TestDeleteEndpointWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		mock.FailNext(1, svixmock.Fault{Reset: true, AfterActing: true})
		if err := harness.NewClient(t, mock.RoundTripper(),
			mock.Token()).DeleteEndpoint(t.Context(), harness.KnownEndpoint()); err != nil {
			t.Error(err)
		}
	})
}

// TestSecretsThatOnlyLookGood match the pattern of the Python module and are no base64, or are
// longer than it seems. Nothing is sent.
func TestSecretsThatOnlyLookGood(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	sent := len(mock.Requests())
	refused, taken := 0, 0
	for n := 32; n <= 100; n++ {
		secret := "whsec_" + strings.Repeat("a", n)
		err := client.RotateEndpointSecret(t.Context(), harness.KnownEndpoint(), secret)
		if n%4 == 0 {
			taken++
			if errors.Is(err, webhooks.ErrInvalidSecret) {
				t.Errorf("%d letters: got %v", n, err)
			}
			sent = len(mock.Requests())
			continue
		}
		refused++
		checkError(t, err, webhooks.ErrInvalidSecret)
	}
	for _, secret := range []string{
		"whsec_", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"whsec_" + strings.Repeat("-", 32), harness.SecretA + "\n", " " + harness.SecretA,
		harness.SecretA[:20] + "\n" + harness.SecretA[20:], "whsec_" + strings.Repeat("a", 33) + "==",
	} {
		checkError(t, client.RotateEndpointSecret(t.Context(), harness.KnownEndpoint(), secret),
			webhooks.ErrInvalidSecret)
		checkError(t, client.CreateEndpoint(t.Context(), harness.NewEndpoint(), secret), webhooks.ErrInvalidSecret)
	}
	if got := len(mock.Requests()); got != sent || refused != 51 || taken != 18 {
		t.Errorf("%d requests for refused secrets; %d refused, %d taken", got-sent, refused, taken)
	}
}

// endpointOperations are the operations on an endpoint that exists.
func endpointOperations() map[string]func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
	return map[string]func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error{
		"secret": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			_, err := c.GetEndpointSecret(ctx, ep)
			return err
		},
		"rotate": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			return c.RotateEndpointSecret(ctx, ep, "")
		},
		"get": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			_, err := c.GetEndpoint(ctx, ep)
			return err
		},
		"disable": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			return c.SetEndpointDisabled(ctx, ep, true)
		},
		"sent events": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			_, err := webhooks.Collect(c.ListSentEventsForEndpoint(ctx, ep, webhooks.SentEventQuery{}))
			return err
		},
		"statistics": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			_, err := c.GetEndpointStats(ctx, ep, time.Time{}, time.Time{})
			return err
		},
		"recover": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			return c.RecoverEndpoint(ctx, ep, time.Time{}, time.Time{})
		},
		"delete": func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
			return c.DeleteEndpoint(ctx, ep)
		},
	}
}

// TestEndpointIsFoundByEverySpellingOfItsURL: as it was created, as it is listed, and as anybody
// may write it.
func TestEndpointIsFoundByEverySpellingOfItsURL(t *testing.T) {
	t.Parallel()
	for created, spellings := range map[string][]string{
		"https://hooks.example.org":      {"https://hooks.example.org/", "HTTPS://Hooks.Example.ORG:443"},
		"https://hooks.example.org/":     {"https://hooks.example.org", " https://hooks.example.org "},
		"https://hooks.example.org?a=b":  {"https://hooks.example.org/?a=b"},
		"https://münchen.example/a/../b": {"https://xn--mnchen-3ya.example/b", "https://MÜNCHEN.example/b"},
		"https://hooks.example.org/100%": {"https:hooks.example.org/100%"},
	} {
		for _, spelling := range append(spellings, created) {
			for name, do := range endpointOperations() {
				for _, channel := range []string{"", "https://github.com/torvalds/linux"} {
					mock := harness.NewServer(t, svixmock.Config{})
					client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
					ep := webhooks.Endpoint{URL: created, EventType: webhooks.TypeOriginCreate, Channel: channel}
					if err := client.CreateEndpoint(t.Context(), ep, ""); err != nil {
						t.Fatal(err)
					}
					ep.URL = spelling
					if err := do(t.Context(), client, ep); err != nil {
						t.Errorf("%s of %q, created as %q: %v", name, spelling, created, err)
					}
					ep.Channel += "/other"
					if err := do(t.Context(), client, ep); !errors.Is(err, webhooks.ErrEndpointNotFound) {
						t.Errorf("%s of %q on another channel: got %v", name, spelling, err)
					}
				}
			}
		}
	}
}

// TestDerivedUIDIsNoProof: a hyphen moved from the channel to the URL gives another endpoint with
// the same uid.
func TestDerivedUIDIsNoProof(t *testing.T) {
	t.Parallel()
	stored := webhooks.Endpoint{URL: "https://example.org/a", EventType: webhooks.TypeOriginCreate, Channel: "b-c"}
	other := webhooks.Endpoint{URL: "https://example.org/a-b", EventType: webhooks.TypeOriginCreate, Channel: "c"}
	if stored.UID() != other.UID() {
		t.Fatal("the uids differ: they are no collision")
	}
	operations := endpointOperations()
	operations["create"] = func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
		return c.CreateEndpoint(ctx, ep, "")
	}
	operations["ensure"] = func(ctx context.Context, c *webhooks.Client, ep webhooks.Endpoint) error {
		return c.EnsureEndpoint(ctx, ep)
	}
	for name, do := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			if err := client.CreateEndpoint(t.Context(), stored, harness.SecretA); err != nil {
				t.Fatal(err)
			}
			before := harness.RawEndpointAt(t, mock, stored.URL)
			if err := do(t.Context(), client, other); !errors.Is(err, webhooks.ErrInvalidEndpoint) {
				t.Errorf("got %v, want %v", err, webhooks.ErrInvalidEndpoint)
			}
			if diff := cmp.Diff(before, harness.RawEndpointAt(t, mock, stored.URL)); diff != "" {
				t.Errorf("the other endpoint (-before +after):\n%s", diff)
			}
			if secret, err := client.GetEndpointSecret(t.Context(), stored); secret != harness.SecretA {
				t.Errorf("the other endpoint's secret is %q now, %v", secret, err)
			}
		})
	}
}

// TestSeveralEndpointsWithOneDescription can only be told apart by their IDs.
func TestSeveralEndpointsWithOneDescription(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	for range 2 {
		harness.RawPost(t, mock, application(webhooks.TypeOriginCreate)+"/endpoint",
			`{"url":"https://example.org/twice"}`)
	}
	ep := webhooks.Endpoint{URL: "https://example.org/twice", EventType: webhooks.TypeOriginCreate}
	if err := client.DeleteEndpoint(t.Context(), ep); !errors.Is(err, webhooks.ErrInvalidEndpoint) {
		t.Errorf("got %v, want %v", err, webhooks.ErrInvalidEndpoint)
	}
	if err := client.DeleteEndpoint(t.Context(), listedEndpoint(t, client, ep.URL)); err != nil {
		t.Errorf("by its ID: %v", err)
	}
	if err := client.DeleteEndpoint(t.Context(), ep); err != nil {
		t.Errorf("the only one left: %v", err)
	}
}

// TestListedURLMakesNoSecondEndpoint when it is created or ensured again.
func TestListedURLMakesNoSecondEndpoint(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(c *webhooks.Client, ep webhooks.Endpoint) error{
		"create": func(c *webhooks.Client, ep webhooks.Endpoint) error {
			return c.CreateEndpoint(context.Background(), ep, harness.SecretA)
		},
		"ensure": func(c *webhooks.Client, ep webhooks.Endpoint) error {
			return c.EnsureEndpoint(context.Background(), ep)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			for _, url := range []string{
				"https://hooks.example.org", "https://hooks.example.org/",
				"https://hooks.example.org",
			} {
				ep := webhooks.Endpoint{
					URL: url, EventType: webhooks.TypeOriginCreate,
					Metadata: map[string]string{"as": url},
				}
				if err := again(client, ep); err != nil {
					t.Fatal(err)
				}
				var found []webhooks.Endpoint
				for listed, err := range client.ListEndpoints(t.Context(), ep.EventType, webhooks.EndpointQuery{}) {
					if err != nil {
						t.Fatal(err)
					}
					if listed.URL == "https://hooks.example.org/" {
						found = append(found, listed)
					}
				}
				if len(found) != 1 || found[0].Metadata["as"] != url {
					t.Fatalf("as %s: got %+v, want one endpoint", url, found)
				}
			}
		})
	}
}

// TestEnsureEndpointKeepsSecretAndState, sets the rest, and sends no request that changes nothing.
func TestGetEndpointIsWhatIsListed(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	ep := harness.NewEndpoint()
	ep.Channel, ep.Metadata, ep.Disabled = "https://github.com/torvalds/linux",
		map[string]string{"team": "kernel"}, true
	if err := client.CreateEndpoint(t.Context(), ep, ""); err != nil {
		t.Fatal(err)
	}
	all, err := webhooks.Collect(client.ListEndpoints(t.Context(), ep.EventType, webhooks.EndpointQuery{}))
	if err != nil {
		t.Fatal(err)
	}
	listed := all[slices.IndexFunc(all, func(other webhooks.Endpoint) bool { return other.URL == ep.URL })]
	for name, asked := range map[string]webhooks.Endpoint{
		"as it was created": ep,
		"by its ID":         {EventType: ep.EventType, ID: listed.ID},
	} {
		got, err := client.GetEndpoint(t.Context(), asked)
		if diff := cmp.Diff(listed, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-listed +got):\n%s", name, err, diff)
		}
	}
	gone := webhooks.Endpoint{EventType: ep.EventType, ID: "ep_00000000000000000000000000"}
	if got, err := client.GetEndpoint(t.Context(), gone); !errors.Is(err, webhooks.ErrEndpointNotFound) ||
		got.ID != "" {
		t.Errorf("one that is not there: %v, %v", got, err)
	}
}

func TestEnsureEndpointKeepsSecretAndState(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	ep := harness.NewEndpoint()
	secrets := map[string]bool{}
	ensure := func(what string, want int) {
		t.Helper()
		before := len(mock.Requests())
		if err := client.EnsureEndpoint(t.Context(), ep); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if made := len(mock.Requests()) - before; made > want {
			t.Errorf("%s: %d requests, want at most %d", what, made, want)
		}
		secret, err := client.GetEndpointSecret(t.Context(), ep)
		if secrets[secret] = true; err != nil || len(secrets) != 1 {
			t.Errorf("%s: the secret changed, %v", what, err)
		}
	}
	ensure("missing", 3+1) // the event type, too
	ensure("there and as it should be", 3)
	if err := client.SetEndpointDisabled(t.Context(), ep, true); err != nil {
		t.Fatal(err)
	}
	stored := listedEndpoint(t, client, ep.URL)
	path := "/api/v1" + application(ep.EventType) + "/endpoint/" + stored.ID
	harness.RawRequest(t, mock, http.MethodPost, "/api/v1/event-type", `{"name":"other.type","description":""}`)
	harness.RawRequest(t, mock, http.MethodPatch, path, `{"filterTypes":["other.type"]}`)
	harness.RawRequest(t, mock, http.MethodPut, path+"/headers", `{"headers":{"X-Team":"archive"}}`)
	ep.Metadata = map[string]string{"team": "archive"}
	ensure("changed by another program", 4)

	got := listedEndpoint(t, client, ep.URL)
	want := ep
	want.ID, want.Disabled = stored.ID, true
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(webhooks.Endpoint{}, "CreatedAt", "UpdatedAt")); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
	if !got.CreatedAt.Equal(stored.CreatedAt) || got.UpdatedAt.Before(stored.UpdatedAt) || got.CreatedAt.IsZero() {
		t.Errorf("created %v, updated %v, before %v, %v", got.CreatedAt, got.UpdatedAt,
			stored.CreatedAt, stored.UpdatedAt)
	}
	_, headers := harness.RawRequest(t, mock, http.MethodGet, path+"/headers", "")
	if !strings.Contains(string(headers), `"X-Swh-Event":"origin.create"`) ||
		!strings.Contains(string(headers), `"X-Team":"archive"`) {
		t.Errorf("headers: %s", headers)
	}
}

// TestEndpointOfAKilledCreatorIsCompleted by whoever ensures or creates it next, however far the
// first one came: it must not stay disabled as if somebody had wanted that.
func TestEndpointOfAKilledCreatorIsCompleted(t *testing.T) {
	t.Parallel()
	for requests := range 3 {
		for name, again := range map[string]func(ctx context.Context, c *webhooks.Client) error{
			"ensure": func(ctx context.Context, c *webhooks.Client) error {
				return c.EnsureEndpoint(ctx, harness.NewEndpoint())
			},
			"create": func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEndpoint(ctx, harness.NewEndpoint(), "")
			},
		} {
			mock := harness.NewServer(t, svixmock.Config{})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			if _, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate); err != nil {
				t.Fatal(err)
			}
			left := requests
			killed := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodGet {
					left--
				}
				if left < 0 {
					return nil, errors.New("killed")
				}
				return mock.RoundTripper().RoundTrip(r)
			}), mock.Token(), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
			if err := killed.EnsureEndpoint(t.Context(), harness.NewEndpoint()); err == nil {
				t.Fatalf("%d requests are enough", requests)
			}
			if err := again(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			ep := listedEndpoint(t, client, harness.NewEndpoint().URL)
			if err := client.EnsureEndpoint(t.Context(), ep); err != nil || ep.Disabled {
				t.Errorf("%s after %d requests: got %+v, %v", name, requests, ep, err)
			}
		}
	}
}

// TestCreatingAgainSetsTheFilter that another program changed: else it would receive nothing.
func TestCreatingAgainSetsTheFilter(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	ep := harness.KnownEndpoint()
	harness.RawRequest(t, mock, http.MethodPost, "/api/v1/event-type", `{"name":"other.type","description":""}`)
	harness.RawRequest(t, mock, http.MethodPatch,
		"/api/v1"+application(ep.EventType)+"/endpoint/"+ep.UID(), `{"filterTypes":["other.type"]}`)
	if message, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil || !message.IsZero() {
		t.Fatalf("got %+v, %v; nobody should listen", message, err)
	}
	if err := client.CreateEndpoint(t.Context(), ep, ""); err != nil {
		t.Fatal(err)
	}
	if message, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil || message.IsZero() {
		t.Errorf("got %+v, %v; want a message", message, err)
	}
}

// TestDeletingWhatNeverExisted is an error, also if the server did not answer at first.
func TestDeletingWhatNeverExisted(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
		webhooks.WithRetry(webhooks.RetryPolicy{MinBackoff: time.Nanosecond}))
	for _, fault := range []svixmock.Fault{{Status: http.StatusServiceUnavailable}, {Reset: true}} {
		mock.FailNext(1, fault)
		if err := client.DeleteEndpoint(t.Context(), harness.NewEndpoint()); !errors.Is(err,
			webhooks.ErrEndpointNotFound) {
			t.Errorf("after %+v: got %v, want %v", fault, err, webhooks.ErrEndpointNotFound)
		}
	}
}

func TestEndpointStatsAndRecovery(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{}})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		ep, works := harness.KnownEndpoint(), atomic.Bool{}
		mock.Handle(ep.URL, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !works.Load() {
				w.WriteHeader(http.StatusBadGateway)
			}
		}))
		for range 3 {
			if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		stats := func(want webhooks.EndpointStats) {
			t.Helper()
			time.Sleep(time.Second) // a clock in a bubble; the range ends before now
			if got, err := client.GetEndpointStats(t.Context(), ep, time.Time{}, time.Time{}); got != want ||
				err != nil {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		}
		stats(webhooks.EndpointStats{Succeeded: 1, Failed: 3})
		works.Store(true)
		if err := client.RecoverEndpoint(t.Context(), ep, time.Now().Add(-time.Hour), time.Time{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stats(webhooks.EndpointStats{Succeeded: 1 + 3, Failed: 3})
	})
}

func TestRangesThatTheServerDoesNotTake(t *testing.T) {
	t.Parallel()
	mock, now := harness.NewServer(t, svixmock.Config{}), time.Now()
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	for name, tt := range map[string]struct {
		since, until  time.Time
		stats, repair bool // fits
	}{
		"empty":          {now, now, false, false},
		"backwards":      {now, now.Add(-time.Hour), false, false},
		"over two weeks": {now.Add(-15 * 24 * time.Hour), now, true, false},
		"over four":      {now.Add(-28*24*time.Hour - time.Second), now, false, false},
		"in the future":  {now.Add(time.Hour), time.Time{}, false, false},
	} {
		_, errStats := client.GetEndpointStats(t.Context(), harness.KnownEndpoint(), tt.since, tt.until)
		errRecover := client.RecoverEndpoint(t.Context(), harness.KnownEndpoint(), tt.since, tt.until)
		for what, err := range map[string]error{"statistics": errStats, "recovery": errRecover} {
			fits := what == "statistics" && tt.stats || what == "recovery" && tt.repair
			if errors.Is(err, webhooks.ErrInvalidQuery) == fits {
				t.Errorf("%s, %s: got %v", name, what, err)
			}
		}
	}
}
