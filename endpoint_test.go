package webhooks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
			if diff := cmp.Diff(listed, listedEndpoint(t, client, url)); diff != "" {
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
