package webhooks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestUpdateOfListedEndpointKeepsItsChannel: a listed endpoint can be given back
// as it is, whoever made it, and the name of its channel is never lost: without
// it the Python module cannot list the endpoints of the event type any more.
func TestUpdateOfListedEndpointKeepsItsChannel(t *testing.T) {
	t.Parallel()
	const url = "https://example.org/foreign"
	tests := map[string]struct {
		channels string // as JSON
		metadata map[string]string
	}{
		"no channel":                  {`null`, map[string]string{"team": "archive"}},
		"of this library":             {`["` + identity.Channel("a") + `"]`, map[string]string{identity.Channel("a"): "a", "team": "archive"}},
		"without name":                {`["a"]`, map[string]string{"team": "archive"}},
		"with an empty name":          {`["a"]`, map[string]string{"a": ""}},
		"named in another way":        {`["a"]`, map[string]string{"a": "project A"}},
		"the empty channel of Python": {`["` + identity.Channel("") + `"]`, map[string]string{identity.Channel(""): ""}},
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
			harness.RawPost(t, mock, application(webhooks.TypeOriginCreate)+"/endpoint", fmt.Sprintf(`{"url":%q,"channels":%s,"metadata":%s}`, url, tt.channels, metadata))
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

// TestChannelNoneIsNotNoChannel: its uid is that of the endpoint on no channel,
// which must not be taken for it.
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
	harness.RawPost(t, mock, application(webhooks.TypeOriginCreate)+"/endpoint", fmt.Sprintf(`{"url":"https://example.org/none","channels":[%q],"metadata":{%[1]q:"None"}}`, identity.Channel("None")))
	listed := listedEndpoint(t, client, "https://example.org/none")
	if err := client.CreateEndpoint(t.Context(), listed, ""); err != nil || listed.Channel != "None" {
		t.Errorf("updating the listed endpoint %+v: %v", listed, err)
	}
	if err := client.DeleteEndpoint(t.Context(), listed); err != nil {
		t.Error(err)
	}
}

// TestEndpointOfUnknownEventType: what can be told from one answer alone is not
// asked, but where it is asked the answer is the same whatever the secret.
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
				err := harness.NewClient(t, mock.RoundTripper(), mock.Token()).CreateEndpoint(t.Context(), tt.ep, harness.SecretB)
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

// TestListenersBeyondTheCache: of an event type with more channels than are
// remembered no event is dropped, also where a question of others is joined.
func TestListenersBeyondTheCache(t *testing.T) {
	t.Parallel()
	const wanted, others, remembered = "https://git.example.org/wanted", 5, 1 << 16
	var channels strings.Builder
	for i := range remembered + 1 {
		fmt.Fprintf(&channels, `"channel-%d",`, i)
	}
	endpoints := fmt.Sprintf(`{"data":[{"id":"ep_1","channels":[%s%q]}],"done":true}`, channels.String(), identity.Channel(wanted))
	server := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		body := `{"id":"msg_1","name":"origin.create"}`
		if strings.HasSuffix(r.URL.Path, "/endpoint") {
			time.Sleep(time.Second) // all wait for the same answer
			body = endpoints
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	harness.InBubble(t, func(t *testing.T) {
		client := harness.NewClient(t, server, "token")
		send := func(channel string) webhooks.Message {
			message, err := client.SendEvent(t.Context(), webhooks.Event{Type: webhooks.TypeOriginCreate, Channel: channel, Payload: webhooks.OriginCreate{}})
			if err != nil {
				t.Error(err)
			}
			return message
		}
		var running sync.WaitGroup
		for i := range others {
			running.Go(func() {
				if message := send(fmt.Sprint("nobody listens to ", i)); !message.IsZero() {
					t.Errorf("an event that nobody listens to became the message %v", message)
				}
			})
		}
		time.Sleep(500 * time.Millisecond) // by then they wait for the endpoints
		if send(wanted).IsZero() {
			t.Error("an event was dropped although an endpoint listens to its channel")
		}
		running.Wait()
	})
}
