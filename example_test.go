package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// exampleClient is a client of a server that is there for one example. A program
// makes its client with NewClient, a test with webhookstest.NewServer.
func exampleClient(eventTypes ...webhooks.EventType) (*webhooks.Client, *svixmock.Server) {
	server := svixmock.New(svixmock.Config{})
	server.Handle("https://example.org", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "thanks")
	}))
	client, err := webhooks.NewClient(
		webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL("https://svix.example.org"),
		webhooks.WithAuthToken(server.Token()),
		webhooks.WithHTTPClient(&http.Client{Transport: server.RoundTripper()}),
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, et := range eventTypes {
		if err := client.CreateEventType(context.Background(), et); err != nil {
			log.Fatal(err)
		}
	}
	return client, server
}

// exampleEndpoint is an endpoint for all new origins.
var exampleEndpoint = webhooks.Endpoint{URL: "https://example.org/webhooks", EventType: "origin.create"}

// exampleSubscriber is an exampleClient with the default event types and an
// endpoint.
func exampleSubscriber() (*webhooks.Client, *svixmock.Server) {
	client, server := exampleClient(webhooks.DefaultEventTypes()...)
	if err := client.CreateEndpoint(context.Background(), exampleEndpoint,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"); err != nil {
		log.Fatal(err)
	}
	return client, server
}

// exampleSender is an exampleSubscriber that has sent an event, which its
// endpoint has received.
func exampleSender() (*webhooks.Client, webhooks.Message) {
	client, server := exampleSubscriber()
	event := webhooks.Event{
		Type:    "origin.create",
		Payload: webhooks.OriginCreate{OriginURL: "https://github.com/git/git"},
	}
	message, err := client.SendEvent(context.Background(), event)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.WaitForDeliveries(context.Background(), 1); err != nil {
		log.Fatal(err)
	}
	return client, message
}

func ExampleNewClient() {
	_, err := webhooks.NewClient(
		webhooks.WithConfigFile("testdata/config/good.yml"),
		webhooks.WithServerURL("https://svix.example.org"), // wins over the file
	)
	fmt.Println(err)

	// One error names every mistake.
	_, err = webhooks.NewClient(webhooks.WithConfig(webhooks.Config{
		Svix:                 webhooks.SvixConfig{ServerURL: "svix.example.org", AuthToken: "token"},
		EventRetentionPeriod: 365,
	}))
	fmt.Println(errors.Is(err, webhooks.ErrInvalidConfig))
	fmt.Println(strings.ReplaceAll(err.Error(), "; ", "\n"))
	// Output:
	// <nil>
	// true
	// webhooks: invalid configuration: svix.server_url: not an http or https URL
	// event_retention_period: 365 days, want 5 to 90
}

func ExampleLoadConfig() {
	config, err := webhooks.LoadConfig("testdata/config/good.yml")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", config)

	_, err = webhooks.LoadConfig("testdata/config/unknown-key.yml")
	fmt.Println(err)
	// Output:
	// {Svix:{ServerURL:http://127.0.0.1:8071/ AuthToken:[redacted]} EventRetentionPeriod:30}
	// webhooks: invalid configuration: testdata/config/unknown-key.yml: line 4: unknown key "auth_tokn"
}

func ExampleDefaultEventTypes() {
	client, _ := exampleClient()
	ctx := context.Background()
	for _, et := range webhooks.DefaultEventTypes() {
		if err := client.CreateEventType(ctx, et); err != nil {
			log.Fatal(err)
		}
		fmt.Println("registered", et.Name)
	}
	// Output:
	// registered origin.create
	// registered origin.visit
}

func ExampleClient_CreateEventType() {
	client, _ := exampleClient()
	ctx := context.Background()
	err := client.CreateEventType(ctx, webhooks.EventType{
		Name:        "snapshot.create",
		Description: "A snapshot was added to the archive",
		Schema: json.RawMessage(`{"type": "object", "required": ["swhid"], "properties": ` +
			`{"swhid": {"type": "string"}}}`),
	})
	fmt.Println(err)

	err = client.CreateEventType(ctx,
		webhooks.EventType{Name: "snapshot.delete", Schema: json.RawMessage(`{"required": "swhid"}`)})
	if refused, ok := errors.AsType[*webhooks.SchemaError](err); ok {
		for _, violation := range refused.Violations {
			fmt.Println(violation)
		}
	}
	// Output:
	// <nil>
	// /required: expected array, but got string
}

func ExampleClient_GetEventType() {
	client, _ := exampleClient(webhooks.DefaultEventTypes()...)
	ctx := context.Background()
	et, err := client.GetEventType(ctx, "origin.create")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(et.Description)

	_, err = client.GetEventType(ctx, "origin.delete")
	fmt.Println(errors.Is(err, webhooks.ErrEventTypeNotFound))
	// Output:
	// An origin that the archive did not know before was added to it
	// true
}

func ExampleClient_ListEventTypes() {
	client, _ := exampleClient(webhooks.DefaultEventTypes()...)
	for et, err := range client.ListEventTypes(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(et.Name)
	}
	// Output:
	// origin.create
	// origin.visit
}

func ExampleClient_DeleteEventType() {
	client, _ := exampleClient(webhooks.DefaultEventTypes()...)
	ctx := context.Background()
	if err := client.DeleteEventType(ctx, "origin.visit"); err != nil {
		log.Fatal(err)
	}
	_, err := client.GetEventType(ctx, "origin.visit")
	fmt.Println(err)
	// Output:
	// webhooks: event type is archived: origin.visit
}

func ExampleClient_CreateEndpoint() {
	client, _ := exampleClient(webhooks.DefaultEventTypes()...)
	ctx := context.Background()

	// All new origins, signed with a secret that the server generates.
	err := client.CreateEndpoint(ctx,
		webhooks.Endpoint{URL: "https://example.org/webhooks", EventType: "origin.create"}, "")
	fmt.Println(err)

	// The visits of one origin.
	err = client.CreateEndpoint(ctx, webhooks.Endpoint{
		URL:       "https://example.org/webhooks",
		EventType: "origin.visit",
		Channel:   "https://github.com/torvalds/linux",
		Metadata:  map[string]string{"owner": "someone@example.org"},
	}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	fmt.Println(err)

	err = client.CreateEndpoint(ctx, webhooks.Endpoint{URL: "example.org", EventType: "origin.visit"}, "")
	fmt.Println(errors.Is(err, webhooks.ErrInvalidEndpoint))
	// Output:
	// <nil>
	// <nil>
	// true
}

func ExampleClient_ListEndpoints() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	query := webhooks.EndpointQuery{Channel: "https://github.com/torvalds/linux"}
	for endpoint, err := range client.ListEndpoints(ctx, "origin.create", query) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(endpoint.URL, endpoint.Disabled)
	}
	// Output:
	// https://example.org/webhooks false
}

func ExampleClient_GetEndpoint() {
	client, _ := exampleSubscriber()
	endpoint, err := client.GetEndpoint(context.Background(), exampleEndpoint)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(endpoint.URL, "disabled:", endpoint.Disabled)
	// Output:
	// https://example.org/webhooks disabled: false
}

func ExampleClient_GetEndpointSecret() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	secret, err := client.GetEndpointSecret(ctx,
		webhooks.Endpoint{URL: "https://example.org/webhooks", EventType: "origin.create"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(secret)
	// Output:
	// whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
}

func ExampleClient_RotateEndpointSecret() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	endpoint := webhooks.Endpoint{URL: "https://example.org/webhooks", EventType: "origin.create"}
	if err := client.RotateEndpointSecret(ctx, endpoint, ""); err != nil {
		log.Fatal(err)
	}
	secret, err := client.GetEndpointSecret(ctx, endpoint)
	fmt.Println(len(secret), err)
	// Output:
	// 38 <nil>
}

func ExampleClient_SetEndpointDisabled() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	for endpoint, err := range client.ListEndpoints(ctx, "origin.create", webhooks.EndpointQuery{}) {
		if err != nil {
			log.Fatal(err)
		}
		if err := client.SetEndpointDisabled(ctx, endpoint, true); err != nil {
			log.Fatal(err)
		}
		fmt.Println("disabled", endpoint.URL)
	}
	// Output:
	// disabled https://example.org/webhooks
}

func ExampleClient_EnsureEndpoint() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	before, err := client.GetEndpointSecret(ctx, exampleEndpoint)
	if err != nil {
		log.Fatal(err)
	}
	// A service may do this each time it starts: what the receiver knows stays valid.
	if err := client.EnsureEndpoint(ctx, exampleEndpoint); err != nil {
		log.Fatal(err)
	}
	after, err := client.GetEndpointSecret(ctx, exampleEndpoint)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(before == after)
	// Output:
	// true
}

func ExampleClient_GetEndpointStats() {
	client, _ := exampleSender()
	stats, err := client.GetEndpointStats(context.Background(), exampleEndpoint, time.Time{}, time.Time{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("failed in the last four weeks:", stats.Failed)
	// Output:
	// failed in the last four weeks: 0
}

func ExampleClient_RecoverEndpoint() {
	client, _ := exampleSubscriber()
	// The receiver was down this morning: what it missed is delivered once more.
	since := time.Now().Add(-6 * time.Hour)
	if err := client.RecoverEndpoint(context.Background(), exampleEndpoint, since, time.Time{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted")
	// Output:
	// accepted
}

func ExampleClient_DeleteEndpoint() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	endpoint := webhooks.Endpoint{URL: "https://example.org/webhooks", EventType: "origin.create"}
	fmt.Println(client.DeleteEndpoint(ctx, endpoint))

	err := client.DeleteEndpoint(ctx, endpoint)
	fmt.Println(errors.Is(err, webhooks.ErrEndpointNotFound))
	// Output:
	// <nil>
	// true
}

func ExampleClient_SendEvent() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	send := func(event webhooks.Event) {
		message, err := client.SendEvent(ctx, event)
		var refused *webhooks.PayloadError
		var answer *webhooks.APIError
		switch {
		case errors.As(err, &refused):
			fmt.Println("does not fit the schema:", refused.Violations)
		case errors.Is(err, webhooks.ErrEventTypeNotFound), errors.Is(err, webhooks.ErrEventTypeArchived):
			fmt.Println("cannot be sent:", event.Type)
		case errors.As(err, &answer):
			fmt.Println("the server refused:", answer.StatusCode, answer.Detail)
		case err != nil:
			fmt.Println("try again later:", err)
		case message.IsZero():
			fmt.Println("nobody listens")
		default:
			fmt.Println("sent")
		}
	}
	send(webhooks.Event{
		Type:    "origin.create",
		Payload: webhooks.OriginCreate{OriginURL: "https://github.com/torvalds/linux"},
		Channel: "https://github.com/torvalds/linux",
		ID:      "swh.journal.objects.origin-7-1234567", // of a Kafka message: topic, partition and offset
	})
	send(webhooks.Event{Type: "origin.create", Payload: map[string]any{"origin_url": nil}})
	send(webhooks.Event{Type: "origin.visit", Payload: webhooks.OriginVisit{VisitStatus: webhooks.VisitFull}})
	send(webhooks.Event{Type: "origin.delete", Payload: struct{}{}})
	// Output:
	// sent
	// does not fit the schema: [/origin_url: expected string, but got null]
	// nobody listens
	// cannot be sent: origin.delete
}

func ExampleClient_SendEvents() {
	client, _ := exampleSubscriber()
	ctx := context.Background()
	events := func(yield func(webhooks.Event) bool) {
		for _, url := range []string{
			"https://github.com/git/git",
			"https://www.mercurial-scm.org/repo/hg", "https://codeberg.org/forgejo/forgejo",
		} {
			event := webhooks.Event{Type: "origin.create", Payload: webhooks.OriginCreate{OriginURL: url}, Channel: url}
			if !yield(event) {
				return
			}
		}
	}
	for result := range client.SendEvents(ctx, events, 2) {
		fmt.Println(result.Event.Channel, result.Err)
	}
	// Output:
	// https://github.com/git/git <nil>
	// https://www.mercurial-scm.org/repo/hg <nil>
	// https://codeberg.org/forgejo/forgejo <nil>
}

func ExampleClient_ListSentEventsForEndpoint() {
	client, message := exampleSender()
	ctx := context.Background()
	endpoint := webhooks.Endpoint{URL: "https://example.org/webhooks", EventType: "origin.create"}
	for sent, err := range client.ListSentEventsForEndpoint(ctx, endpoint, webhooks.SentEventQuery{Limit: 10}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sent.MessageID == message.ID, sent.ResponseStatusCode, sent.Response, string(sent.Payload))
	}
	// Output:
	// true 200 thanks {"origin_url":"https://github.com/git/git"}
}

func ExampleClient_ListSentEventsForEventType() {
	client, message := exampleSender()
	ctx := context.Background()
	query := webhooks.SentEventQuery{After: message.Timestamp.AddDate(0, 0, -7)}
	for sent, err := range client.ListSentEventsForEventType(ctx, "origin.create", query) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sent.EndpointURL, sent.ResponseStatusCode, sent.Headers.Get("X-Swh-Event"))
	}
	// Output:
	// https://example.org/webhooks 200 origin.create
}

func ExampleClient_GetMessage() {
	client, message := exampleSender()
	ctx := context.Background()
	sent, err := client.GetMessage(ctx, "origin.create", message.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.EventType, string(sent.Payload), sent.Timestamp.Equal(message.Timestamp))
	_, err = client.GetMessage(ctx, "origin.create", "journal-0-42")
	fmt.Println(errors.Is(err, webhooks.ErrMessageNotFound))
	// Output:
	// origin.create {"origin_url":"https://github.com/git/git"} true
	// true
}

func ExampleClient_ListMessages() {
	client, message := exampleSender()
	ctx := context.Background()
	query := webhooks.MessageQuery{
		After:  message.Timestamp.Add(-time.Hour),
		Before: message.Timestamp.Add(time.Hour),
	}
	for sent, err := range client.ListMessages(ctx, "origin.create", query) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sent.ID == message.ID, string(sent.Payload))
	}
	// Output:
	// true {"origin_url":"https://github.com/git/git"}
}

func ExampleClient_ListSentEventsForMessage() {
	client, message := exampleSender()
	ctx := context.Background()
	for sent, err := range client.ListSentEventsForMessage(ctx, "origin.create", message.ID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sent.EndpointURL, sent.Status, sent.ResponseStatusCode)
	}
	// Output:
	// https://example.org/webhooks succeeded 200
}

// What failed is sent again, once the endpoint is in order.
func ExampleClient_ResendMessage() {
	client, _ := exampleSender()
	ctx := context.Background()
	endpoint := webhooks.Endpoint{URL: "https://example.org/webhooks", EventType: "origin.create"}
	failed := webhooks.SentEventQuery{Status: webhooks.DeliveryFailed}
	for sent, err := range client.ListSentEventsForEndpoint(ctx, endpoint, failed) {
		if err != nil {
			log.Fatal(err)
		}
		if err := client.ResendMessage(ctx, endpoint, sent.MessageID); err != nil {
			log.Fatal(err)
		}
	}
	endpoint.URL = "https://example.org/other"
	err := client.ResendMessage(ctx, endpoint, "journal-0-42")
	fmt.Println(errors.Is(err, webhooks.ErrEndpointNotFound))
	// Output:
	// true
}

func ExampleClient_FollowSentEvents() {
	client, message := exampleSender()
	ctx := context.Background()
	query := webhooks.SentEventQuery{After: message.Timestamp.Add(-time.Hour)}
	query.Limit = 1 // without it the loop goes on for ever
	for sent, err := range client.FollowSentEvents(ctx, "origin.create", query) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sent.EndpointURL, sent.Status, string(sent.Payload))
	}
	// Output:
	// https://example.org/webhooks succeeded {"origin_url":"https://github.com/git/git"}
}

func ExamplePaginate() {
	numbers := []int{1, 2, 3, 4, 5}
	list := func(_ context.Context, iterator *string) (webhooks.Page[int], error) {
		begin := 0
		if iterator != nil {
			var err error
			if begin, err = strconv.Atoi(*iterator); err != nil {
				return webhooks.Page[int]{}, err
			}
		}
		end := min(begin+2, len(numbers))
		next := strconv.Itoa(end)
		return webhooks.Page[int]{Data: numbers[begin:end], Iterator: &next, Done: end == len(numbers)}, nil
	}
	for number, err := range webhooks.Paginate(context.Background(), list) {
		fmt.Println(number, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// 4 <nil>
	// 5 <nil>
}

func ExampleCollect() {
	client, _ := exampleClient(webhooks.DefaultEventTypes()...)
	types, err := webhooks.Collect(client.ListEventTypes(context.Background()))
	fmt.Println(len(types), err)
	// Output:
	// 2 <nil>
}

// A complete receiver.
func ExampleNewHandler() {
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} // while it is rotated: the old one and the new one
	handler := webhooks.NewHandler(secrets, func(_ context.Context, d webhooks.Delivery) error {
		switch d.EventType {
		case "origin.create":
			var origin webhooks.OriginCreate
			if err := d.Decode(&origin); err != nil {
				return err // answered with 500: the sender tries again
			}
			fmt.Println("new origin:", origin.OriginURL)
		case "origin.visit":
			var visit webhooks.OriginVisit
			if err := d.Decode(&visit); err != nil {
				return err
			}
			fmt.Println("visit:", visit.OriginURL, visit.VisitStatus)
		}
		return nil
	})
	mux := http.NewServeMux()
	mux.Handle("/webhooks", handler)
	// http.ListenAndServe(":8080", mux)

	deliver(mux, secrets[0], "origin.create", `{"origin_url":"https://git.example.org/project"}`)
	deliver(mux, "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "origin.create",
		`{"origin_url":"https://git.example.org/forged"}`)
	// Output:
	// new origin: https://git.example.org/project
	// answer: 204
	// answer: 401
}

// deliver does what a Svix server does.
func deliver(handler http.Handler, secret, eventType, payload string) {
	const messageID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	now := time.Now()
	signature, err := webhooks.SignPayload(secret, messageID, now, []byte(payload))
	if err != nil {
		panic(err)
	}
	request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/webhooks",
		strings.NewReader(payload))
	request.Header.Set("Svix-Id", messageID)
	request.Header.Set("Svix-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Svix-Signature", signature)
	request.Header.Set("X-Swh-Event", eventType)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	fmt.Println("answer:", answer.Code)
}

// Payloads decoded before the function sees them. What cannot be decoded is answered with 500: the
// sender tries again, and until then a new version of this program may know it.
func ExampleDecodePayload() {
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	receive := func(_ context.Context, _ webhooks.Delivery, visit webhooks.OriginVisit) error {
		fmt.Println(visit.VisitType, "visit of", visit.OriginURL, visit.VisitStatus)
		return nil
	}
	handler := webhooks.NewHandler(secrets, webhooks.DecodePayload(receive))
	deliver(handler, secrets[0], "origin.visit",
		`{"origin_url":"https://git.example.org/project","snapshot_swhid":null,`+
			`"visit_date":"2026-11-23T10:00:00+00:00","visit_status":"not_found","visit_type":"git"}`)
	// Output:
	// git visit of https://git.example.org/project not_found
	// answer: 204
}

// What no repetition mends is dropped, so that the sender does not try for days and then disable
// the endpoint.
func ExampleNewHandler_discard() {
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	receive := func(_ context.Context, _ webhooks.Delivery, origin webhooks.OriginCreate) error {
		if _, err := url.ParseRequestURI(origin.OriginURL); err != nil {
			return fmt.Errorf("%w: not a URL", webhooks.ErrDiscard)
		}
		return nil
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	handler := webhooks.NewHandler(secrets, webhooks.DecodePayload(receive), webhooks.WithHandlerLogger(logger))
	deliver(handler, secrets[0], "origin.create", `{"origin_url":"no URL"}`)
	// Output:
	// level=WARN msg="webhook discarded" message_id=msg_p5jXN8AQM9LWM0D4loKWxJek error="delivery discarded: not a URL"
	// answer: 204
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// Secrets that are rotated while the program runs, here by another goroutine or a signal.
func ExampleWithSecretsFunc() {
	var current atomic.Pointer[[]string]
	current.Store(&[]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	handler := webhooks.NewHandler(nil,
		func(context.Context, webhooks.Delivery) error { return nil },
		webhooks.WithSecretsFunc(func(context.Context) ([]string, error) { return *current.Load(), nil }),
		webhooks.WithHandlerLogger(slog.New(slog.DiscardHandler)))

	const rotated = "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	deliver(handler, rotated, "origin.create", `{"origin_url":"https://git.example.org/project"}`)
	current.Store(&[]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", rotated})
	deliver(handler, rotated, "origin.create", `{"origin_url":"https://git.example.org/project"}`)
	// Output:
	// answer: 401
	// answer: 204
}

// A handler for each of two paths, with a memory for both that lasts a day: a message that is sent
// to both is received once.
func ExampleNewMemoryReplayGuard() {
	guard := webhooks.WithReplayGuard(webhooks.NewMemoryReplayGuard(100_000, 24*time.Hour))
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	receive := func(context.Context, webhooks.Delivery) error {
		fmt.Println("received")
		return nil
	}
	for range 2 {
		handler := webhooks.NewHandler(secrets, receive, guard)
		deliver(handler, secrets[0], "origin.create", `{"origin_url":"https://git.example.org/project"}`)
	}
	// Output:
	// received
	// answer: 204
	// answer: 204
}

// Events from a file with one on each line. A line that is none is told of, and reading goes on.
func ExampleEventReader() {
	file := strings.NewReader(`{"type": "origin.create", "payload": {"origin_url": "https://a.org"}}
{"type": "origin.create", "chanel": "https://b.org", "payload": {"origin_url": "https://b.org"}}
{"type": "origin.create", "payload": {"origin_url": "https://c.org"}}
`)
	events := webhooks.NewEventReader(file)
	for {
		event, err := events.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if bad, ok := errors.AsType[*webhooks.LineError](err); ok {
			fmt.Println("skipped:", bad)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", event.Type, event.Payload)
	}
	// Output:
	// origin.create {"origin_url": "https://a.org"}
	// skipped: line 2: webhooks: invalid event: the member "chanel" is none of type, payload, channel, id
	// origin.create {"origin_url": "https://c.org"}
}
