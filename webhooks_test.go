package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/testdata"
)

func TestEventTypes(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]func(s *server){
		"created, then got": func(s *server) {
			want := webhooks.EventType{
				Name: s.group + ".full-Name_9", Description: "Ein Projekt <b>& mehr</b>, 日本語 😀",
				Schema: json.RawMessage(`{"type":"object","properties":{"z":{"maximum":1.00},` +
					`"a":{"const":123456789012345678901234567890}}, "title":"<&>\u00e9"}`),
			}
			s.must(s.CreateEventType(s.Context(), want))
			want.Schema = json.RawMessage(`{"properties":{"a":{"const":123456789012345678901234567890},` +
				`"z":{"maximum":1.00}},"title":"<&>é","type":"object"}`)
			got, err := s.GetEventType(s.Context(), want.Name)
			s.must(err)
			s.wantEqual("event type", want, got)
		},
		"created, then listed": func(s *server) {
			s.wantEqual("names", []string{s.originCreate, s.originVisit}, s.typeNames())
			for _, et := range s.ownTypes() {
				got, err := s.GetEventType(s.Context(), et.Name)
				s.must(err)
				s.wantEqual("listed event type", got, et)
			}
		},
		"created again": func(s *server) {
			want := webhooks.EventType{Name: s.originCreate, Schema: json.RawMessage(`{"title":"other"}`)}
			for range 2 {
				s.must(s.CreateEventType(s.Context(), want))
			}
			got, err := s.GetEventType(s.Context(), s.originCreate)
			s.must(err)
			s.wantEqual("event type", want, got)
		},
		"unknown": func(s *server) {
			_, err := s.GetEventType(s.Context(), s.group+".unknown")
			s.wantError(err, webhooks.ErrEventTypeNotFound, s.group+".unknown")
			s.wantAPIError(err, http.StatusNotFound, "not_found")
		},
		"bad name": func(s *server) {
			err := s.CreateEventType(s.Context(), webhooks.EventType{Name: "origin", Schema: json.RawMessage(`{}`)})
			s.wantError(err, webhooks.ErrInvalidEventTypeName, "'<group>.<event>'", "origin")
		},
		"bad schema": func(s *server) {
			err := s.CreateEventType(s.Context(),
				webhooks.EventType{Name: s.group + ".bad", Schema: json.RawMessage(`{"type": "obj"}`)})
			s.wantError(err, webhooks.ErrInvalidSchema)
			var refused *webhooks.SchemaError
			if !errors.As(err, &refused) || len(refused.Violations) == 0 || refused.Violations[0].Path != "/type" {
				s.Errorf("got %v, want a SchemaError with a violation at /type", err)
			}
			_, err = s.GetEventType(s.Context(), s.group+".bad")
			s.wantError(err, webhooks.ErrEventTypeNotFound)
		},
		"listing of a hundred": func(s *server) {
			want := []string{s.originCreate}
			for i := range 100 {
				want = append(want, s.createType(fmt.Sprintf("test%03d", i), `{"type":"object"}`))
			}
			s.wantEqual("names", append(want, s.originVisit), s.typeNames())
		},
		"deleted": func(s *server) {
			s.must(s.DeleteEventType(s.Context(), s.originCreate))
			s.wantEqual("event types", []string{s.originVisit}, s.typeNames())
			_, err := s.GetEventType(s.Context(), s.originCreate)
			s.wantError(err, webhooks.ErrEventTypeArchived, s.originCreate)
			s.must(s.DeleteEventType(s.Context(), s.originCreate))
		},
		"unknown deleted": func(s *server) {
			s.wantError(s.DeleteEventType(s.Context(), s.group+".unknown"),
				webhooks.ErrEventTypeNotFound, s.group+".unknown")
		},
		"revived with another schema and its endpoints": func(s *server) {
			want := webhooks.EventType{
				Name: s.originCreate, Description: "Revived",
				Schema: json.RawMessage(`{"type":"object"}`),
			}
			s.createEndpoints(s.endpoint("a", ""))
			s.must(s.DeleteEventType(s.Context(), s.originCreate))
			s.must(s.CreateEventType(s.Context(), want))
			got, err := s.GetEventType(s.Context(), s.originCreate)
			s.must(err)
			s.wantEqual("event type", want, got)
			s.wantEqual("endpoints", []webhooks.Endpoint{s.endpoint("a", "")},
				s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
		},
	})
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]func(s *server){
		"secret generated": func(s *server) {
			for _, ep := range []webhooks.Endpoint{s.endpoint("a", ""), s.endpoint("a", channel1)} {
				s.must(s.CreateEndpoint(s.Context(), ep, ""))
				if secret := s.secret(ep); !strings.HasPrefix(secret, "whsec_") {
					s.Errorf("got the secret %q, want one that begins with whsec_", secret)
				}
			}
		},
		"secret given, changed and rotated": func(s *server) {
			for _, ep := range []webhooks.Endpoint{s.endpoint("a", ""), s.endpoint("a", channel1)} {
				for _, secret := range []string{harness.SecretA, harness.SecretB, harness.SecretB} {
					s.must(s.CreateEndpoint(s.Context(), ep, secret))
					s.wantEqual("secret", secret, s.secret(ep))
				}
				s.must(s.CreateEndpoint(s.Context(), ep, ""))
				if secret := s.secret(ep); secret == harness.SecretA || secret == harness.SecretB {
					s.Errorf("got the secret %q again, want a new one", secret)
				}
			}
		},
		"listing in order of creation": func(s *server) {
			want := []webhooks.Endpoint{s.endpoint("a", ""), s.endpoint("b", "")}
			want[1].Metadata = map[string]string{"team": "arkiv, 日本語"}
			s.createEndpoints(want...)
			s.wantEqual("endpoints", want,
				s.endpoints(s.originCreate, webhooks.EndpointQuery{Ascending: true}), withoutIDs)
		},
		"listing by channel": func(s *server) {
			on1, on2, onNone := s.endpoint("a", channel1), s.endpoint("a", channel2), s.endpoint("a", "")
			on1.Metadata = map[string]string{"team": "archive"}
			s.createEndpoints(on1, on2, onNone)
			for name, tt := range map[string]struct {
				q    webhooks.EndpointQuery
				want []webhooks.Endpoint
			}{
				"all":        {webhooks.EndpointQuery{}, []webhooks.Endpoint{onNone, on2, on1}},
				"no channel": {webhooks.EndpointQuery{NoChannel: true}, []webhooks.Endpoint{onNone}},
				"channel 1":  {webhooks.EndpointQuery{Channel: channel1}, []webhooks.Endpoint{onNone, on1}},
				"channel 1, ascending": {
					webhooks.EndpointQuery{Channel: channel1, Ascending: true},
					[]webhooks.Endpoint{on1, onNone},
				},
				"channel 2": {webhooks.EndpointQuery{Channel: channel2}, []webhooks.Endpoint{onNone, on2}},
				"channel 2, limit 1": {
					webhooks.EndpointQuery{Channel: channel2, Limit: 1},
					[]webhooks.Endpoint{onNone},
				},
				"in other letters": {
					webhooks.EndpointQuery{Channel: strings.ToUpper(channel1)},
					[]webhooks.Endpoint{onNone},
				},
				"limit beyond the end": {webhooks.EndpointQuery{Limit: 4}, []webhooks.Endpoint{onNone, on2, on1}},
			} {
				s.wantEqual(name, tt.want, s.endpoints(s.originCreate, tt.q), withoutIDs)
			}
			s.wantEqual("of the other type", []webhooks.Endpoint(nil),
				s.endpoints(s.originVisit, webhooks.EndpointQuery{}))
		},
		"listing of a hundred": func(s *server) {
			var want []webhooks.Endpoint
			for i := range 100 {
				want = append(want, s.endpoint(strconv.Itoa(i), ""))
			}
			s.createEndpoints(want...)
			s.wantEqual("ascending", want,
				s.endpoints(s.originCreate, webhooks.EndpointQuery{Ascending: true}), withoutIDs)
			s.wantEqual("ascending, limit 30", want[:30],
				s.endpoints(s.originCreate, webhooks.EndpointQuery{Ascending: true, Limit: 30}), withoutIDs)
			slices.Reverse(want)
			s.wantEqual("newest first", want, s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
		},
		"secret of an unknown one": func(s *server) {
			_, err := s.GetEndpointSecret(s.Context(), s.endpoint("a", ""))
			s.wantError(err, webhooks.ErrEndpointNotFound, "https://example.org/a", s.originCreate)
			_, err = s.GetEndpointSecret(s.Context(), s.endpoint("a", channel1))
			s.wantError(err, webhooks.ErrEndpointNotFound, "https://example.org/a", s.originCreate, channel1)
		},
		"unknown one deleted": func(s *server) {
			s.wantError(s.DeleteEndpoint(s.Context(), s.endpoint("a", "")),
				webhooks.ErrEndpointNotFound, "https://example.org/a", s.originCreate)
			s.wantError(s.DeleteEndpoint(s.Context(), s.endpoint("a", channel1)),
				webhooks.ErrEndpointNotFound, channel1)
		},
		"one of two deleted": func(s *server) {
			s.createEndpoints(s.endpoint("a", ""), s.endpoint("b", ""))
			s.must(s.DeleteEndpoint(s.Context(), s.endpoint("a", "")))
			s.wantEqual("endpoints", []webhooks.Endpoint{s.endpoint("b", "")},
				s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
			_, err := s.GetEndpointSecret(s.Context(), s.endpoint("a", ""))
			s.wantError(err, webhooks.ErrEndpointNotFound)
			s.createEndpoints(s.endpoint("a", ""))
			if got := s.endpoints(s.originCreate, webhooks.EndpointQuery{}); len(got) != 2 {
				s.Errorf("created again after it was deleted: got %d endpoints, want 2", len(got))
			}
		},
		"of an unknown type": func(s *server) {
			unknown := webhooks.Endpoint{URL: "https://example.org/", EventType: s.group + ".unknown"}
			_, errSecret := s.GetEndpointSecret(s.Context(), unknown)
			s.wantError(errSecret, webhooks.ErrEndpointNotFound)
			_, errList := webhooks.Collect(s.ListEndpoints(s.Context(), unknown.EventType, webhooks.EndpointQuery{}))
			for _, err := range []error{
				errList, s.CreateEndpoint(s.Context(), unknown, ""), s.DeleteEndpoint(s.Context(), unknown),
				s.SetEndpointDisabled(s.Context(), unknown, true), s.RotateEndpointSecret(s.Context(), unknown, ""),
			} {
				s.wantError(err, webhooks.ErrEventTypeNotFound, unknown.EventType)
			}
		},
		"disabled and enabled": func(s *server) {
			in := s.newInbox()
			ep := in.endpoint("a", "")
			ep.Metadata = map[string]string{"team": "archive"}
			s.createEndpoints(ep)
			for _, disabled := range []bool{true, true, false} {
				s.must(s.SetEndpointDisabled(s.Context(), ep, disabled))
				ep.Disabled = disabled
				s.wantEqual("endpoint", []webhooks.Endpoint{ep},
					s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
			}
			s.sendOrigins(1, "")
			in.receive(1)
		},
		"secret rotated": func(s *server) {
			s.must(s.CreateEndpoint(s.Context(), s.endpoint("a", ""), harness.SecretA))
			s.must(s.RotateEndpointSecret(s.Context(), s.endpoint("a", ""), harness.SecretB))
			s.wantEqual("secret", harness.SecretB, s.secret(s.endpoint("a", "")))
			s.must(s.RotateEndpointSecret(s.Context(), s.endpoint("a", ""), ""))
			if s.secret(s.endpoint("a", "")) == harness.SecretB {
				s.Error("the secret is the same, want a new one")
			}
			s.wantError(s.RotateEndpointSecret(s.Context(), s.endpoint("b", ""), ""), webhooks.ErrEndpointNotFound)
		},
	})
}

func TestSending(t *testing.T) {
	t.Parallel()
	visit := func() webhooks.OriginVisit {
		return webhooks.OriginVisit{
			OriginURL: originURLs(1)[0], VisitType: "git",
			VisitDate: "2026-11-23T09:30:00+00:00", VisitStatus: webhooks.VisitFull,
		}
	}
	onServers(t, map[string]func(s *server){
		"unknown type": func(s *server) {
			_, err := s.SendEvent(s.Context(), webhooks.Event{Type: s.group + ".unknown", Payload: struct{}{}})
			s.wantError(err, webhooks.ErrEventTypeNotFound, s.group+".unknown")
		},
		"bad payload": func(s *server) {
			bad := visit()
			bad.SnapshotSWHID = new("invalid_swhid")
			_, err := s.SendEvent(s.Context(), webhooks.Event{Type: s.originVisit, Payload: bad})
			s.wantError(err, webhooks.ErrInvalidPayload, "nothing was sent", "/snapshot_swhid", "does not match")
			var refused *webhooks.PayloadError
			if !errors.As(err, &refused) || refused.EventType != s.originVisit ||
				len(refused.Violations) != 1 || refused.Violations[0].Path != "/snapshot_swhid" ||
				errors.Unwrap(refused) == nil {
				s.Errorf("got %#v, want a PayloadError with one violation, at /snapshot_swhid,"+
					" and the validator's error", err)
			}
		},
		"date without offset": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(webhooks.Endpoint{URL: in.address, EventType: s.originVisit})
			payload := visit()
			payload.VisitDate = "2026-11-23T09:30:00"
			s.send(webhooks.Event{Type: s.originVisit, Payload: payload})
			in.receive(1)
		},
		"two endpoints, two events": func(s *server) {
			in := s.newInbox()
			a, b := in.endpoint("a", ""), in.endpoint("b", "")
			s.createEndpoints(a, b)
			s.sendOrigins(2, "")
			want := map[string][]string{}
			for _, url := range originURLs(2) {
				for _, ep := range []webhooks.Endpoint{a, b} {
					want[ep.URL] = append(want[ep.URL], `{"origin_url":"`+url+`"}`)
				}
			}
			got := map[string][]string{}
			for _, p := range in.receive(4) {
				got[p.url] = append(got[p.url], p.body)
				verified, err := webhooks.VerifyPayload(s.secret(webhooks.Endpoint{
					URL:       p.url,
					EventType: s.originCreate,
				}), p.header, []byte(p.body))
				s.must(err)
				s.wantEqual("verified payload", p.body, string(verified))
				s.wantEqual("X-Swh-Event", s.originCreate, p.header.Get("X-Swh-Event"))
				for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
					if p.header.Get(name) == "" {
						s.Errorf("header %s is missing", name)
					}
				}
			}
			s.wantEqual("deliveries", want, got, cmpopts.SortSlices(strings.Compare))
			s.sentEvents(4, s.ListSentEventsForEventType(s.Context(), s.originCreate, webhooks.SentEventQuery{}))
			if len(in.posts) != 0 {
				s.Errorf("got %d deliveries more than 4", len(in.posts))
			}
		},
		"channels": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("one", channel1), in.endpoint("two", channel2), in.endpoint("none", ""))
			for channel, want := range map[string][]string{
				channel1: {"none", "one"},
				channel2: {"none", "two"}, "": {"none"},
			} {
				s.sendOrigins(1, channel)
				var got []string
				for _, p := range in.receive(len(want)) {
					got = append(got, strings.TrimPrefix(p.url, in.address+"/"))
				}
				slices.Sort(got)
				s.wantEqual("receivers of "+channel, want, got)
			}
			s.sentEvents(5, s.ListSentEventsForEventType(s.Context(), s.originCreate, webhooks.SentEventQuery{}))
			if len(in.posts) != 0 {
				s.Errorf("got %d deliveries more than 5", len(in.posts))
			}
		},
		"null": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(webhooks.Endpoint{URL: in.address, EventType: s.originVisit})
			s.send(webhooks.Event{Type: s.originVisit, Payload: visit()})
			var got webhooks.OriginVisit
			s.must(json.Unmarshal([]byte(in.receive(1)[0].body), &got))
			s.wantEqual("payload", visit(), got)
		},
		"nobody listens": func(s *server) {
			client := s.newClient(webhooks.WithoutListenerCheck())
			message, err := client.SendEvent(s.Context(), webhooks.Event{Type: s.originVisit, Payload: visit()})
			s.must(err)
			if message.IsZero() || !strings.HasPrefix(message.ID, "msg_") ||
				time.Since(message.Timestamp).Abs() > time.Hour || message.Timestamp.Location() != time.UTC {
				s.Errorf("got the message %v, want one with an id and the time in UTC", message)
			}
		},
		"payload of every kind": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("", ""))
			type named map[string]string
			for _, payload := range []any{
				webhooks.OriginCreate{OriginURL: "https://example.org/"},
				&webhooks.OriginCreate{OriginURL: "https://example.org/"},
				map[string]any{"origin_url": "https://example.org/"},
				named{"origin_url": "https://example.org/"},
				json.RawMessage(" {\n\"origin_url\" : \"https:\\/\\/example.org/\"}\n"),
			} {
				s.send(webhooks.Event{Type: s.originCreate, Payload: payload})
				s.wantEqual(fmt.Sprintf("body of a %T", payload),
					`{"origin_url":"https://example.org/"}`, in.receive(1)[0].body)
			}
		},
		"sample visits": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(webhooks.Endpoint{URL: in.address, EventType: s.originVisit})
			want := samplePayloads(s.T, 50)
			for _, payload := range want {
				s.send(webhooks.Event{Type: s.originVisit, Payload: json.RawMessage(payload)})
			}
			var got []string
			for _, p := range in.receive(len(want)) {
				got = append(got, p.body)
			}
			s.wantEqual("payloads", want, got, cmpopts.SortSlices(strings.Compare))
		},
	})
}

// samplePayloads are payloads of origin.visit about sample visits of the archive, as the Python
// module sends them: compact, with sorted keys.
func samplePayloads(t *testing.T, n int) []string {
	t.Helper()
	var payloads []string
	for line := range bytes.Lines(testdata.Visits) {
		var visit struct {
			Origin   string  `json:"origin"`
			Type     string  `json:"type"`
			Date     string  `json:"date"`
			Status   string  `json:"status"`
			Snapshot *string `json:"snapshot"`
		}
		if err := json.Unmarshal(line, &visit); err != nil {
			t.Fatal(err)
		}
		if visit.Snapshot != nil {
			visit.Snapshot = new("swh:1:snp:" + *visit.Snapshot)
		}
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		err := enc.Encode(map[string]any{
			"origin_url": visit.Origin, "visit_type": visit.Type, "visit_date": visit.Date,
			"visit_status": visit.Status, "snapshot_swhid": visit.Snapshot,
		})
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, strings.TrimSpace(text.String()))
	}
	return payloads[:n]
}

// A channelled test has an endpoint on no channel and one on each of two, and a message sent on
// each of the three.
type channelled struct {
	*inbox

	onNone, on1, on2 webhooks.Endpoint
	posts            map[[2]string]post // by URL and message id
}

func newChannelled(s *server) channelled {
	s.Helper()
	in := s.newInbox()
	c := channelled{
		inbox: in, onNone: in.endpoint("none", ""), on1: in.endpoint("one", channel1),
		on2:   in.endpoint("two", channel2),
		posts: map[[2]string]post{},
	}
	s.createEndpoints(c.onNone, c.on1, c.on2)
	for _, channel := range []string{"", channel1, channel2} {
		s.sendOrigins(1, channel)
	}
	for _, p := range in.receive(5) {
		c.posts[[2]string{p.url, p.header.Get("Webhook-Id")}] = p
	}
	return c
}

func (c channelled) forType(n int, q webhooks.SentEventQuery) []webhooks.SentEvent {
	c.Helper()
	return c.sentEvents(n, c.ListSentEventsForEventType(c.Context(), c.originCreate, q))
}

func (c channelled) forEndpoint(n int, ep webhooks.Endpoint, q webhooks.SentEventQuery) []webhooks.SentEvent {
	c.Helper()
	return c.sentEvents(n, c.ListSentEventsForEndpoint(c.Context(), ep, q))
}

// channels are the channels of sent events, sorted.
func channels(events []webhooks.SentEvent) []string {
	var channels []string
	for _, e := range events {
		channels = append(channels, e.Channel)
	}
	slices.Sort(channels)
	return channels
}

func TestSentEvents(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]func(s *server){
		"what is listed is what was received": func(s *server) {
			c := newChannelled(s)
			byEndpoint := slices.Concat(c.forEndpoint(3, c.onNone, webhooks.SentEventQuery{}),
				c.forEndpoint(1, c.on1, webhooks.SentEventQuery{}), c.forEndpoint(1, c.on2, webhooks.SentEventQuery{}))
			byType := c.forType(5, webhooks.SentEventQuery{})
			s.wantEqual("the two listings", byEndpoint, byType, cmpopts.SortSlices(func(a, b webhooks.SentEvent) int {
				return strings.Compare(a.AttemptID, b.AttemptID)
			}))
			for _, e := range byType {
				p, ok := c.posts[[2]string{e.EndpointURL, e.MessageID}]
				if !ok {
					s.Errorf("nothing was received of %+v", e)
				}
				wantChannel := map[string]string{
					c.onNone.URL: "", c.on1.URL: channel1,
					c.on2.URL: channel2,
				}[e.EndpointURL]
				s.wantEqual("event type, channel, response, status",
					[]any{s.originCreate, wantChannel, "OK", 200},
					[]any{e.EventType, e.Channel, e.Response, e.ResponseStatusCode})
				s.wantEqual("payload", p.body, string(e.Payload))
				s.wantEqual("number of headers", 6, len(e.Headers))
				for name, values := range e.Headers {
					s.wantEqual("header "+name, p.header[name], values)
				}
				if !strings.HasPrefix(e.AttemptID, "atmpt_") ||
					!strings.HasPrefix(e.EndpointID, "ep_") || e.Duration < 0 || e.Duration > patience ||
					e.Timestamp.Location() != time.UTC ||
					strconv.FormatInt(e.Timestamp.Unix(), 10) != p.header.Get("Webhook-Timestamp") {
					s.Errorf("ids, duration or time are wrong: %+v", e)
				}
			}
		},
		"listing by channel": func(s *server) {
			c := newChannelled(s)
			s.wantEqual("all", []string{"", "", "", channel1, channel2},
				channels(c.forType(5, webhooks.SentEventQuery{})))
			s.wantEqual("channel 1", []string{"", channel1},
				channels(c.forType(2, webhooks.SentEventQuery{Channel: channel1})))
			s.wantEqual("channel 2", []string{"", channel2},
				channels(c.forType(2, webhooks.SentEventQuery{Channel: channel2})))
			s.wantEqual("channel 2, endpoint on none", []string{""},
				channels(c.forEndpoint(1, c.onNone, webhooks.SentEventQuery{Channel: channel2})))
			s.wantEqual("channel 2, endpoint on 1", []string(nil),
				channels(c.forEndpoint(0, c.on1, webhooks.SentEventQuery{Channel: channel2})))
		},
		"before and after": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("", ""))
			const n = 5
			for range n {
				s.sendOrigins(1, "")
				in.receive(1)
			}
			for name, list := range s.bothListings(in.endpoint("", "")) {
				all := s.sentEvents(n, list(webhooks.SentEventQuery{}))
				if !slices.IsSortedFunc(all,
					func(a, b webhooks.SentEvent) int { return b.Timestamp.Compare(a.Timestamp) }) {
					s.Errorf("%s is not newest first: %+v", name, all)
				}
				for i, e := range all {
					older, errOlder := webhooks.Collect(list(webhooks.SentEventQuery{Before: e.Timestamp}))
					newer, errNewer := webhooks.Collect(list(webhooks.SentEventQuery{After: e.Timestamp}))
					s.must(errors.Join(errOlder, errNewer))
					s.wantEqual(fmt.Sprintf("%s before event %d", name, i), all[i+1:], older, cmpopts.EquateEmpty())
					s.wantEqual(fmt.Sprintf("%s after event %d", name, i), all[:i], newer, cmpopts.EquateEmpty())
					// In another zone, and just beyond it.
					later := e.Timestamp.Add(time.Nanosecond).In(time.FixedZone("", 3600))
					until, err := webhooks.Collect(list(webhooks.SentEventQuery{Before: later}))
					s.must(err)
					s.wantEqual(fmt.Sprintf("%s until event %d", name, i), all[i:], until)
				}
			}
		},
		"limits": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("", ""))
			s.sendOrigins(100, "")
			for name, list := range s.bothListings(in.endpoint("", "")) {
				all := s.sentEvents(100, list(webhooks.SentEventQuery{}))
				for _, limit := range []int{1, 5, 10, 100, 101} {
					got, err := webhooks.Collect(list(webhooks.SentEventQuery{Limit: limit}))
					s.must(err)
					s.wantEqual(fmt.Sprintf("%s, limit %d", name, limit), all[:min(limit, 100)], got)
				}
			}
		},
		"a time has a zone; the zero one is no bound": func(s *server) {
			c := newChannelled(s)
			c.forType(5, webhooks.SentEventQuery{Before: time.Time{}, After: time.Time{}.In(time.FixedZone("", 3600))})
			c.forEndpoint(3, c.onNone, webhooks.SentEventQuery{Before: time.Now().Add(time.Hour)})
		},
		"of what does not exist": func(s *server) {
			unknown := webhooks.Endpoint{URL: "https://example.org/", EventType: s.group + ".unknown"}
			for name, list := range s.bothListings(unknown) {
				_, errs := pairs(list(webhooks.SentEventQuery{}))
				if len(errs) != 1 {
					s.Errorf("%s: got %d pairs, want one", name, len(errs))
				}
				s.wantError(errs[0], webhooks.ErrEventTypeNotFound, unknown.EventType)
			}
			_, err := webhooks.Collect(s.ListSentEventsForEndpoint(s.Context(),
				s.endpoint("unknown", channel1), webhooks.SentEventQuery{}))
			s.wantError(err, webhooks.ErrEndpointNotFound, "https://example.org/unknown", channel1)
		},
		"failed attempts": func(s *server) {
			receiver := httptest.NewServer(http.NotFoundHandler())
			ep := webhooks.Endpoint{URL: receiver.URL + "/gone", EventType: s.originCreate}
			s.createEndpoints(ep)
			message := s.sendOrigins(1, "")[0]
			got := s.sentEvents(1, s.ListSentEventsForEndpoint(s.Context(), ep, webhooks.SentEventQuery{}))[0]
			s.wantEqual("message, status, response", []any{message.ID, 404, "404 page not found\n"},
				[]any{got.MessageID, got.ResponseStatusCode, got.Response})
			receiver.Close()
			s.tick()
			s.sendOrigins(1, "")
			unreachable := func(e webhooks.SentEvent) bool { return e.ResponseStatusCode == 0 && e.Response != "" }
			if events := s.sentEvents(2,
				s.ListSentEventsForEndpoint(s.Context(), ep, webhooks.SentEventQuery{})); !slices.ContainsFunc(events,
				unreachable) {
				s.Errorf("no attempt has status 0 and an explanation: %+v", events)
			}
		},
	})
}

func TestSignedPayloadVerifies(t *testing.T) {
	t.Parallel()
	body := []byte(samplePayloads(t, 1)[0])
	got, err := webhooks.VerifyPayload(harness.SecretA,
		signedHeader(t, "Webhook-", harness.SecretA, messageID, time.Now(), body), body)
	if err != nil || string(got) != string(body) {
		t.Errorf("got %s, %v; want the payload", got, err)
	}
	_, err = webhooks.VerifyPayload(harness.SecretB,
		signedHeader(t, "Webhook-", harness.SecretA, messageID, time.Now(), body), body)
	checkError(t, err, webhooks.ErrVerification)
}

// TestNothingIsSentIfNobodyListens, and nothing is dropped if somebody does.
func TestNothingIsSentIfNobodyListens(t *testing.T) {
	t.Parallel()
	notSent := func(s *server, c *webhooks.Client, channel string) {
		s.Helper()
		message, err := c.SendEvent(s.Context(), s.origin(0, channel))
		if err != nil || !message.IsZero() {
			s.Errorf("got %v, %v; want the zero Message", message, err)
		}
	}
	onServers(t, map[string]func(s *server){
		"no endpoint": func(s *server) {
			notSent(s, s.Client, "")
			notSent(s, s.Client, channel1)
			s.wantEqual("messages", 0, s.messages(s.originCreate))
		},
		"only on another channel": func(s *server) {
			s.createEndpoints(s.endpoint("a", channel1))
			notSent(s, s.Client, "")
			notSent(s, s.Client, channel2)
			s.wantEqual("messages", 0, s.messages(s.originCreate))
			s.sendOrigins(1, channel1)
		},
		"disabled": func(s *server) {
			ep := s.endpoint("a", "")
			ep.Disabled = true
			s.createEndpoints(ep)
			notSent(s, s.Client, "")
			s.wantEqual("messages", 0, s.messages(s.originCreate))
		},
		"only for another event type": func(s *server) {
			s.raw(http.MethodPost, application(s.originCreate)+"/endpoint",
				`{"url":"https://example.org/","filterTypes":["`+s.originVisit+`"]}`, nil)
			notSent(s, s.Client, "")
			s.wantEqual("messages", 0, s.messages(s.originCreate))
		},
		"without the check": func(s *server) {
			message, err := s.newClient(webhooks.WithoutListenerCheck()).SendEvent(s.Context(), s.origin(0, ""))
			if err != nil || message.IsZero() {
				s.Errorf("got %v, %v; want a message", message, err)
			}
			s.wantEqual("messages", 1, s.messages(s.originCreate))
		},
		"a no is never remembered": func(s *server) {
			in, other := s.newInbox(), s.newClient()
			for _, channel := range []string{channel1, channel2, ""} {
				notSent(s, s.Client, channel)
				s.must(other.CreateEndpoint(s.Context(), in.endpoint("a", channel), ""))
				s.sendOrigins(1, channel)
				in.receive(1)
			}
		},
		"one's own changes count at once": func(s *server) {
			ep := s.endpoint("a", "")
			for range 2 {
				s.createEndpoints(ep)
				s.sendOrigins(1, "")
				s.must(s.SetEndpointDisabled(s.Context(), ep, true))
				notSent(s, s.Client, "")
				s.must(s.SetEndpointDisabled(s.Context(), ep, false))
				s.sendOrigins(1, "")
				disabled := ep
				disabled.Disabled = true
				s.createEndpoints(disabled)
				notSent(s, s.Client, "")
				s.createEndpoints(ep)
				s.sendOrigins(1, "")
				s.must(s.DeleteEndpoint(s.Context(), ep))
				notSent(s, s.Client, "")
			}
			s.createType("create", `{"required":["new"]}`)
			_, err := s.SendEvent(s.Context(), s.origin(0, ""))
			s.wantError(err, webhooks.ErrInvalidPayload)
		},
	})
}

// TestQueriesAreCheckedFirst: they are checked at the call, without a request.
func TestQueriesAreCheckedFirst(t *testing.T) {
	t.Parallel()
	c, ctx := offline(t), t.Context()
	now := time.Now()
	ep := webhooks.Endpoint{URL: "https://example.org/", EventType: webhooks.TypeOriginCreate}
	endpoints := func(q webhooks.EndpointQuery) []error {
		return errorsOf(c.ListEndpoints(ctx, webhooks.TypeOriginCreate, q))
	}
	forEndpoint := func(q webhooks.SentEventQuery) []error {
		return errorsOf(c.ListSentEventsForEndpoint(ctx, ep, q))
	}
	forType := func(q webhooks.SentEventQuery) []error {
		return errorsOf(c.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate, q))
	}
	messages := func(q webhooks.MessageQuery) []error {
		return errorsOf(c.ListMessages(ctx, webhooks.TypeOriginCreate, q))
	}
	noTime := webhooks.SentEventQuery{Before: now, After: now}
	badStatus := webhooks.SentEventQuery{Status: 3}
	tests := map[string]struct {
		got  []error
		text string
	}{
		"endpoints, negative limit": {endpoints(webhooks.EndpointQuery{Limit: -1}), "-1"},
		"endpoints, channel and none": {endpoints(webhooks.EndpointQuery{
			Channel:   "a",
			NoChannel: true,
		}), "only one"},
		"sent events of endpoint, negative limit":   {forEndpoint(webhooks.SentEventQuery{Limit: -5}), "-5"},
		"sent events of event type, negative limit": {forType(webhooks.SentEventQuery{Limit: -5}), "-5"},
		"sent events of endpoint, before, after":    {forEndpoint(noTime), "not earlier"},
		"sent events of event type, before, after":  {forType(noTime), "not earlier"},
		"sent events of endpoint, unknown status":   {forEndpoint(badStatus), "status"},
		"sent events of event type, unknown status": {forType(badStatus), "status"},
		"messages, negative limit":                  {messages(webhooks.MessageQuery{Limit: -2}), "-2"},
		"messages, before, after": {
			messages(webhooks.MessageQuery{Before: now, After: now.Add(1)}),
			"not earlier",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(tt.got) != 2 { // one pair each of two loops
				t.Fatalf("got %d pairs in two loops, want one each", len(tt.got))
			}
			for _, err := range tt.got {
				checkError(t, err, webhooks.ErrInvalidQuery, tt.text)
			}
		})
	}
}

// TestNamesThatCannotExistReachNoServer: what cannot be a name reaches no server.
func TestNamesThatCannotExistReachNoServer(t *testing.T) {
	t.Parallel()
	c, ctx := offline(t), t.Context()
	names := []string{
		"", ".", "..", "a", "a.", ".a", "a.b.c", "a..b", "a/b", "a.b/c", "a.b/../c.d", "../a.b",
		"a.b?x=y", "a.b#c", "a.b%2Fc", "%61.b", "a.b ", " a.b", "a b.c",
		"a.b\n", "a.b\r\nX-Header: x", "a.b\x00", "ä.b", "a.ｂ", "a.b;c", "a.b:c", "a.b@c", "a\\b.c",
		"a.b,c.d", "a.\xff", "a." + strings.Repeat("b", 255), strings.Repeat("a.", 1<<20),
	}
	schema := json.RawMessage(`{"type":"object"}`)
	for _, name := range names {
		t.Run(strconv.Quote(name[:min(len(name), 20)]), func(t *testing.T) {
			t.Parallel()
			ep := webhooks.Endpoint{URL: "https://example.org/", EventType: name}
			err := c.CreateEventType(ctx, webhooks.EventType{Name: name, Schema: schema})
			checkError(t, err, webhooks.ErrInvalidEventTypeName)
			_, errGet := c.GetEventType(ctx, name)
			_, errSecret := c.GetEndpointSecret(ctx, ep)
			_, errSend := c.SendEvent(ctx, webhooks.Event{Type: name, Payload: struct{}{}})
			errs := []error{
				errGet, errSecret, errSend, c.DeleteEventType(ctx, name),
				c.CreateEndpoint(ctx, ep, ""), c.DeleteEndpoint(ctx, ep),
				c.RotateEndpointSecret(ctx, ep, ""), c.SetEndpointDisabled(ctx, ep, true),
			}
			for _, listed := range [][]error{
				errorsOf(c.ListEndpoints(ctx, name, webhooks.EndpointQuery{})),
				errorsOf(c.ListSentEventsForEndpoint(ctx, ep, webhooks.SentEventQuery{})),
				errorsOf(c.ListSentEventsForEventType(ctx, name, webhooks.SentEventQuery{})),
			} {
				if len(listed) != 2 {
					t.Errorf("got %d pairs in two loops over a listing, want one each", len(listed))
				}
				errs = append(errs, listed...)
			}
			for _, err := range errs {
				checkError(t, err, webhooks.ErrEventTypeNotFound)
				if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\x00") {
					t.Errorf("the error is not fit to be shown: %q", err)
				}
			}
		})
	}
}

func TestLongestName(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	name := s.createType(strings.Repeat("x", 255-len(s.group)), `{}`)
	got, err := s.GetEventType(s.Context(), name)
	s.must(err)
	s.wantEqual("length of the name", 256, len(got.Name))
}

// TestEndpointIDsThatCannotBe: an ID goes into a request path, too.
func TestEndpointIDsThatCannotBe(t *testing.T) {
	t.Parallel()
	c, ctx := offline(t), t.Context()
	for _, id := range []string{
		"..", "ep_", "ep_a/../b", "ep_a?b", "ep_%2e%2e", "app_2Yq",
		"ep_" + strings.Repeat("a", 251), "ep_a\n", "ep_ä", "2Yq",
	} {
		ep := webhooks.Endpoint{URL: "https://example.org/", EventType: webhooks.TypeOriginCreate, ID: id}
		_, errSecret := c.GetEndpointSecret(ctx, ep)
		errs := append(errorsOf(c.ListSentEventsForEndpoint(ctx, ep, webhooks.SentEventQuery{})),
			errSecret, c.CreateEndpoint(ctx, ep, ""),
			c.DeleteEndpoint(ctx, ep), c.RotateEndpointSecret(ctx, ep, ""), c.SetEndpointDisabled(ctx, ep, true))
		for _, err := range errs {
			checkError(t, err, webhooks.ErrInvalidEndpoint)
		}
	}
}

// TestBrokenSchemasAreRefused: a schema that cannot be used is refused before any request, also one
// that asks for files or servers.
func TestBrokenSchemasAreRefused(t *testing.T) {
	t.Parallel()
	c := offline(t)
	schemas := schemaFiles(t, "broken")
	schemas["nil"], schemas["too large"] = "", `{"title":"`+strings.Repeat("x", 256<<10)+`"}`
	for name, schema := range schemas {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.CreateEventType(t.Context(),
				webhooks.EventType{Name: webhooks.TypeOriginCreate, Schema: json.RawMessage(schema)})
			checkError(t, err, webhooks.ErrInvalidSchema)
			var refused *webhooks.SchemaError
			if !errors.As(err, &refused) || len(refused.Violations) == 0 || refused.Violations[0].Message == "" {
				t.Errorf("got %#v, want a SchemaError that says what is wrong", err)
			}
			if strings.Contains(fmt.Sprint(err), "root:") {
				t.Errorf("a file was read: %v", err)
			}
		})
	}
}

// TestValidSchemasAreReadBackAsTheyWere: they are read back as they were, in canonical form.
func TestValidSchemasAreReadBackAsTheyWere(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for file, text := range schemaFiles(t, "valid") {
		name := s.createType(strings.TrimSuffix(strings.ReplaceAll(file, ".", "_"), "_json"), text)
		got, err := s.GetEventType(s.Context(), name)
		s.must(err)
		s.wantEqual(file+" as JSON", exactJSON(t, text), exactJSON(t, string(got.Schema)))
		s.wantEqual(file+" as text", compacted(t, string(got.Schema)), string(got.Schema))
	}
}

// TestDraftOfASchema sends payloads on which drafts differ.
func TestDraftOfASchema(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	client := s.newClient(webhooks.WithoutListenerCheck())
	tests := []struct{ name, schema, good, bad string }{
		{"items-array-is-draft-7", `{"properties":{"a":{"items":[{"type":"string"}]}}}`, `{"a":["x",1]}`, `{"a":[1]}`},
		{
			"ref-hides-siblings-in-draft-7",
			`{"definitions":{"any":{}},"properties":{"a":{"$ref":"#/definitions/any","type":"string"}},` +
				`"required":["a"]}`, `{"a":1}`, `{}`,
		},
		{
			"ref-siblings-in-2020",
			`{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"any":{}},` +
				`"properties":{"a":{"$ref":"#/$defs/any","type":"string"}}}`, `{"a":"x"}`, `{"a":1}`,
		},
		{
			"no-const-in-draft-4",
			`{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"a":{"const":1}},"required":["a"]}`,
			`{"a":2}`, `{}`,
		},
		{
			"an-unknown-draft-is-7", `{"$schema":"https://example.org/drafts/99","properties":{"a":{"const":1}}}`,
			`{"a":1}`, `{"a":2}`,
		},
		{
			"format-is-an-annotation", `{"properties":{"a":{"type":"string","format":"date-time"}}}`,
			`{"a":"yesterday"}`, `{"a":1}`,
		},
		{"patterns-are-not-anchored", `{"properties":{"a":{"pattern":"b+"}}}`, `{"a":"abc"}`, `{"a":"ac"}`},
		{
			"numbers-are-exact", `{"properties":{"a":{"maximum":9007199254740993}}}`,
			`{"a":9007199254740993}`, `{"a":9007199254740994}`,
		},
		{"integers-may-have-a-point", `{"properties":{"a":{"type":"integer"}}}`, `{"a":1.0}`, `{"a":1.5}`},
		{"an-empty-schema-allows-any-object", `{}`, `{"a":null}`, `[]`},
	}
	for _, tt := range tests {
		name := s.createType(tt.name, tt.schema)
		_, err := client.SendEvent(s.Context(), webhooks.Event{Type: name, Payload: json.RawMessage(tt.good)})
		if err != nil {
			s.Errorf("%s: got the error %v for %s, want none", tt.name, err, tt.good)
		}
		_, err = client.SendEvent(s.Context(), webhooks.Event{Type: name, Payload: json.RawMessage(tt.bad)})
		s.wantError(err, webhooks.ErrInvalidPayload)
	}
}

// TestPayloadBytesAreCanonical: what receivers get is canonical JSON, is signed as such and is
// listed as such.
func TestPayloadBytesAreCanonical(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	eventType := s.createType("anything", `{}`)
	in := s.newInbox()
	ep := webhooks.Endpoint{URL: in.address + "/", EventType: eventType}
	s.must(s.CreateEndpoint(s.Context(), ep, harness.SecretA))
	tests := map[string]struct {
		payload any
		want    string
	}{
		"white space": {json.RawMessage(" {\t\"a\" :\r\n [ 1 , { } ] } "), `{"a":[1,{}]}`},
		"keys at every level": {
			json.RawMessage(`{"b":{"z":1,"a":[{"d":1,"c":2}]},"a":null}`),
			`{"a":null,"b":{"a":[{"c":2,"d":1}],"z":1}}`,
		},
		"keys by bytes": {
			json.RawMessage(`{"é":1,"z":2,"Z":3,"😀":4,"ﬀ":5,"":6}`),
			`{"":6,"Z":3,"z":2,"é":1,"ﬀ":5,"😀":4}`,
		},
		"no HTML escapes": {map[string]any{"a": "<b>&'\u2028\u2029"}, "{\"a\":\"<b>&'\u2028\u2029\"}"},
		"escapes undone":  {json.RawMessage(`{"a":"\u00e9\/\u003c\uD83D\uDE00\u0041"}`), `{"a":"é/<😀A"}`},
		"escapes demanded": {
			json.RawMessage(`{"a":"\"\\\b\f\n\r\t\u0000\u001F\u007f"}`),
			"{\"a\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"}",
		},
		"numbers to the digit": {
			json.RawMessage(`{"a":[1.00,-0,0.10,123456789012345678901234567890,1E5,1e-05,2.50E+10]}`),
			`{"a":[1.00,0,0.10,123456789012345678901234567890,1e+5,1e-05,2.50e+10]}`,
		},
		"numbers of Go": {map[string]any{
			"a": json.Number("1.50"), "b": 1e21,
			"c": uint64(1<<64 - 1), "d": float32(0.1),
		}, `{"a":1.50,"b":1e+21,"c":18446744073709551615,"d":0.1}`},
		"structs and times": {
			struct{ B, A any }{time.Date(2026, 1, 5, 17, 51, 36, 0, time.UTC), []byte("<>")},
			`{"A":"PD4=","B":"2026-01-05T17:51:36Z"}`,
		},
		"no normalisation": {
			map[string]any{"a": "é e\u0301 \u00c5 \u212b"},
			"{\"a\":\"é e\u0301 \u00c5 \u212b\"}",
		},
		"number with 400 digits": {
			json.RawMessage(`{"a":` + strings.Repeat("9", 400) + `}`),
			`{"a":` + strings.Repeat("9", 400) + `}`,
		},
		"exponent of 400": {json.RawMessage(`{"a":[1e400,1e-400]}`), `{"a":[1e+400,1e-400]}`},
		"nested 64 deep": {
			json.RawMessage(`{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`),
			`{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
		},
		"empty": {struct{}{}, `{}`},
		"1 MiB": {
			json.RawMessage(`{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`),
			`{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`,
		},
		"byte order mark": {json.RawMessage("\ufeff{}"), `{}`},
		"1 MiB of what HTML escapes": {
			map[string]any{"a": strings.Repeat("<>& ", 170_000)},
			`{"a":"` + strings.Repeat("<>& ", 170_000) + `"}`,
		},
		"1,000 KiB of what JSON escapes": {
			map[string]any{"a": strings.Repeat("\"\\", 256_000)},
			`{"a":"` + strings.Repeat(`\"\\`, 256_000) + `"}`,
		},
	}
	want := map[string]string{} // by message id
	for name, tt := range tests {
		message := s.send(webhooks.Event{Type: eventType, Payload: tt.payload})
		p := in.receive(1)[0]
		want[message.ID] = tt.want
		if p.body != tt.want || p.header.Get("Webhook-Id") != message.ID {
			s.Errorf("%s: got %.500s of %s, want %.500s of %s", name, p.body,
				p.header.Get("Webhook-Id"), tt.want, message.ID)
		}
		if _, err := webhooks.VerifyPayload(harness.SecretA, p.header, []byte(p.body)); err != nil {
			s.Errorf("%s: %v", name, err)
		}
		s.wantEqual(name+": Content-Length", strconv.Itoa(len(tt.want)), p.header.Get("Content-Length"))
	}
	for _, e := range s.sentEvents(len(tests),
		s.ListSentEventsForEndpoint(s.Context(), ep, webhooks.SentEventQuery{})) {
		if string(e.Payload) != want[e.MessageID] {
			s.Errorf("listed %.500s, want %.500s", e.Payload, want[e.MessageID])
		}
		s.wantEqual("listed Content-Length", strconv.Itoa(len(want[e.MessageID])), e.Headers.Get("Content-Length"))
	}
}

// TestPayloadsThatCannotBeSent: payloads that no server could take to the byte, and those beyond
// the limits.
func TestPayloadsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	c := offline(t)
	tests := map[string]struct {
		payload any
		text    string // what the error says
	}{
		"nil":                       {nil, "not a JSON object"},
		"number":                    {1, "not a JSON object"},
		"text":                      {"{}", "not a JSON object"},
		"list":                      {[]int{1}, "not a JSON object"},
		"null":                      {json.RawMessage("null"), "not a JSON object"},
		"nil pointer":               {(*webhooks.OriginCreate)(nil), "not a JSON object"},
		"bytes":                     {[]byte("{}"), "not a JSON object"},
		"empty raw text":            {json.RawMessage{}, ""},
		"nil raw text":              {json.RawMessage(nil), ""},
		"blank raw text":            {json.RawMessage(" "), ""},
		"cut off":                   {json.RawMessage(`{"a":`), ""},
		"two objects":               {json.RawMessage(`{}{}`), ""},
		"comma too many":            {json.RawMessage(`{"a":1,}`), ""},
		"leading zero":              {json.RawMessage(`{"a":01}`), ""},
		"not a number":              {json.RawMessage(`{"a":NaN}`), ""},
		"a name of the server's":    {json.RawMessage(`{"a":{"$serde_json::private::Number":"1"}}`), "something else"},
		"byte order mark inside":    {json.RawMessage("{\ufeff}"), ""},
		"key twice":                 {json.RawMessage(`{"a":1,"a":1}`), "two members"},
		"key twice, escaped":        {json.RawMessage(`{"b":{"a":1,"\u0061":2}}`), "two members"},
		"invalid UTF-8":             {json.RawMessage("{\"a\":\"\xff\"}"), "UTF-8"},
		"invalid UTF-8 in a key":    {json.RawMessage("{\"\xc3(\":1}"), "UTF-8"},
		"invalid UTF-8 of Go":       {map[string]any{"a": "\xff"}, "UTF-8"},
		"lone surrogate":            {json.RawMessage(`{"a":"\ud800"}`), "surrogate"},
		"surrogates in wrong order": {json.RawMessage(`{"a":"\udc00\ud800"}`), "surrogate"},
		"nested 65 deep": {json.RawMessage(`{"a":` + strings.Repeat("[", 64) +
			strings.Repeat("]", 64) + `}`), "64"},
		"nested without end":       {json.RawMessage(strings.Repeat(`{"a":`, 100_000)), "64"},
		"401 digits":               {json.RawMessage(`{"a":` + strings.Repeat("9", 401) + `}`), "400"},
		"401 digits with a point":  {json.RawMessage(`{"a":0.` + strings.Repeat("9", 400) + `}`), "400"},
		"exponent of 401":          {json.RawMessage(`{"a":1e401}`), "400"},
		"exponent of -401":         {json.RawMessage(`{"a":1e-401}`), "400"},
		"exponent beyond integers": {json.RawMessage(`{"a":1e99999999999999999999}`), "400"},
		"number of a million":      {map[string]any{"a": json.Number("1e1000000")}, "400"},
		"1 MiB and a byte":         {json.RawMessage(`{"a":"` + strings.Repeat("x", 1<<20-7) + `"}`), "1048576"},
		"1 MiB and a byte of Go":   {map[string]any{"a": strings.Repeat("x", 1<<20-7)}, "1048576"},
		"1 MiB of white space":     {json.RawMessage(`{}` + strings.Repeat(" ", 1<<20)), "1048576"},
		"function":                 {map[string]any{"a": func() {}}, ""},
		"channel":                  {map[string]any{"a": make(chan int)}, ""},
		"infinity":                 {map[string]any{"a": math.Inf(1)}, ""},
		"fails to encode":          {failingMarshaler{}, errMarshal.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message, err := c.SendEvent(t.Context(),
				webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: tt.payload})
			checkError(t, err, webhooks.ErrInvalidPayload, "nothing was sent", tt.text)
			if !message.IsZero() {
				t.Errorf("got the message %v, want none", message)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

var errMarshal = errors.New("cannot be encoded")

type failingMarshaler struct{}

func (failingMarshaler) MarshalJSON() ([]byte, error) { return nil, errMarshal }

// TestSentEventsSayWhatWasDelivered is about what a listing reconstructs; its order and its bounds
// are in TestSentEvents.
func TestSentEventsSayWhatWasDelivered(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]func(s *server){
		"nested and non-ASCII payloads, to the byte": func(s *server) {
			eventType := s.createType("anything", `{}`)
			in := s.newInbox()
			ep := webhooks.Endpoint{URL: in.address + "/", EventType: eventType}
			s.createEndpoints(ep)
			s.send(webhooks.Event{
				Type:    eventType,
				Payload: json.RawMessage(`{"z":{"ö":[1.0,"<&>"],"a":"日本"},"a":"😀\u2028"}`),
			})
			p := in.receive(1)[0]
			e := s.sentEvents(1, s.ListSentEventsForEndpoint(s.Context(), ep, webhooks.SentEventQuery{}))[0]
			s.wantEqual("payload", p.body, string(e.Payload))
			for _, name := range []string{
				"Content-Length", "Content-Type", "Webhook-Id",
				"Webhook-Timestamp", "Webhook-Signature", "X-Swh-Event",
			} {
				s.wantEqual(name, p.header.Get(name), e.Headers.Get(name))
			}
		},
		"expired payload": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("a", ""))
			message := s.sendOrigins(1, "")[0]
			in.receive(1)
			for name, list := range s.bothListings(in.endpoint("a", "")) {
				s.sentEvents(1, list(webhooks.SentEventQuery{}))
				s.raw(http.MethodDelete, application(s.originCreate)+"/msg/"+message.ID+"/content", "", nil)
				e := s.sentEvents(1, list(webhooks.SentEventQuery{}))[0]
				s.wantEqual(name+": payload", `{"expired":true}`, string(e.Payload))
				s.wantEqual(name+": headers",
					[]string{"Content-Type", "Webhook-Id", "Webhook-Timestamp", "X-Swh-Event"}, headerNames(e.Headers))
			}
		},
		"several attempts of a message": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("a", ""))
			message := s.sendOrigins(1, "")[0]
			in.receive(1)
			s.sentEvents(1, s.ListSentEventsForEventType(s.Context(), s.originCreate, webhooks.SentEventQuery{}))
			s.tick()
			s.raw(http.MethodPost, application(s.originCreate)+"/msg/"+message.ID+"/endpoint/"+in.endpoint("a",
				"").UID()+"/resend", "", nil)
			in.receive(1)
			for name, list := range s.bothListings(in.endpoint("a", "")) {
				got := s.sentEvents(2, list(webhooks.SentEventQuery{}))
				if got[0].MessageID != message.ID || got[1].MessageID != message.ID ||
					!got[0].Timestamp.After(got[1].Timestamp) || got[0].AttemptID == got[1].AttemptID {
					s.Errorf("%s: got %+v, want two attempts of %s, newest first", name, got, message.ID)
				}
				only, err := webhooks.Collect(list(webhooks.SentEventQuery{After: got[1].Timestamp}))
				s.must(err)
				s.wantEqual(name+": after the first attempt", got[:1], only)
			}
		},
	})
}

func headerNames(header http.Header) []string {
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestForeignObjectsEndNoListing: what other programs have made on the server never ends a listing.
func TestForeignObjectsEndNoListing(t *testing.T) {
	t.Parallel()
	object := func(pairs ...any) string {
		members := map[string]any{}
		for pair := range slices.Chunk(pairs, 2) {
			members[pair[0].(string)] = pair[1]
		}
		text, err := json.Marshal(members)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	onServers(t, map[string]func(s *server){
		"event types": func(s *server) {
			s.raw(http.MethodPost, "/event-type", object("name", s.group+".none", "description", "No schema"), nil)
			s.raw(http.MethodPost, "/event-type",
				object("name", s.group+".other", "description", "", "schemas", map[string]any{"2": struct{}{}}), nil)
			s.raw(http.MethodPost, "/event-type", object("name", s.group+".too.many.dots", "description", ""), nil)
			s.wantEqual("names", []string{".create", ".none", ".other", ".too.many.dots", ".visit"},
				trimAll(s.typeNames(), s.group))
			s.raw(http.MethodDelete, "/event-type/"+s.group+".too.many.dots", "", nil) // the library cannot
			for _, name := range []string{s.group + ".none", s.group + ".other"} {
				et, err := s.GetEventType(s.Context(), name)
				s.must(err)
				if et.Schema != nil || et.Name != name {
					s.Errorf("got %+v, want it without a schema", et)
				}
			}
		},
		"event type without schema and application": func(s *server) {
			name := s.group + ".none"
			s.raw(http.MethodPost, "/event-type", object("name", name, "description", "No schema"), nil)
			for _, client := range []*webhooks.Client{s.Client, s.newClient(webhooks.WithoutListenerCheck())} {
				message, err := client.SendEvent(s.Context(), webhooks.Event{Type: name, Payload: struct{}{}})
				if err == nil || !message.IsZero() {
					s.Errorf("got %v, %v; want an error: that nobody listens is not known", message, err)
				}
			}
			in := s.newInbox()
			ep := webhooks.Endpoint{URL: in.address + "/a", EventType: name}
			s.wantEqual("endpoints", []webhooks.Endpoint(nil), s.endpoints(name, webhooks.EndpointQuery{}))
			s.sentEvents(0, s.ListSentEventsForEventType(s.Context(), name, webhooks.SentEventQuery{}))
			s.wantError(s.DeleteEndpoint(s.Context(), ep), webhooks.ErrEndpointNotFound)
			s.createEndpoints(ep)
			s.send(webhooks.Event{Type: name, Payload: map[string]any{"anything": true}})
			s.wantEqual("body", `{"anything":true}`, in.receive(1)[0].body)
			_, err := s.SendEvent(s.Context(), webhooks.Event{Type: name, Payload: []int{1}})
			s.wantError(err, webhooks.ErrInvalidPayload)
		},
		"event type with a schema that cannot be used": func(s *server) {
			name := s.group + ".large"
			s.raw(http.MethodPost, "/event-type",
				object("name", name, "description", "", "schemas",
					map[string]any{"1": map[string]any{"title": strings.Repeat("x", 256<<10)}}), nil)
			_, err := s.SendEvent(s.Context(), webhooks.Event{Type: name, Payload: struct{}{}})
			s.wantError(err, webhooks.ErrInvalidSchema, "nothing was sent", name, "256 KiB")
			if slices.Index(s.typeNames(), name) < 0 {
				s.Error("the event type is not listed")
			}
		},
		"endpoints": func(s *server) {
			path := application(s.originCreate) + "/endpoint"
			create := func(pairs ...any) {
				s.tick()
				s.raw(http.MethodPost, path, object(pairs...), nil)
			}
			create("url", "https://example.org/no-types")
			create("url", "https://example.org/other-type", "filterTypes", []string{s.originVisit})
			create("url", "https://example.org/channel", "channels", []string{"a-channel"},
				"filterTypes", []string{s.originCreate, s.originVisit})
			create("url", "https://example.org/channels", "channels", []string{derived(channel1), derived(channel2)},
				"metadata", map[string]string{
					derived(channel1): channel1,
					derived(channel2): channel2, "team": "archive",
				})
			create("url", "https://example.org/disabled", "disabled", true)
			got := s.endpoints(s.originCreate, webhooks.EndpointQuery{Ascending: true})
			if len(got) != 4 {
				s.Fatalf("got %+v, want four endpoints", got)
			}
			of := func(path, channel string) webhooks.Endpoint { return s.endpoint(path, channel) }
			several := of("channels", channel1) // or the other one: the server keeps them in no order
			several.Metadata = map[string]string{"team": "archive", derived(channel2): channel2}
			if got[2].Channel == channel2 {
				several.Channel, several.Metadata = channel2,
					map[string]string{"team": "archive", derived(channel1): channel1}
			}
			disabled := of("disabled", "")
			disabled.Disabled = true
			want := []webhooks.Endpoint{of("no-types", ""), of("channel", "a-channel"), several, disabled}
			s.wantEqual("endpoints", want, got, withoutIDs)
			for channel, want := range map[string]int{channel1: 3, channel2: 3, "a-channel": 2} {
				if got := s.endpoints(s.originCreate, webhooks.EndpointQuery{Channel: channel}); len(got) != want {
					s.Errorf("on channel %s: got %+v, want %d endpoints", channel, got, want)
				}
			}
			if got := s.endpoints(s.originCreate, webhooks.EndpointQuery{NoChannel: true}); len(got) != 2 {
				s.Errorf("on no channel: got %+v, want two endpoints", got)
			}
			s.sendOrigins(1, "") // the one without filter types listens
			for _, ep := range got {
				if s.secret(ep) == "" {
					s.Errorf("%+v has no secret", ep)
				}
				s.must(s.DeleteEndpoint(s.Context(), ep))
			}
		},
		"sent events of deleted endpoints": func(s *server) {
			c := newChannelled(s)
			c.forType(5, webhooks.SentEventQuery{})
			s.must(s.DeleteEndpoint(s.Context(), c.on1))
			got := c.forType(5, webhooks.SentEventQuery{})
			s.wantEqual("channels", []string{"", "", "", "", channel2}, channels(got))
			for _, e := range got {
				p := c.posts[[2]string{e.EndpointURL, e.MessageID}]
				s.wantEqual("payload", p.body, string(e.Payload))
				want := p.header.Get("Webhook-Signature")
				if e.EndpointURL == c.on1.URL {
					want = ""
				}
				s.wantEqual("signature", want, e.Headers.Get("Webhook-Signature"))
			}
			_, err := webhooks.Collect(s.ListSentEventsForEndpoint(s.Context(), c.on1, webhooks.SentEventQuery{}))
			s.wantError(err, webhooks.ErrEndpointNotFound)
		},
		"messages": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("a", ""))
			s.raw(http.MethodPost, application(s.originCreate)+"/msg",
				`{"eventType":"`+s.originCreate+`","payload":{"z": 1.0, "a": {"y": "\u00e9", "x": `+
					`1E2}},"channels":["one","two"]}`, nil)
			p := in.receive(1)[0]
			for name, list := range s.bothListings(in.endpoint("a", "")) {
				e := s.sentEvents(1, list(webhooks.SentEventQuery{}))[0]
				s.wantEqual(name+": payload", `{"a":{"x":1e+2,"y":"é"},"z":1.0}`, string(e.Payload))
				s.wantEqual(name+": message", p.header.Get("Webhook-Id"), e.MessageID)
			}
		},
	})
}

func trimAll(texts []string, prefix string) []string {
	trimmed := slices.Clone(texts)
	for i, text := range texts {
		trimmed[i] = strings.TrimPrefix(text, prefix)
	}
	return trimmed
}

func TestCreatingAgainUpdates(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]func(s *server){
		"metadata and Disabled are updated": func(s *server) {
			ep := s.endpoint("a", channel1)
			ep.Metadata = map[string]string{"team": "archive", "room": "1"}
			s.createEndpoints(ep)
			for _, change := range []func(){
				func() { ep.Metadata, ep.Disabled = map[string]string{"team": "другая"}, true },
				func() { ep.Metadata, ep.Disabled = nil, false },
			} {
				change()
				s.createEndpoints(ep)
				s.wantEqual("endpoint", []webhooks.Endpoint{ep},
					s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
			}
		},
		"other headers stay": func(s *server) {
			in := s.newInbox()
			ep := in.endpoint("a", "")
			s.createEndpoints(ep)
			s.raw(http.MethodPut, application(s.originCreate)+"/endpoint/"+ep.UID()+"/headers",
				`{"headers":{"X-Team":"archive"}}`, nil)
			s.createEndpoints(ep)
			s.sendOrigins(1, "")
			header := in.receive(1)[0].header
			s.wantEqual("headers", []string{"archive", s.originCreate},
				[]string{header.Get("X-Team"), header.Get("X-Swh-Event")})
		},
		"one uid of two descriptions": func(s *server) {
			stored, other := s.endpoint("a", "b-c"), s.endpoint("a-b", "c")
			if stored.UID() != other.UID() {
				s.Fatal("the uids differ: they are no collision")
			}
			stored.Metadata, other.Disabled = map[string]string{"team": "archive"}, true
			s.must(s.CreateEndpoint(s.Context(), stored, harness.SecretA))
			s.wantError(s.CreateEndpoint(s.Context(), other, harness.SecretB),
				webhooks.ErrInvalidEndpoint, "https://example.org/a", "b-c")
			s.wantEqual("endpoint", []webhooks.Endpoint{stored},
				s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
			s.wantEqual("secret", harness.SecretA, s.secret(stored))
		},
		"a URL that the server normalises": func(s *server) {
			ep := webhooks.Endpoint{URL: "HTTPS://EXAMPLE.org:443/a/../b c?q=ä", EventType: s.originCreate}
			s.createEndpoints(ep, ep)
			got := s.endpoints(s.originCreate, webhooks.EndpointQuery{})
			if len(got) != 1 || got[0].URL != "https://example.org/b%20c?q=%C3%A4" {
				s.Errorf("got %+v, want one endpoint with a normalised URL", got)
			}
		},
		"a given secret that is the current one": func(s *server) {
			in := s.newInbox()
			ep := in.endpoint("a", "")
			for range 3 {
				s.must(s.CreateEndpoint(s.Context(), ep, harness.SecretA))
			}
			s.sendOrigins(1, "")
			if signatures := strings.Fields(in.receive(1)[0].header.Get("Webhook-Signature")); len(signatures) != 1 {
				s.Errorf("got %d signatures, want one: the secret did not change", len(signatures))
			}
		},
	})
}

// TestEndpointsThatCannotBe: what cannot be created is refused without a request.
func TestEndpointsThatCannotBe(t *testing.T) {
	t.Parallel()
	c := offline(t)
	tests := map[string]struct {
		endpoint webhooks.Endpoint
		secret   string
		want     error
	}{
		"channel None": {
			webhooks.Endpoint{URL: "https://example.org/", Channel: "None"},
			"",
			webhooks.ErrInvalidEndpoint,
		},
		"no URL":             {webhooks.Endpoint{}, "", webhooks.ErrInvalidEndpoint},
		"URL without scheme": {webhooks.Endpoint{URL: "example.org"}, "", webhooks.ErrInvalidEndpoint},
		"URL without host":   {webhooks.Endpoint{URL: "https://"}, "", webhooks.ErrInvalidEndpoint},
		"other scheme":       {webhooks.Endpoint{URL: "ftp://example.org/"}, "", webhooks.ErrInvalidEndpoint},
		"path":               {webhooks.Endpoint{URL: "/webhook"}, "", webhooks.ErrInvalidEndpoint},
		"not a URL":          {webhooks.Endpoint{URL: "https://exa mple.org:port"}, "", webhooks.ErrInvalidEndpoint},
		"URL not UTF-8":      {webhooks.Endpoint{URL: "https://example.org/caf\xe9"}, "", webhooks.ErrInvalidEndpoint},
		"channel not UTF-8": {
			webhooks.Endpoint{URL: "https://example.org/", Channel: "caf\xe9"}, "", webhooks.ErrInvalidEndpoint,
		},
		"NUL in channel": {
			webhooks.Endpoint{URL: "https://example.org/", Channel: "a\x00"}, "", webhooks.ErrInvalidEndpoint,
		},
		"NUL in metadata": {webhooks.Endpoint{
			URL: "https://example.org/", Metadata: map[string]string{"team\x00": "archive"},
		}, "", webhooks.ErrInvalidEndpoint},
		"metadata too large": {webhooks.Endpoint{
			URL:      "https://example.org/",
			Metadata: map[string]string{"a": strings.Repeat("x", 4089)},
		}, "", webhooks.ErrInvalidEndpoint},
		"metadata with channel too large": {
			webhooks.Endpoint{URL: "https://example.org/", Channel: strings.Repeat("x", 4096)},
			"",
			webhooks.ErrInvalidEndpoint,
		},
		"metadata not UTF-8": {webhooks.Endpoint{
			URL:      "https://example.org/",
			Metadata: map[string]string{"a": "\xff"},
		}, "", webhooks.ErrInvalidEndpoint},
		"secret of no base64": {
			webhooks.Endpoint{URL: "https://example.org/"},
			"whsec_" + strings.Repeat("=", 32), webhooks.ErrInvalidSecret,
		},
		"= in a secret": {
			webhooks.Endpoint{URL: "https://example.org/"},
			"whsec_aaaaaaaa=aaaaaaaaaaaaaaaaaaaaaaa", webhooks.ErrInvalidSecret,
		},
		"secret not padded": {
			webhooks.Endpoint{URL: "https://example.org/"},
			harness.SecretA + "a", webhooks.ErrInvalidSecret,
		},
		"secret too short": {
			webhooks.Endpoint{URL: "https://example.org/"},
			"whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=", webhooks.ErrInvalidSecret,
		},
		"secret too long": {
			webhooks.Endpoint{URL: "https://example.org/"},
			"whsec_" + strings.Repeat("a", 104), webhooks.ErrInvalidSecret,
		},
		"secret with newline": {
			webhooks.Endpoint{URL: "https://example.org/"},
			harness.SecretA + "\n", webhooks.ErrInvalidSecret,
		},
		"secret of no prefix": {
			webhooks.Endpoint{URL: "https://example.org/"},
			strings.Repeat("a", 32), webhooks.ErrInvalidSecret,
		},
		"secret, other prefix": {
			webhooks.Endpoint{URL: "https://example.org/"},
			"whsk_" + strings.Repeat("a", 32), webhooks.ErrInvalidSecret,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.endpoint.EventType = webhooks.TypeOriginCreate
			err := c.CreateEndpoint(t.Context(), tt.endpoint, tt.secret)
			checkError(t, err, tt.want)
			if tt.secret != "" {
				checkError(t, c.RotateEndpointSecret(t.Context(), tt.endpoint, tt.secret), tt.want)
				if strings.Contains(fmt.Sprint(err), strings.TrimSpace(tt.secret)) {
					t.Errorf("the error shows the secret: %v", err)
				}
			}
		})
	}
}

func TestLargestMetadata(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ep := s.endpoint("a", "")
	ep.Metadata = map[string]string{"a": strings.Repeat("x", 4088)} // with {"a":""} 4096 bytes
	s.createEndpoints(ep, ep)
	s.wantEqual("endpoint", []webhooks.Endpoint{ep}, s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
}

func TestRotationLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ep := s.endpoint("a", "")
	s.must(s.CreateEndpoint(s.Context(), ep, harness.SecretA))
	for range 10 {
		s.must(s.RotateEndpointSecret(s.Context(), ep, ""))
	}
	last := s.secret(ep)
	headers := application(s.originCreate) + "/endpoint/" + ep.UID() + "/headers"
	s.raw(http.MethodPut, headers, `{"headers":{}}`, nil)
	for _, secret := range []string{"", harness.SecretA} {
		ep.Metadata, ep.Disabled = map[string]string{"secret": secret}, !ep.Disabled
		err := s.CreateEndpoint(s.Context(), ep, secret)
		s.wantError(err, webhooks.ErrSecretRotationLimit)
		s.wantAPIError(err, http.StatusBadRequest, "limit_reached")
		s.wantEqual("secret", last, s.secret(ep))
		s.wantEqual("endpoint", []webhooks.Endpoint{ep},
			s.endpoints(s.originCreate, webhooks.EndpointQuery{}), withoutIDs)
	}
	var stored struct{ Headers map[string]string }
	s.raw(http.MethodGet, headers, "", &stored)
	s.wantEqual("headers", map[string]string{"X-Swh-Event": s.originCreate}, stored.Headers)
	s.wantError(s.RotateEndpointSecret(s.Context(), ep, ""), webhooks.ErrSecretRotationLimit)
	s.must(s.CreateEndpoint(s.Context(), ep, last)) // changes nothing
}

func TestEventIDMakesASendIdempotent(t *testing.T) {
	t.Parallel()
	onServers(t, map[string]func(s *server){
		"stands for the event": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("a", ""))
			event := s.origin(0, "")
			event.ID = "swh.journal.objects.origin-3-17"
			want := s.send(event)
			in.receive(1)
			want.Repeated = true
			again, other := event, event
			again.Channel, other.Payload = channel1, s.origin(1, "").Payload
			for _, client := range []*webhooks.Client{
				s.Client, s.newClient(),
				s.newClient(webhooks.WithoutListenerCheck()),
			} {
				for _, event := range []webhooks.Event{event, again, other} {
					message, err := client.SendEvent(s.Context(), event)
					s.must(err)
					s.wantEqual("message", want, message)
				}
			}
			s.wantEqual("messages", 1, s.messages(s.originCreate))
			s.sentEvents(1, s.ListSentEventsForEventType(s.Context(), s.originCreate, webhooks.SentEventQuery{}))
			if len(in.posts) != 0 {
				s.Error("the event was delivered twice")
			}
		},
		"of one event type": func(s *server) {
			in := s.newInbox()
			s.createEndpoints(in.endpoint("a", ""), webhooks.Endpoint{URL: in.address, EventType: s.originVisit})
			origin := s.origin(0, "")
			visit := webhooks.Event{Type: s.originVisit, Payload: json.RawMessage(samplePayloads(s.T, 1)[0])}
			origin.ID, visit.ID = "1", "1"
			if a, b := s.send(origin), s.send(visit); a.ID == b.ID {
				s.Errorf("events of two types are one message, %v", a)
			}
			in.receive(2)
		},
		"none: each send is an event": func(s *server) {
			s.createEndpoints(s.endpoint("a", ""))
			for range 3 {
				s.send(s.origin(0, ""))
			}
			s.wantEqual("messages", 3, s.messages(s.originCreate))
		},
		"of every form": func(s *server) {
			s.createEndpoints(s.endpoint("a", ""))
			for _, id := range []string{"a", "...", "-", "_", "MSG_1", strings.Repeat("x", 256)} {
				event := s.origin(0, "")
				event.ID = id
				want := s.send(event)
				want.Repeated = true
				s.wantEqual(id, want, s.send(event))
			}
		},
	})
}

func TestEventIDsThatCannotBe(t *testing.T) {
	t.Parallel()
	c := offline(t)
	for _, id := range []string{
		"msg_1", "msg_", "a b", "a/b", "a:b", "ä", "a\n", "\x00", ".", "..",
		"a+b", strings.Repeat("x", 257),
	} {
		_, err := c.SendEvent(t.Context(),
			webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: webhooks.OriginCreate{}, ID: id})
		checkError(t, err, webhooks.ErrInvalidEvent)
	}
}

func TestListedEndpointsAreAddressedByTheirID(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	in := s.newInbox()
	created := webhooks.Endpoint{URL: in.address, EventType: s.originCreate, Channel: channel1} // without a slash
	s.must(s.CreateEndpoint(s.Context(), created, harness.SecretA))
	listed := s.endpoints(s.originCreate, webhooks.EndpointQuery{})[0]
	if listed.URL != created.URL+"/" || listed.UID() == created.UID() || !strings.HasPrefix(listed.ID, "ep_") {
		s.Fatalf("got %+v, want an ID and the URL with a slash", listed)
	}
	s.wantEqual("secret", harness.SecretA, s.secret(listed))
	s.sendOrigins(1, channel1)
	in.receive(1)
	s.sentEvents(1, s.ListSentEventsForEndpoint(s.Context(), listed, webhooks.SentEventQuery{}))
	listed.Metadata = map[string]string{"team": "archive"}
	s.must(s.CreateEndpoint(s.Context(), listed, harness.SecretB))
	s.must(s.RotateEndpointSecret(s.Context(), listed, harness.SecretA))
	s.must(s.SetEndpointDisabled(s.Context(), listed, true))
	listed.Disabled = true
	s.wantEqual("endpoints", []webhooks.Endpoint{listed},
		s.endpoints(s.originCreate, webhooks.EndpointQuery{}), cmpopts.IgnoreFields(webhooks.Endpoint{}, "UpdatedAt"))
	s.wantEqual("secret by uid", harness.SecretA, s.secret(created))
	s.must(s.DeleteEndpoint(s.Context(), listed))
	s.wantError(s.CreateEndpoint(s.Context(), listed, ""), webhooks.ErrEndpointNotFound) // it is never created anew
	s.wantError(s.DeleteEndpoint(s.Context(), created), webhooks.ErrEndpointNotFound)
	s.wantEqual("endpoints", []webhooks.Endpoint(nil), s.endpoints(s.originCreate, webhooks.EndpointQuery{}))
}

// TestRequestTooLarge: 1 MiB of payload that doubles inside the request's JSON string.
func TestRequestTooLarge(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	client := s.newClient(webhooks.WithoutListenerCheck())
	payload := json.RawMessage(`{"origin_url":"` + strings.Repeat(`\"`, 1<<19-20) + `"}`)
	message, err := client.SendEvent(s.Context(), webhooks.Event{Type: s.originCreate, Payload: payload})
	s.wantError(err, webhooks.ErrInvalidPayload, "nothing was sent")
	if !message.IsZero() {
		s.Errorf("got the message %v, want none", message)
	}
	s.wantEqual("messages", 0, s.messages(s.originCreate))
}

func TestArchivedEventType(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	in := s.newInbox()
	ep := in.endpoint("a", "")
	s.must(s.CreateEndpoint(s.Context(), ep, harness.SecretA))
	s.sendOrigins(1, "")
	in.receive(1)
	s.must(s.DeleteEventType(s.Context(), s.originCreate))

	_, errSend := s.SendEvent(s.Context(), s.origin(0, ""))
	_, errGet := s.GetEventType(s.Context(), s.originCreate)
	_, errList := webhooks.Collect(s.ListEndpoints(s.Context(), s.originCreate, webhooks.EndpointQuery{}))
	for _, err := range []error{errSend, errGet, errList, s.CreateEndpoint(s.Context(), ep, "")} {
		s.wantError(err, webhooks.ErrEventTypeArchived, s.originCreate)
	}
	for name, list := range s.bothListings(ep) {
		_, errs := pairs(list(webhooks.SentEventQuery{}))
		if len(errs) != 1 || !errors.Is(errs[0], webhooks.ErrEventTypeArchived) {
			s.Errorf("%s: got the errors %v, want ErrEventTypeArchived in the only pair", name, errs)
		}
	}
	s.wantEqual("messages", 1, s.messages(s.originCreate))

	s.wantEqual("secret", harness.SecretA, s.secret(ep))
	s.must(s.RotateEndpointSecret(s.Context(), ep, harness.SecretB))
	s.must(s.SetEndpointDisabled(s.Context(), ep, true))
	s.must(s.DeleteEndpoint(s.Context(), ep))
	err := s.DeleteEndpoint(s.Context(), ep)
	s.wantError(err, webhooks.ErrEndpointNotFound)
	if errors.Is(err, webhooks.ErrEventTypeNotFound) {
		s.Errorf("got %v, but the event type exists", err)
	}
	unknown := webhooks.Endpoint{URL: ep.URL, EventType: s.group + ".unknown"}
	err = s.DeleteEndpoint(s.Context(), unknown)
	s.wantError(err, webhooks.ErrEventTypeNotFound)
	if errors.Is(err, webhooks.ErrEndpointNotFound) {
		s.Errorf("got %v, but it is the event type that is missing", err)
	}
}

// TestStoredObjects looks at what the Python module needs to find.
func TestStoredObjects(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, channel := range []string{"", channel1} {
		ep := s.endpoint("a", channel)
		ep.Metadata = map[string]string{"team": "archive"}
		s.createEndpoints(ep)
		message := s.sendOrigins(1, channel)[0]

		var app struct{ UID, Name string }
		s.raw(http.MethodGet, application(s.originCreate), "", &app)
		s.wantEqual("application", []string{derived(s.originCreate), s.originCreate}, []string{app.UID, app.Name})

		type endpoint struct {
			UID, URL    string
			Version     int
			Disabled    bool
			FilterTypes []string
			Channels    []string
			Metadata    map[string]string
		}
		name, channels, metadata := channel, []string(nil), map[string]string{"team": "archive"}
		if channel == "" {
			name = "None"
		} else {
			channels, metadata[derived(channel)] = []string{derived(channel)}, channel
		}
		var stored endpoint
		path := application(s.originCreate) + "/endpoint/" + derived(s.originCreate+"-"+ep.URL+"-"+name)
		s.raw(http.MethodGet, path, "", &stored)
		s.wantEqual("endpoint", endpoint{
			UID: ep.UID(), URL: ep.URL, Version: 1,
			FilterTypes: []string{s.originCreate}, Channels: channels, Metadata: metadata,
		}, stored)
		var headers struct{ Headers map[string]string }
		s.raw(http.MethodGet, path+"/headers", "", &headers)
		s.wantEqual("headers", map[string]string{"X-Swh-Event": s.originCreate}, headers.Headers)

		var sent struct {
			EventType string
			Channels  []string
			Payload   webhooks.OriginCreate
			Timestamp time.Time
		}
		s.raw(http.MethodGet, application(s.originCreate)+"/msg/"+message.ID, "", &sent)
		s.wantEqual("event type and channels of the message", []any{s.originCreate, channels},
			[]any{sent.EventType, sent.Channels})
		s.wantEqual("payload", webhooks.OriginCreate{OriginURL: originURLs(1)[0]}, sent.Payload)
		s.wantEqual("time", message.Timestamp, sent.Timestamp)
	}
	var et struct {
		Description string
		Schemas     map[string]json.RawMessage
	}
	s.raw(http.MethodGet, "/event-type/"+s.originCreate, "", &et)
	if len(et.Schemas) != 1 || et.Schemas["1"] == nil || et.Description != "Of a test" {
		s.Errorf("got the event type %+v, want one schema, of version 1", et)
	}
}

// TestIdentityVectors: the identifiers are those of the Python module.
func TestIdentityVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/vectors/identity.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Endpoints []struct {
			Note          string  `json:"note"`
			EventTypeName string  `json:"event_type_name"`
			URL           string  `json:"url"`
			Channel       *string `json:"channel"`
			EndpointUID   string  `json:"endpoint_uid"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors.Endpoints) == 0 {
		t.Fatalf("read %d vectors: %v", len(vectors.Endpoints), err)
	}
	for _, v := range vectors.Endpoints {
		ep := webhooks.Endpoint{EventType: v.EventTypeName, URL: v.URL}
		if v.Channel != nil {
			if *v.Channel == "" {
				continue // no endpoint has an empty channel; the tests of internal/identity have the vector
			}
			ep.Channel = *v.Channel
		}
		if got := ep.UID(); got != v.EndpointUID {
			t.Errorf("%s: got %s, want %s", v.Note, got, v.EndpointUID)
		}
	}
}

// TestDefaultEventTypes: they are those of the Python module, but for the descriptions.
func TestDefaultEventTypes(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"origin.create": `{"type":"object","title":"origin.create",` +
			`"properties":{"origin_url":{"type":"string","format":"iri"}},"required":["origin_url"]}`,
		"origin.visit": `{"type":"object","title":"origin.visit","properties":{
			"origin_url":{"type":"string","format":"iri"},"visit_type":{"type":"string"},
			"visit_date":{"type":"string","format":"date-time"},
			"visit_status":{"type":"string","enum":["created","ongoing","full","partial","not_found","failed"]},
			"snapshot_swhid":{"type":["string","null"],"pattern":"^swh:1:snp:[0-9a-f]{40}$"}},
			"required":["origin_url","visit_type","visit_date","visit_status","snapshot_swhid"]}`,
	}
	got := webhooks.DefaultEventTypes()
	if len(got) != len(want) || got[0].Name != "origin.create" || got[1].Name != "origin.visit" {
		t.Fatalf("got %+v, want origin.create and origin.visit", got)
	}
	for _, et := range got {
		var schema map[string]any
		if err := json.Unmarshal(et.Schema, &schema); err != nil {
			t.Fatal(err)
		}
		if schema["description"] != et.Description || et.Description == "" {
			t.Errorf("the schema describes itself as %q, the event type as %q", schema["description"], et.Description)
		}
		delete(schema, "description")
		for _, property := range schema["properties"].(map[string]any) {
			delete(property.(map[string]any), "description")
		}
		if diff := cmp.Diff(exactJSON(t, want[et.Name]), any(schema)); diff != "" {
			t.Errorf("schema of %s (-want +got):\n%s", et.Name, diff)
		}
	}
	got[0].Schema[0] = 'x'
	if webhooks.DefaultEventTypes()[0].Schema[0] != '{' {
		t.Error("what the caller changes is changed for all")
	}
}

// TestDefaultSchemas sends what the default schemas accept and refuse.
func TestDefaultSchemas(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	client := s.newClient(webhooks.WithoutListenerCheck())
	const visit = `{"origin_url":"u","visit_type":"git","visit_date":"d","visit_status":"full","snapshot_swhid":null}`
	with := func(old, changed string) string { return strings.Replace(visit, old, changed, 1) }
	tests := map[string]struct {
		eventType, payload string
		path               string // of the violation; "-": none
	}{
		"origin":                    {s.originCreate, `{"origin_url":"not an IRI"}`, "-"},
		"origin with other members": {s.originCreate, `{"origin_url":"u","x":{"y":[1]}}`, "-"},
		"origin without URL":        {s.originCreate, `{}`, ""},
		"origin with number":        {s.originCreate, `{"origin_url":1}`, "/origin_url"},
		"visit":                     {s.originVisit, visit, "-"},
		"visit with snapshot": {
			s.originVisit,
			with("null", `"swh:1:snp:0123456789abcdef0123456789abcdef01234567"`), "-",
		},
		"snapshot too short": {
			s.originVisit,
			with("null", `"swh:1:snp:0123456789abcdef0123456789abcdef0123456"`), "/snapshot_swhid",
		},
		"snapshot and newline": {
			s.originVisit,
			with("null", `"swh:1:snp:0123456789abcdef0123456789abcdef01234567\n"`), "/snapshot_swhid",
		},
		"snapshot in upper case": {
			s.originVisit,
			with("null", `"swh:1:snp:0123456789ABCDEF0123456789abcdef01234567"`), "/snapshot_swhid",
		},
		"no snapshot":    {s.originVisit, with(`,"snapshot_swhid":null`, ""), ""},
		"unknown status": {s.originVisit, with("full", "done"), "/visit_status"},
		"no visit type":  {s.originVisit, with(`"git"`, "null"), "/visit_type"},
	}
	for name, tt := range tests {
		_, err := client.SendEvent(s.Context(),
			webhooks.Event{Type: tt.eventType, Payload: json.RawMessage(tt.payload)})
		var refused *webhooks.PayloadError
		switch {
		case tt.path == "-" && err != nil:
			s.Errorf("%s: got the error %v, want none", name, err)
		case tt.path != "-" && (!errors.As(err, &refused) || refused.Violations[0].Path != tt.path):
			s.Errorf("%s: got %v, want a violation at %q", name, err, tt.path)
		}
	}
}

// TestWrongToken: every operation says what the server says.
func TestWrongToken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const wrong = "not-a-token-of-this-server"
	client := s.newClient(webhooks.WithAuthToken(wrong))
	for name, do := range harness.Operations() {
		err := do(s.Context(), client)
		s.wantAPIError(err, http.StatusUnauthorized, "authentication_failed")
		if err != nil && (strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "Invalid token")) {
			s.Errorf("%s: the error shows the token, or not what is wrong: %v", name, err)
		}
	}
}

func TestServerDown(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(down.URL), webhooks.WithAuthToken("token"),
		webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 2, MaxBackoff: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range harness.Operations() {
		err := do(t.Context(), client)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: got %v, want the refused connection", name, err)
		}
		if api := (*webhooks.APIError)(nil); errors.As(err, &api) {
			t.Errorf("%s: got %v, but there was no answer", name, err)
		}
	}
}

// The SDK casts http.DefaultTransport, which a program may have replaced.
func TestNewClientWithAnotherDefaultTransport(t *testing.T) {
	original := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = original })
	http.DefaultTransport = harness.RoundTripFunc(original.RoundTrip)
	_, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(fileURL), webhooks.WithAuthToken(fileToken))
	checkConfigError(t, err, "http.DefaultTransport", "WithHTTPClient")
}

// TestHTTPClient: what the caller's client has is used, but never changed.
func TestHTTPClient(t *testing.T) {
	t.Parallel()
	redirecting := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	t.Cleanup(redirecting.Close)
	given := redirecting.Client()
	given.Timeout = time.Hour
	before := *given
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(redirecting.URL), webhooks.WithAuthToken(fileToken),
		webhooks.WithHTTPClient(given))
	if err != nil {
		t.Fatal(err)
	}
	var api *webhooks.APIError
	if _, err := client.GetEventType(t.Context(), "a.b"); !errors.As(err, &api) || api.StatusCode != http.StatusFound {
		t.Errorf("got %v, want an APIError of status 302", err)
	}
	if given.Transport != before.Transport || given.Timeout != before.Timeout ||
		given.CheckRedirect != nil || given.Jar != nil {
		t.Errorf("the caller's client was changed: %+v, it was %+v", given, before)
	}
}

// TestRequestsOnTheWire: what the server is asked.
func TestRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	const (
		app      = "/app/e843df9e-aff7-5de9-829a-bb1c2311b4cc" // of origin.create, by the vectors
		uid      = app + "/endpoint/3ae15672-268a-5ff1-a151-529a789e8bf1"
		hook     = app + "/endpoint/ID"
		hookURL  = "https://example.org/webhook"
		channels = "b84ed8ed-a7b1-502f-83f6-90132e68adef" // of "foo"

		settingUp = "being set up by swh-webhooks; creating it again completes it"
	)
	ep := webhooks.Endpoint{
		URL: hookURL, EventType: webhooks.TypeOriginCreate,
		Metadata: map[string]string{"team": "archive"},
	}
	collect := func(_ any, err error) error { return err }
	before := time.Date(2026, 11, 1, 10, 0, 0, 1, time.UTC)
	tests := map[string]struct {
		do   harness.Operation
		want []string // the requests, without those for the event type
	}{
		"C.1 event type create": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEventType(ctx,
					webhooks.EventType{
						Name: webhooks.TypeOriginCreate, Description: "D",
						Schema: json.RawMessage(`{"type": "object"}`),
					})
			},
			[]string{
				`POST /app?get_if_exists=true {"name":"origin.create","uid":"e843df9e-aff7-5de9-829a-bb1c2311b4cc"}`,
				`PUT /event-type/origin.create {"description":"D","schemas":{"1":{"type":"object"}}}`,
			},
		},
		"C.3 event type list": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListEventTypes(ctx)))
			},
			[]string{"GET /event-type?limit=250&with_content=true"},
		},
		"C.4 event type delete": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.DeleteEventType(ctx, webhooks.TypeOriginCreate)
			},
			[]string{"DELETE /event-type/origin.create"},
		},
		"C.5 endpoint create, disabled until its header is set": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.CreateEndpoint(ctx,
					webhooks.Endpoint{
						URL: hookURL, EventType: webhooks.TypeOriginCreate,
						Channel: "foo", Metadata: map[string]string{"team": "archive"},
					}, harness.SecretB)
			},
			[]string{
				`POST ` + app + `/endpoint {"channels":["` + channels +
					`"],"description":"` + settingUp +
					`","disabled":true,"filterTypes":["origin.create"],"metadata":{"` + channels +
					`":"foo","team":"archive"},"secret":"` + harness.SecretB +
					`","uid":"2a1f7da5-8958-56c4-904a-15829860258c","url":"` + hookURL + `","version":1}`,
				`PATCH ` + hook + `/headers {"headers":{"X-Swh-Event":"origin.create"}}`,
				`PATCH ` + hook + ` {"description":"","disabled":false,"filterTypes":["origin.create"],"metadata":{"` +
					channels + `":"foo","team":"archive"}}`,
			},
		},
		"C.5 endpoint create, existing": {
			func(ctx context.Context, c *webhooks.Client) error { return c.CreateEndpoint(ctx, ep, harness.SecretB) },
			[]string{
				`POST ` + app + `/endpoint ` +
					`{"description":"` + settingUp +
					`","disabled":true,"filterTypes":["origin.create"],"metadata":{"team":"archive"},"secret":"` +
					harness.SecretB + `","uid":"3ae15672-268a-5ff1-a151-529a789e8bf1","url":"` +
					hookURL + `","version":1}`,
				"GET " + uid, "GET " + hook + "/secret",
				`POST ` + hook + `/secret/rotate {"key":"` + harness.SecretB + `"}`,
				`PATCH ` + hook + `/headers {"headers":{"X-Swh-Event":"origin.create"}}`,
				`PATCH ` + hook + ` {"disabled":false,"filterTypes":["origin.create"],"metadata":{"team":"archive"}}`,
			},
		},
		"C.6 endpoint list": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListEndpoints(ctx, webhooks.TypeOriginCreate,
					webhooks.EndpointQuery{Ascending: true, Channel: "foo"})))
			},
			[]string{"GET " + app + "/endpoint?limit=250&order=ascending"},
		},
		"C.6 endpoint list, newest first": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListEndpoints(ctx, webhooks.TypeOriginCreate,
					webhooks.EndpointQuery{})))
			},
			[]string{"GET " + app + "/endpoint?limit=250&order=descending"},
		},
		"C.7 endpoint secret": {
			func(ctx context.Context, c *webhooks.Client) error { return collect(c.GetEndpointSecret(ctx, ep)) },
			[]string{"GET " + uid, "GET " + hook + "/secret"},
		},
		"C.8 endpoint delete": {
			func(ctx context.Context, c *webhooks.Client) error { return c.DeleteEndpoint(ctx, ep) },
			[]string{"GET " + uid, "DELETE " + hook},
		},
		"C.9 send": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(c.SendEvent(ctx,
					webhooks.Event{
						Type: webhooks.TypeOriginCreate, Channel: "foo", ID: "1",
						Payload: webhooks.OriginCreate{OriginURL: "é<"},
					}))
			},
			[]string{
				"GET " + app + "/endpoint?limit=25",
				`POST ` + app + `/msg?with_content=false {"channels":["` + channels +
					`"],"eventId":"1","eventType":"origin.create","payload":{},"payloadRetentionPeriod":90,` +
					`"transformationsParams":{"rawPayload":"{\"origin_url\":\"é<\"}"}}`,
			},
		},
		"C.10 sent events of an endpoint": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListSentEventsForEndpoint(ctx, ep,
					webhooks.SentEventQuery{Channel: "foo", Before: before, Limit: 7})))
			},
			[]string{
				"GET " + uid, "GET " + app + "/attempt/endpoint/ID" +
					"?before=2026-11-01T10:00:01Z&channel=" + channels + "&expanded_statuses=true&limit=7",
			},
		},
		"C.11 sent events of an event type": {
			func(ctx context.Context, c *webhooks.Client) error {
				return collect(webhooks.Collect(c.ListSentEventsForEventType(ctx,
					webhooks.TypeOriginCreate,
					webhooks.SentEventQuery{
						Channel: "foo", Before: before,
						After: before.Add(-time.Hour), IncludeDeleted: true,
					})))
			},
			[]string{
				"GET " + app + "/msg?after=2026-10-30T09:00:00Z&before=2026-11-01T10:00:01Z&channel=" +
					channels + "&limit=250",
			},
		},
		"rotate": {
			func(ctx context.Context, c *webhooks.Client) error { return c.RotateEndpointSecret(ctx, ep, "") },
			[]string{"GET " + uid, "POST " + hook + "/secret/rotate {}"},
		},
		"disable": {
			func(ctx context.Context, c *webhooks.Client) error {
				return c.SetEndpointDisabled(ctx, ep, true)
			},
			[]string{"GET " + uid, `PATCH ` + hook + ` {"disabled":true}`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			mock.Handle(hookURL, http.NotFoundHandler())
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			// which caches the event type
			if err := client.CreateEndpoint(t.Context(), ep, harness.SecretA); err != nil {
				t.Fatal(err)
			}
			made := len(mock.Requests())
			if err := tt.do(t.Context(), client); err != nil && !errors.Is(err, webhooks.ErrEndpointNotFound) {
				t.Fatal(err)
			}
			var got []string
			for _, r := range mock.Requests()[made:] {
				got = append(got, requestLine(t, r))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// requestLine is a request in one line; the members of its body are sorted.
var svixEndpointID = regexp.MustCompile(`ep_[0-9A-Za-z]{27}`)

func requestLine(t *testing.T, r svixmock.Request) string {
	t.Helper()
	line := r.Method + " " + svixEndpointID.ReplaceAllString(strings.TrimPrefix(r.Path, "/api/v1"), "ID")
	if r.RawQuery != "" {
		line += "?" + strings.ReplaceAll(r.RawQuery, "%3A", ":")
	}
	if len(r.Body) == 0 {
		return line
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(exactJSON(t, string(r.Body))); err != nil {
		t.Fatal(err)
	}
	return line + " " + strings.TrimSpace(text.String())
}

// TestRetry is the two checks of the Python module and the defaults of RetryPolicy.
func TestRetry(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		times  int
		fault  svixmock.Fault
		status int           // of the error; 0: none
		most   time.Duration // that it takes
		least  time.Duration
	}{
		"two errors, then success":   {2, svixmock.Fault{Status: 500}, 0, 1500 * time.Millisecond, 0},
		"three errors, then success": {3, svixmock.Fault{Status: 503}, 0, 3500 * time.Millisecond, 0},
		"errors to the end": {
			4,
			svixmock.Fault{Status: 500, Body: `{"code":"last","detail":"d"}`},
			500, 3500 * time.Millisecond, 0,
		},
		"connections reset":  {3, svixmock.Fault{Reset: true}, 0, 3500 * time.Millisecond, 0},
		"no answer for 15 s": {1, svixmock.Fault{Hang: true}, 0, 15500 * time.Millisecond, 15 * time.Second},
		"Retry-After": {
			1,
			svixmock.Fault{Status: 429, Header: http.Header{"Retry-After": {"20"}}},
			0,
			20500 * time.Millisecond, 20 * time.Second,
		},
		"Retry-After beyond MaxBackoff": {
			1,
			svixmock.Fault{Status: 503, Header: http.Header{"Retry-After": {"3600"}}},
			0,
			30 * time.Second, 30 * time.Second,
		},
		"what is not worth a retry": {1, svixmock.Fault{Status: 501}, 501, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
				mock.FailNext(tt.times, tt.fault)
				start := time.Now()
				message, err := client.SendEvent(t.Context(), harness.KnownEvent())
				if took := time.Since(start); took < tt.least || took > tt.most {
					t.Errorf("took %v, want %v to %v", took, tt.least, tt.most)
				}
				var api *webhooks.APIError
				switch {
				case tt.status == 0 && (err != nil || message.IsZero()):
					t.Errorf("got %v, %v; want a message", message, err)
				case tt.status != 0 && (!errors.As(err, &api) || api.StatusCode != tt.status):
					t.Errorf("got the error %v, want an APIError of status %d", err, tt.status)
				}
			})
		})
	}
}

// TestRetriedStatuses makes the first request of every operation meet each status.
func TestRetriedStatuses(t *testing.T) {
	t.Parallel()
	retried := []int{408, 425, 429, 500, 502, 503, 504}
	for _, status := range append(retried, 400, 401, 402, 403, 405, 406, 410, 413, 414, 418, 422,
		431, 451, 501, 505, 507, 511, 520, 599) {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					before := len(mock.Requests())
					mock.FailNext(1, svixmock.Fault{Status: status})
					err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token(),
						webhooks.WithCacheTTL(0)))
					made := mock.Requests()[before:]
					sent := slices.IndexFunc(made, func(r svixmock.Request) bool { return r.Status == status })
					again := slices.ContainsFunc(made[sent+1:], func(r svixmock.Request) bool {
						return r.Method == made[sent].Method && r.Path == made[sent].Path
					})
					switch wanted := slices.Contains(retried, status); {
					case wanted && (err != nil || !again):
						t.Errorf("%s: got the error %v after %d requests, want a retry that succeeds",
							name, err, len(made))
					case !wanted && err == nil:
						t.Errorf("%s: got no error", name)
					case !wanted && len(made) > 1 && name != "SendEvents": // which goes on to its second event
						t.Errorf("%s: the request was made again", name)
					}
				})
			}
		})
	}
}

// TestLoggerSeesRetries, and no secret.
func TestLoggerSeesRetries(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		var logged bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithLogger(logger))
		mock.FailNext(1, svixmock.Fault{Status: 503, Body: mock.Token()})
		event := harness.KnownEvent()
		event.Payload = map[string]any{"origin_url": "not to be logged"}
		if _, err := client.SendEvent(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		if got := logged.String(); !strings.Contains(got, "503") ||
			strings.Contains(got, mock.Token()) || strings.Contains(got, "not to be") {
			t.Errorf("logged %q, want the status 503, neither the token nor the payload", got)
		}
	})
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	before := len(mock.Requests())
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() { _, _ = client.GetEventType(t.Context(), webhooks.TypeOriginCreate) })
	}
	running.Wait()
	for _, r := range mock.Requests()[before:] {
		if got := r.Header.Get("User-Agent"); !strings.HasPrefix(got, "svix-libs/") ||
			strings.Count(got, "swh-webhooks-go") != 1 {
			t.Errorf("got the user agent %q, want that of the SDK with swh-webhooks-go", got)
		}
	}
}

// TestVectorsOnTheWire: the identifiers of the Python module are what is asked for, as far as names
// can be those of the vectors.
func TestVectorsOnTheWire(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	want := map[string]string{
		"my-group_1.some-event_2": "4d3d93b6-c064-5867-a55c-dcebb2f7c3fb",
		"Group9.EVENT-7":          "f006c8f3-2703-5b43-ac54-275afb3be639",
		"a.b":                     "0e7af403-ee0d-594b-ab31-08b1c687f2fa",
		webhooks.TypeOriginCreate: "e843df9e-aff7-5de9-829a-bb1c2311b4cc",
		webhooks.TypeOriginVisit:  "21dacaea-7e38-5e52-80af-4d926f0c43d1",
	}
	for name := range want {
		if err := client.CreateEventType(t.Context(),
			webhooks.EventType{Name: name, Schema: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	var page struct {
		Data []struct{ Name, UID string }
	}
	harness.RawGet(t, mock, "/api/v1/app?limit=250", &page)
	got := map[string]string{}
	for _, app := range page.Data {
		got[app.Name] = app.UID
	}
	if diff := cmp.Diff(want, got); diff != "" || len(page.Data) != len(maps.Clone(want)) {
		t.Errorf("applications (-want +got):\n%s", diff)
	}
}

// hostileIDs are values that change where a request goes if they reach its path as they are.
func hostileIDs() []string {
	return []string{
		"", ".", "..", "/", "a/b", "../app", "a.b/..", "a.b/../../app", "a?b=c", "a.b?expunge=true",
		"a.b#", "a%2Fb", "a.b%2e%2e", "100%", "a%zz",
		"a\nb", "a.b\r\nX-Evil: 1", "a b", "a.b ", "é.é", "{app_id}", "{endpoint_id}",
		"{event_type_name}", "a.b\x00", "\xff", "a\\b", "a;b", "a.b:80", "//svix.test",
		strings.Repeat("a", 300), strings.Repeat("a", 300) + ".b",
	}
}

var plainSegment = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)

// checkPaths checks that requests went where the API has its routes.
func checkPaths(t *testing.T, requests []svixmock.Request) {
	t.Helper()
	for _, r := range requests {
		for segment := range strings.SplitSeq(strings.TrimPrefix(r.Path, "/"), "/") {
			if !plainSegment.MatchString(segment) || strings.Trim(segment, ".") == "" {
				t.Errorf("%s %s has the segment %q", r.Method, r.Path, segment)
			}
		}
		if strings.Contains(r.RawQuery, "expunge") || r.Header.Get("X-Evil") != "" {
			t.Errorf("%s %s?%s with the headers %v", r.Method, r.Path, r.RawQuery, r.Header)
		}
	}
}

// TestHostileArgumentsReachNoPath: no name and no id that could change a request's path leads to a
// request at all.
func TestHostileArgumentsReachNoPath(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	ctx, sent := t.Context(), len(mock.Requests())
	for _, id := range hostileIDs() {
		withType := webhooks.Endpoint{URL: harness.HookURL, EventType: id}
		_, errGet := client.GetEventType(ctx, id)
		_, errSecret := client.GetEndpointSecret(ctx, withType)
		_, errSend := client.SendEvent(ctx, webhooks.Event{Type: id, Payload: map[string]any{}})
		_, errList := webhooks.Collect(client.ListEndpoints(ctx, id, webhooks.EndpointQuery{}))
		_, errSent := webhooks.Collect(client.ListSentEventsForEventType(ctx, id, webhooks.SentEventQuery{}))
		_, errSentTo := webhooks.Collect(client.ListSentEventsForEndpoint(ctx, withType, webhooks.SentEventQuery{}))
		for _, err := range []error{
			errGet, errSecret, errSend, errList, errSent, errSentTo,
			client.DeleteEventType(ctx, id), client.CreateEndpoint(ctx, withType, ""),
			client.DeleteEndpoint(ctx, withType), client.RotateEndpointSecret(ctx, withType, ""),
			client.SetEndpointDisabled(ctx, withType, true),
		} {
			checkError(t, err, webhooks.ErrEventTypeNotFound)
		}
		checkError(t, client.CreateEventType(ctx, webhooks.EventType{Name: id, Schema: []byte(`{}`)}),
			webhooks.ErrInvalidEventTypeName)
		if id == "" {
			continue // no ID
		}
		withID := webhooks.Endpoint{URL: harness.HookURL, EventType: webhooks.TypeOriginCreate, ID: id}
		_, errSecret = client.GetEndpointSecret(ctx, withID)
		_, errSentTo = webhooks.Collect(client.ListSentEventsForEndpoint(ctx, withID, webhooks.SentEventQuery{}))
		for _, err := range []error{
			errSecret, errSentTo, client.CreateEndpoint(ctx, withID, ""), client.DeleteEndpoint(ctx, withID),
			client.RotateEndpointSecret(ctx, withID, ""), client.SetEndpointDisabled(ctx, withID, true),
		} {
			checkError(t, err, webhooks.ErrInvalidEndpoint)
		}
		event := harness.KnownEvent()
		event.ID = id
		if _, err := client.SendEvent(ctx, event); !plainSegment.MatchString(id) || strings.Trim(id, ".") == "" {
			checkError(t, err, webhooks.ErrInvalidEvent)
		}
	}
	if got := mock.Requests()[sent:]; len(got) != 0 {
		t.Errorf("%d requests were made, the first of them %s %s", len(got), got[0].Method, got[0].Path)
	}
}

// TestHostileTextsAreHashed: what an endpoint's uid is derived from may hold anything.
func TestHostileTextsAreHashed(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	sent := len(mock.Requests())
	for _, text := range hostileIDs() {
		ep := webhooks.Endpoint{URL: text, EventType: webhooks.TypeOriginCreate, Channel: text}
		if err := client.DeleteEndpoint(t.Context(), ep); !errors.Is(err, webhooks.ErrEndpointNotFound) &&
			!errors.Is(err, webhooks.ErrInvalidEndpoint) {
			t.Errorf("%q: got %v", text, err)
		}
		event := harness.KnownEvent()
		event.Channel = text
		_, err := client.SendEvent(t.Context(), event)
		if !utf8.ValidString(text) {
			checkError(t, err, webhooks.ErrInvalidEvent)
		} else if err != nil {
			t.Errorf("%q: got %v", text, err)
		}
	}
	checkPaths(t, mock.Requests()[sent:])
	if left := harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate); len(left) != 1 {
		t.Errorf("%d endpoints are left, want the known one", len(left))
	}
}

// TestHostileIDsOfTheServerReachNoPath: ids of the server's go into paths as well.
func TestHostileIDsOfTheServerReachNoPath(t *testing.T) {
	t.Parallel()
	for _, id := range hostileIDs() {
		quoted, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"", "ep_", "msg_"} {
			hostile := string(quoted[:1]) + prefix + string(quoted[1:])
			item := `{"id":` + hostile + `,"msgId":` + hostile + `,"endpointId":` + hostile +
				`,"url":"http://receiver.test/","timestamp":"2026-11-23T09:00:00Z"}`
			mock := harness.NewServer(t, svixmock.Config{})
			sent := len(mock.Requests())
			mock.FailRate(1, 1, svixmock.Fault{
				Status: http.StatusOK, Body: `{"data":[` + item + `],"iterator":null,"done":true}`,
				Only: func(r *http.Request) bool { return r.URL.Query().Has("limit") },
			})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			_, errEndpoint := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(),
				harness.KnownEndpoint(), webhooks.SentEventQuery{}))
			_, errType := webhooks.Collect(client.ListSentEventsForEventType(t.Context(),
				webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
			endpoints, errList := webhooks.Collect(client.ListEndpoints(t.Context(),
				webhooks.TypeOriginCreate, webhooks.EndpointQuery{}))
			if err := errors.Join(errEndpoint, errType, errList); err != nil {
				t.Errorf("%s: %v", hostile, err)
			}
			for _, ep := range endpoints {
				_ = client.SetEndpointDisabled(t.Context(), ep, true) // where it goes is what matters
			}
			checkPaths(t, mock.Requests()[sent:])
		}
	}
}

// TestNoMemberIsLostOrNull: what is empty is neither left out, where that means "all", nor sent as
// null; and the caller's values stay as they are.
func TestNoMemberIsLostOrNull(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		for name, do := range harness.Operations() {
			mock := harness.NewServer(t, svixmock.Config{})
			if err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token())); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, r := range mock.Requests() {
				checkBody(t, r)
			}
		}
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		empty := webhooks.Endpoint{
			URL:       "http://receiver.test/empty",
			EventType: webhooks.TypeOriginCreate, Metadata: map[string]string{},
		}
		for range 2 {
			if err := client.CreateEndpoint(t.Context(), empty, ""); err != nil {
				t.Fatal(err)
			}
		}
		if len(empty.Metadata) != 0 {
			t.Errorf("the caller's metadata became %v", empty.Metadata)
		}
		for _, r := range mock.Requests() {
			checkBody(t, r)
		}
	})
}

// checkBody checks what every body of a request must hold.
func checkBody(t *testing.T, r svixmock.Request) {
	t.Helper()
	if keys := r.Header.Values("Idempotency-Key"); len(keys) != 0 {
		t.Errorf("%s %s has the keys %q, want none: one that was cut off stays locked", r.Method, r.Path, keys)
	}
	if len(r.Body) == 0 {
		return
	}
	var body map[string]any
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	for member, value := range body {
		if value == nil || value == "" && member != "description" {
			t.Errorf("%s %s has the member %s: %v", r.Method, r.Path, member, value)
		}
	}
	for _, filter := range []string{"filterTypes", "channels"} {
		if list, ok := body[filter].([]any); body[filter] != nil && (!ok || len(list) != 1) {
			t.Errorf("%s %s has the %s %v", r.Method, r.Path, filter, body[filter])
		}
	}
	if _, ok := body["filterTypes"]; strings.HasSuffix(r.Path, "/endpoint") && !ok {
		t.Errorf("%s %s creates an endpoint for all event types: %s", r.Method, r.Path, r.Body)
	}
}

// TestTimeoutsOfTriesAreNotTheCallers: a try that takes too long is tried again, and looks neither
// like the caller's deadline nor takes four times as long.
func TestTimeoutsOfTriesAreNotTheCallers(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		mock.FailRate(1, 1, svixmock.Fault{Hang: true})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
			webhooks.WithHTTPClient(&http.Client{Transport: mock.RoundTripper(), Timeout: 2 * time.Second}),
			webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 3, MaxBackoff: time.Millisecond}))
		start := time.Now()
		_, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate)
		if took := time.Since(start).Round(time.Second); took != 6*time.Second {
			t.Errorf("took %v, want 3 tries of 2s", took)
		}
		if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want an error that is not the context's", err)
		}
	})
}
