package webhooks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// visit is an event about an origin, on its channel.
func visit(origin, id string) webhooks.Event {
	return webhooks.Event{
		Type: webhooks.TypeOriginVisit, Channel: origin, ID: id,
		Payload: webhooks.OriginVisit{
			OriginURL: origin, VisitType: "git", VisitStatus: webhooks.VisitFull,
			VisitDate: webhooks.NewVisitDate(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)),
		},
	}
}

// sendTo sends an event to the server, whoever listens.
func sendTo(t *testing.T, mock *svixmock.Server, event webhooks.Event) webhooks.Message {
	t.Helper()
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithoutListenerCheck())
	message, err := client.SendEvent(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// TestGetMessage finds a message under both of its ids, with the channel that its payload names.
func TestGetMessage(t *testing.T) {
	t.Parallel()
	const origin = "https://git.example.org/project"
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	payload := webhooks.OriginCreate{OriginURL: origin}
	tests := map[string]struct {
		event   webhooks.Event
		channel string
	}{
		"channel that the payload names": {visit(origin, "visit-1"), origin},
		"another channel": {
			webhooks.Event{Type: webhooks.TypeOriginCreate, ID: "create-1", Channel: "everything", Payload: payload},
			identity.Channel("everything"),
		},
		"no channel": {webhooks.Event{Type: webhooks.TypeOriginCreate, ID: "create-2", Payload: payload}, ""},
	}
	for name, tt := range tests {
		sent := sendTo(t, mock, tt.event)
		for _, id := range []string{sent.ID, tt.event.ID} {
			got, err := client.GetMessage(t.Context(), tt.event.Type, id)
			want := webhooks.SentMessage{
				ID: sent.ID, EventID: tt.event.ID, EventType: tt.event.Type, Channel: tt.channel,
				Payload: got.Payload, Timestamp: sent.Timestamp,
			}
			hasPayload := strings.Contains(string(got.Payload), `"origin_url":"`+origin+`"`)
			if diff := cmp.Diff(want, got); diff != "" || err != nil || !hasPayload {
				t.Errorf("%s, %s: error %v, payload %s (-want +got):\n%s", name, id, err, got.Payload, diff)
			}
		}
	}
}

// TestGetMessageMakesOneRequest, and none for what cannot be an id.
func TestGetMessageMakesOneRequest(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	tests := map[string]struct {
		eventType, id string
		want          error
		requests      int
	}{
		"there":                {webhooks.TypeOriginCreate, harness.KnownEventID, nil, 1},
		"not there":            {webhooks.TypeOriginCreate, "journal-0-2", webhooks.ErrMessageNotFound, 2},
		"of another type":      {webhooks.TypeOriginVisit, harness.KnownEventID, webhooks.ErrMessageNotFound, 2},
		"type not there":       {"origin.none", "journal-0-2", webhooks.ErrEventTypeNotFound, 2},
		"no name of a type":    {"origin", "journal-0-2", webhooks.ErrEventTypeNotFound, 0},
		"empty":                {webhooks.TypeOriginCreate, "", webhooks.ErrMessageNotFound, 0},
		"path":                 {webhooks.TypeOriginCreate, "../endpoint", webhooks.ErrMessageNotFound, 0},
		"dots":                 {webhooks.TypeOriginCreate, "..", webhooks.ErrMessageNotFound, 0},
		"query":                {webhooks.TypeOriginCreate, "journal-0-1?limit=1", webhooks.ErrMessageNotFound, 0},
		"longer than any":      {webhooks.TypeOriginCreate, strings.Repeat("a", 257), webhooks.ErrMessageNotFound, 0},
		"control character":    {webhooks.TypeOriginCreate, "journal\x1b[2J", webhooks.ErrMessageNotFound, 0},
		"the prefix of an own": {webhooks.TypeOriginCreate, "msg_", webhooks.ErrMessageNotFound, 2},
	}
	for name, tt := range tests {
		before := len(mock.Requests())
		_, err := client.GetMessage(t.Context(), tt.eventType, tt.id)
		if !errors.Is(err, tt.want) || err != nil && strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: got the error %v, want %v", name, err, tt.want)
		}
		if made := len(mock.Requests()) - before; made != tt.requests {
			t.Errorf("%s: made %d requests, want %d", name, made, tt.requests)
		}
	}
}

// TestListMessages: newest first, whoever listened, and as the query says.
func TestListMessages(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		begin := time.Now().UTC()
		for i := range 8 { // nobody listens
			synctest.Wait()
			time.Sleep(time.Second)
			sendTo(t, mock, visit(fmt.Sprint("https://git.example.org/", i%2), fmt.Sprint("visit-", i)))
		}
		second := func(i int) time.Time { return begin.Add(time.Duration(i+1) * time.Second) }
		tests := map[string]struct {
			q    webhooks.MessageQuery
			want string
		}{
			"all":           {webhooks.MessageQuery{}, "7 6 5 4 3 2 1 0"},
			"limit":         {webhooks.MessageQuery{Limit: 3}, "7 6 5"},
			"before":        {webhooks.MessageQuery{Before: second(3)}, "2 1 0"},
			"before, limit": {webhooks.MessageQuery{Before: second(3).Add(1), Limit: 2}, "3 2"},
			"after":         {webhooks.MessageQuery{After: second(5)}, "7 6"},
			"between":       {webhooks.MessageQuery{After: second(1), Before: second(4)}, "3 2"},
			"nothing":       {webhooks.MessageQuery{After: second(1), Before: second(2)}, ""},
			"channel":       {webhooks.MessageQuery{Channel: "https://git.example.org/1"}, "7 5 3 1"},
			"channel until": {webhooks.MessageQuery{Channel: "https://git.example.org/1", Before: second(5)}, "3 1"},
			"other channel": {webhooks.MessageQuery{Channel: "https://git.example.org/2"}, ""},
		}
		for name, tt := range tests {
			var got []string
			for message, err := range client.ListMessages(t.Context(), webhooks.TypeOriginVisit, tt.q) {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				i := strings.TrimPrefix(message.EventID, "visit-")
				if want := "https://git.example.org/" + string(rune('0'+(i[0]-'0')%2)); message.Channel != want {
					t.Errorf("%s: message %s has the channel %q, want %q", name, i, message.Channel, want)
				}
				got = append(got, i)
			}
			if joined := strings.Join(got, " "); joined != tt.want {
				t.Errorf("%s: got the messages %q, want %q", name, joined, tt.want)
			}
		}
	})
}

// TestListMessagesCostsWhatIsInTheRange, not what is older.
func TestListMessagesCostsWhatIsInTheRange(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		const older = 10_000
		begin := time.Now().Add(-30 * day)
		times := make([]time.Time, older)
		for i := range times {
			times[i] = begin.Add(time.Duration(i) * time.Second)
		}
		mock, client := historyServer(t, times)
		first := client.ListMessages(t.Context(), webhooks.TypeOriginCreate, webhooks.MessageQuery{Limit: 1})
		if _, err := webhooks.Collect(first); err != nil { // it leaves the event type in the cache
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			q              webhooks.MessageQuery
			want, requests int
		}{
			"nothing in the range": {webhooks.MessageQuery{After: time.Now().Add(-time.Hour)}, 0, 1},
			"one in the range":     {webhooks.MessageQuery{After: times[older-2]}, 1, 1},
			"600 in the range":     {webhooks.MessageQuery{After: times[1000], Before: times[1601]}, 600, 3},
			"10 of them":           {webhooks.MessageQuery{After: times[1000], Before: times[1601], Limit: 10}, 10, 1},
		} {
			before := len(mock.Requests())
			messages, err := webhooks.Collect(client.ListMessages(t.Context(), webhooks.TypeOriginCreate, tt.q))
			if err != nil || len(messages) != tt.want {
				t.Errorf("%s: got %d messages, %v; want %d", name, len(messages), err, tt.want)
			}
			if made := len(mock.Requests()) - before; made != tt.requests {
				t.Errorf("%s: made %d requests, want %d", name, made, tt.requests)
			}
		}
	})
}

// TestListSentEventsForMessage lists all attempts of one message and no others.
func TestListSentEventsForMessage(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{5 * time.Second}})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		mock.Handle(harness.HookURL, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(harness.HookURL, r.URL.Path) {
				http.NotFound(w, r)
			}
		}))
		for _, url := range []string{harness.NewHookURL, harness.NewHookURL + "/deleted"} {
			ep := webhooks.Endpoint{URL: url, EventType: webhooks.TypeOriginCreate}
			if err := client.CreateEndpoint(t.Context(), ep, ""); err != nil {
				t.Fatal(err)
			}
		}
		event := harness.KnownEvent()
		event.ID = "create-1"
		sent := sendTo(t, mock, event)
		sendTo(t, mock, harness.KnownEvent())
		time.Sleep(time.Minute)
		deleted := webhooks.Endpoint{URL: harness.NewHookURL + "/deleted", EventType: webhooks.TypeOriginCreate}
		if err := client.DeleteEndpoint(t.Context(), deleted); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{sent.ID, event.ID} {
			events, err := webhooks.Collect(client.ListSentEventsForMessage(t.Context(), webhooks.TypeOriginCreate, id))
			if err != nil {
				t.Fatal(err)
			}
			statuses := map[string]int{}
			for i, e := range events {
				statuses[fmt.Sprint(e.EndpointURL, " ", e.Status)]++
				earlier := events[max(i-1, 0)].Timestamp
				if e.MessageID != sent.ID || e.Manual || e.Timestamp.After(earlier.Add(4*time.Millisecond)) {
					t.Errorf("got the attempt %+v after %v, want those of %s, newest first", e, earlier, sent.ID)
				}
			}
			want := map[string]int{
				harness.HookURL + " succeeded": 1,
				harness.NewHookURL + " failed": 2, harness.NewHookURL + "/deleted failed": 2,
			}
			if diff := cmp.Diff(want, statuses); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
		}
	})
}

func TestListSentEventsForMessageErrors(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	unheard := sendTo(t, mock, visit("https://git.example.org/project", ""))
	for name, tt := range map[string]struct {
		eventType, id string
		want          error
	}{
		"no endpoint":    {webhooks.TypeOriginVisit, unheard.ID, nil},
		"not there":      {webhooks.TypeOriginVisit, harness.KnownEventID, webhooks.ErrMessageNotFound},
		"not an id":      {webhooks.TypeOriginVisit, "a/b", webhooks.ErrMessageNotFound},
		"type not there": {"origin.none", unheard.ID, webhooks.ErrEventTypeNotFound},
		"not a type":     {"origin", unheard.ID, webhooks.ErrEventTypeNotFound},
	} {
		events, errs := pairs(client.ListSentEventsForMessage(t.Context(), tt.eventType, tt.id))
		switch {
		case tt.want == nil && len(events) != 0:
			t.Errorf("%s: got %+v, %v; want nothing", name, events, errs)
		case tt.want != nil && (len(errs) != 1 || !errors.Is(errs[0], tt.want)):
			t.Errorf("%s: got the errors %v, want %v", name, errs, tt.want)
		}
	}
}

// TestResendMessage delivers a message once more, also to an endpoint that would not receive it.
func TestResendMessage(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		mock.Handle(harness.NewHookURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		onChannel := harness.NewEndpoint()
		if err := client.CreateEndpoint(t.Context(), onChannel, ""); err != nil {
			t.Fatal(err)
		}
		message, err := client.GetMessage(t.Context(), webhooks.TypeOriginCreate, harness.KnownEventID)
		if err != nil {
			t.Fatal(err)
		}
		for i, ep := range []webhooks.Endpoint{harness.KnownEndpoint(), onChannel} {
			time.Sleep(time.Second)
			for j, id := range []string{message.ID, message.EventID} {
				before := len(mock.Requests())
				if err := client.ResendMessage(t.Context(), ep, id); err != nil {
					t.Fatal(err)
				}
				if made := len(mock.Requests()) - before; made != 2 {
					t.Errorf("made %d requests, want 2", made)
				}
				if err := mock.WaitForDeliveries(t.Context(), 1+2*i+j+1); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			q := webhooks.SentEventQuery{Status: webhooks.DeliverySucceeded, Limit: 1}
			events, err := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), ep, q))
			if err != nil || len(events) != 1 || !events[0].Manual || events[0].MessageID != message.ID {
				t.Errorf("got the newest attempt %+v, %v; want a manual one of %s", events, err, message.ID)
			}
		}
	})
}

// TestResendMessageErrors: each is told apart, and nothing is delivered.
func TestResendMessageErrors(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	disabled := webhooks.Endpoint{URL: harness.NewHookURL, EventType: webhooks.TypeOriginCreate, Disabled: true}
	if err := client.CreateEndpoint(t.Context(), disabled, ""); err != nil {
		t.Fatal(err)
	}
	expired := harness.KnownEvent()
	expired.ID = "create-1"
	gone := sendTo(t, mock, expired)
	if err := mock.WaitForDeliveries(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	content := "/api/v1" + application(webhooks.TypeOriginCreate) + "/msg/" + gone.ID + "/content"
	harness.RawRequest(t, mock, http.MethodDelete, content, "")
	other := harness.KnownEndpoint()
	other.URL += "/other"
	otherType := harness.KnownEndpoint()
	otherType.EventType = "origin.none"
	byID := webhooks.Endpoint{EventType: webhooks.TypeOriginCreate, ID: "ep_" + strings.Repeat("1", 27)}
	for name, tt := range map[string]struct {
		ep   webhooks.Endpoint
		id   string
		want error
	}{
		"disabled":              {disabled, harness.KnownEventID, webhooks.ErrInvalidEndpoint},
		"disabled, no message":  {disabled, "create-0", webhooks.ErrInvalidEndpoint},
		"no message":            {harness.KnownEndpoint(), "create-0", webhooks.ErrMessageNotFound},
		"not an id":             {harness.KnownEndpoint(), "../" + harness.KnownEventID, webhooks.ErrMessageNotFound},
		"expired":               {harness.KnownEndpoint(), gone.ID, webhooks.ErrPayloadExpired},
		"no endpoint":           {other, harness.KnownEventID, webhooks.ErrEndpointNotFound},
		"no endpoint of the id": {byID, harness.KnownEventID, webhooks.ErrEndpointNotFound},
		"no event type":         {otherType, harness.KnownEventID, webhooks.ErrEventTypeNotFound},
	} {
		if err := client.ResendMessage(t.Context(), tt.ep, tt.id); !errors.Is(err, tt.want) {
			t.Errorf("%s: got the error %v, want %v", name, err, tt.want)
		}
	}
	if n := len(mock.Deliveries()); n != 2 {
		t.Errorf("got %d deliveries, want those 2 of before", n)
	}
	// An endpoint that is deleted after it was asked for is not taken for a missing message.
	deleting := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/resend") {
			if err := client.DeleteEndpoint(context.Background(), harness.KnownEndpoint()); err != nil {
				t.Error(err)
			}
		}
		return mock.RoundTripper().RoundTrip(r)
	})
	client = harness.NewClient(t, deleting, mock.Token())
	err := client.ResendMessage(t.Context(), harness.KnownEndpoint(), harness.KnownEventID)
	if !errors.Is(err, webhooks.ErrEndpointNotFound) {
		t.Errorf("deleted meanwhile: got the error %v, want %v", err, webhooks.ErrEndpointNotFound)
	}
}

// TestMessagesOfAServer is what a user does after sending, on whatever server there is.
func TestMessagesOfAServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	in := s.newInbox()
	ep := in.endpoint("hook", "")
	s.createEndpoints(ep)
	event := s.origin(0, channel1)
	event.ID = "journal-0-1"
	sent := s.send(event)
	s.sendOrigins(3, "")
	s.sentEvents(4, s.ListSentEventsForEndpoint(s.Context(), ep, webhooks.SentEventQuery{}))

	byEventID, err := s.GetMessage(s.Context(), s.originCreate, event.ID)
	s.must(err)
	byID, err := s.GetMessage(s.Context(), s.originCreate, sent.ID)
	s.must(err)
	s.wantEqual("the message by either id", byID, byEventID)
	if byID.EventID != event.ID || !byID.Timestamp.Equal(sent.Timestamp) || byID.EventType != s.originCreate {
		s.Errorf("got %+v, want the message of %+v", byID, event)
	}
	_, err = s.GetMessage(s.Context(), s.originCreate, "journal-0-2")
	s.wantError(err, webhooks.ErrMessageNotFound)

	messages := func(q webhooks.MessageQuery) []webhooks.SentMessage {
		listed, err := webhooks.Collect(s.ListMessages(s.Context(), s.originCreate, q))
		s.must(err)
		return listed
	}
	all := messages(webhooks.MessageQuery{})
	if len(all) != 4 || all[3].ID != sent.ID || all[3].Channel == "" {
		s.Fatalf("got %+v, want 4 messages, the first one last", all)
	}
	between := messages(webhooks.MessageQuery{After: all[3].Timestamp, Before: all[0].Timestamp})
	s.wantEqual("messages between the first and the last", all[1:3], between)
	s.wantEqual("messages on a channel", 1, len(messages(webhooks.MessageQuery{Channel: channel1})))

	s.must(s.ResendMessage(s.Context(), ep, event.ID))
	events := s.sentEvents(2, s.ListSentEventsForMessage(s.Context(), s.originCreate, event.ID))
	manual := events[0]
	if !manual.Manual || events[1].Manual || manual.MessageID != sent.ID ||
		manual.Status != webhooks.DeliverySucceeded {
		s.Errorf("got the attempts %+v, want a manual one first", events)
	}
	s.must(s.SetEndpointDisabled(s.Context(), ep, true))
	s.wantError(s.ResendMessage(s.Context(), ep, event.ID), webhooks.ErrInvalidEndpoint)
	ep.URL += "/other"
	s.wantError(s.ResendMessage(s.Context(), ep, event.ID), webhooks.ErrEndpointNotFound)
}
