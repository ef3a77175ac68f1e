package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// The tests of this file are named after the traps of the libraries below, which
// are numbered as in the project's notes on them, and show that the client does
// not lead into them. Those of internal/transport and internal/schema that are
// named so show the same closer to the libraries.

// loaded is a configuration file of the given text, loaded.
func loaded(t *testing.T, text string) (webhooks.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return webhooks.LoadConfig(path)
}

// manyKeys is a mapping, indented.
func manyKeys(n int, indentation string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%s%x:\n", indentation, i)
	}
	return text.String()
}

// TestYFilesThatAreRefused: what the YAML library lets pass, or chokes on.
func TestYFilesThatAreRefused(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":                   {"webhooks: {evnt_retention_period: 5}", `line 1: unknown key "evnt_retention_period"`},
		"unknown key below":             {"webhooks: {svix: {server_ulr: http://svix.test}}", `unknown key "server_ulr"`},
		"key in capitals":               {"webhooks: {svix: {Server_URL: http://svix.test}}", `unknown key "Server_URL"`},
		"all unknown keys at once":      {"webhooks:\n  a: 1\n  svix:\n    b: 2\n", `line 2: unknown key "a"; line 4: unknown key "b"`},
		"key twice":                     {"webhooks:\n  svix: {}\n  svix: {}\n", `mapping key "svix" already defined at line 2`},
		"nothing":                       {"", "the file is empty"},
		"blanks":                        {"  \n\n", "the file is empty"},
		"comments":                      {"# webhooks:\n", "the file is empty"},
		"second document":               {"webhooks: {}\n---\nwebhooks: {}\n", "more than one YAML document"},
		"empty second document":         {"webhooks: {}\n---\n", "more than one YAML document"},
		"billion laughs in webhooks":    {laughs.String() + "webhooks: {svix: *a9}\n", "want a mapping"},
		"billion laughs in the token":   {laughs.String() + "webhooks: {svix: {auth_token: *a9}}\n", "want a text"},
		"nesting":                       {"webhooks: " + strings.Repeat("[", 20_000), "exceeded max depth"},
		"anchor that contains itself":   {"webhooks: {svix: {auth_token: &a {b: *a}}}\n", "want a text"},
		"many keys":                     {manyKeys(20_000, ""), "keys, at most 2000"},
		"many keys below webhooks":      {"webhooks:\n" + manyKeys(20_000, " "), "keys, at most 2000"},
		"many keys below svix":          {"webhooks:\n svix:\n" + manyKeys(20_000, "  "), "keys, at most 2000"},
		"many keys by an alias":         {"other: &o\n" + manyKeys(20_000, " ") + "webhooks: *o\n", "keys, at most 2000"},
		"file too large":                {"webhooks: {}\n#" + strings.Repeat("x", 1<<20), "larger than 1 MiB"},
		"tab":                           {"webhooks:\n\tsvix: {}\n", "not YAML"},
		"octal that is too large":       {"webhooks: {event_retention_period: 0o17777777777777777777777}", "event_retention_period"},
		"infinity":                      {"webhooks: {event_retention_period: .inf}", "found a fraction"},
		"day as a date":                 {"webhooks: {event_retention_period: 2024-01-01}", "event_retention_period"},
		"fraction":                      {"webhooks: {event_retention_period: 5.5}", "found a fraction"},
		"truth as a number":             {"webhooks: {event_retention_period: yes}", "event_retention_period"},
		"token that is a mapping":       {"webhooks: {svix: {auth_token: {a: b}}}", "want a text"},
		"keys that are not texts":       {"webhooks: {1: 2, [a]: b}", "line 1"},
		"merge of what is no mapping":   {"webhooks: {<<: 1}", "not YAML"},
		"binary that is not base64":     {"webhooks: {svix: {auth_token: !!binary '*'}}", "not YAML"},
		"server that is not normalised": {"webhooks: {svix: {server_url: 'http://svix.test/?a=b'}}", "query"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loaded(t, test.text)
			checkError(t, err, webhooks.ErrInvalidConfig, test.want)
		})
	}
}

// TestYFilesThatMeanWhatTheySay: scalars that YAML reads as something else are
// the texts that were written.
func TestYFilesThatMeanWhatTheySay(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	token := func(text string) webhooks.Config {
		return webhooks.Config{Svix: webhooks.SvixConfig{AuthToken: webhooks.Secret(text)}}
	}
	period := func(days int) webhooks.Config { return webhooks.Config{EventRetentionPeriod: days} }
	for name, test := range map[string]struct {
		text string
		want webhooks.Config
	}{
		"token like a fraction":       {"webhooks: {svix: {auth_token: 1.10}}", token("1.10")},
		"token like a date":           {"webhooks: {svix: {auth_token: 2024-01-01}}", token("2024-01-01")},
		"token like octal":            {"webhooks: {svix: {auth_token: 017}}", token("017")},
		"token like a truth":          {"webhooks: {svix: {auth_token: yes}}", token("yes")},
		"token like a large number":   {"webhooks: {svix: {auth_token: 12345678901234567890123}}", token("12345678901234567890123")},
		"no token":                    {"webhooks: {svix: {auth_token: null}}", webhooks.Config{}},
		"hexadecimal":                 {"webhooks: {event_retention_period: 0x1e}", period(30)},
		"null":                        {"webhooks: {event_retention_period: ~}", webhooks.Config{}},
		"by a merge":                  {"base: &b {event_retention_period: 7}\nwebhooks: {<<: *b}\n", period(7)},
		"only null documents":         {"---\n", webhooks.Config{}},
		"billion laughs elsewhere":    {"a: &a [x, x]\nb: &b [*a, *a]\nother: [*b, *b]\nwebhooks: {event_retention_period: 7}\n", period(7)},
		"other keys that are no text": {"1: 2\n2024-01-01: x\nwebhooks: {event_retention_period: 7}\n", period(7)},
		"many keys, but not so many":  {"webhooks: {event_retention_period: 7}\n" + manyKeys(1999, ""), period(7)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := loaded(t, test.text)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v; configuration (-want +got):\n%s", err, diff)
			}
		})
	}
}

// hostileIDs are values that change where a request goes if they reach its path
// as they are.
func hostileIDs() []string {
	return []string{
		"", ".", "..", "/", "a/b", "../app", "a.b/..", "a.b/../../app", "a?b=c", "a.b?expunge=true", "a.b#", "a%2Fb", "a.b%2e%2e", "100%", "a%zz",
		"a\nb", "a.b\r\nX-Evil: 1", "a b", "a.b ", "é.é", "{app_id}", "{endpoint_id}", "{event_type_name}", "a.b\x00", "\xff", "a\\b", "a;b", "a.b:80", "//svix.test",
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

// TestS3HostileArguments: no name and no id that could change a request's path
// leads to a request at all.
func TestS3HostileArguments(t *testing.T) {
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
			errGet, errSecret, errSend, errList, errSent, errSentTo, client.DeleteEventType(ctx, id), client.CreateEndpoint(ctx, withType, ""),
			client.DeleteEndpoint(ctx, withType), client.RotateEndpointSecret(ctx, withType, ""), client.SetEndpointDisabled(ctx, withType, true),
		} {
			checkError(t, err, webhooks.ErrEventTypeNotFound)
		}
		checkError(t, client.CreateEventType(ctx, webhooks.EventType{Name: id, Schema: []byte(`{}`)}), webhooks.ErrInvalidEventTypeName)
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

// TestS3HostileTextsAreHashed: what an endpoint's uid is derived from may hold
// anything.
func TestS3HostileTextsAreHashed(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	sent := len(mock.Requests())
	for _, text := range hostileIDs() {
		ep := webhooks.Endpoint{URL: text, EventType: webhooks.TypeOriginCreate, Channel: text}
		if err := client.DeleteEndpoint(t.Context(), ep); !errors.Is(err, webhooks.ErrEndpointNotFound) && !errors.Is(err, webhooks.ErrInvalidEndpoint) {
			t.Errorf("%q: got %v", text, err)
		}
		event := harness.KnownEvent()
		event.Channel = text
		if _, err := client.SendEvent(t.Context(), event); err != nil {
			t.Errorf("%q: got %v", text, err)
		}
	}
	checkPaths(t, mock.Requests()[sent:])
	if left := harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate); len(left) != 1 {
		t.Errorf("%d endpoints are left, want the known one", len(left))
	}
}

// TestS3HostileAnswers: ids of the server's go into paths as well.
func TestS3HostileAnswers(t *testing.T) {
	t.Parallel()
	for _, id := range hostileIDs() {
		quoted, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"", "ep_", "msg_"} {
			hostile := string(quoted[:1]) + prefix + string(quoted[1:])
			item := `{"id":` + hostile + `,"msgId":` + hostile + `,"endpointId":` + hostile + `,"url":"http://receiver.test/","timestamp":"2026-11-23T09:00:00Z"}`
			mock := harness.NewServer(t, svixmock.Config{})
			sent := len(mock.Requests())
			mock.FailRate(1, 1, svixmock.Fault{
				Status: http.StatusOK, Body: `{"data":[` + item + `],"iterator":null,"done":true}`,
				Only: func(r *http.Request) bool { return r.URL.Query().Has("limit") },
			})
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
			_, errEndpoint := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), webhooks.SentEventQuery{}))
			_, errType := webhooks.Collect(client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
			endpoints, errList := webhooks.Collect(client.ListEndpoints(t.Context(), webhooks.TypeOriginCreate, webhooks.EndpointQuery{}))
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

// TestS4SuccessWithoutContent: a 204 is the success of a deletion, and each other
// 2xx that is not what was asked for an error; never a panic, never a zero value.
func TestS4SuccessWithoutContent(t *testing.T) {
	t.Parallel()
	for name, do := range harness.Operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, fault := range []svixmock.Fault{
				{Status: 204},
				{Status: 200},
				{Status: 202},
				{Status: 205},
				{Status: 200, Body: "null"},
				{Status: 201, Body: "{}"},
				{Status: 200, Body: "[]"},
				{Status: 200, Body: `""`},
				{Status: 200, Body: `{"id":""}`},
				{Status: 200, Body: `{"id":null,"data":null}`},
				{Status: 200, Body: "<html>"},
			} {
				mock := harness.NewServer(t, svixmock.Config{})
				mock.FailRate(1, 1, fault)
				err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
				var api *webhooks.APIError
				isDone := fault.Status == 204 && (name == "DeleteEventType" || name == "DeleteEndpoint")
				if isDone && err != nil || !isDone && (!errors.As(err, &api) || api.StatusCode != fault.Status) {
					t.Errorf("%d %s: got %v", fault.Status, fault.Body, err)
				}
			}
		})
	}
}

// TestS5NothingIsDoneTwiceByARedirect: a POST or DELETE that is redirected is not
// made a GET, not repeated and not reported as done.
func TestS5NothingIsDoneTwiceByARedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithoutListenerCheck())
		for name, do := range map[string]harness.Operation{"POST": harness.Operations()["SendEvent"], "DELETE": harness.Operations()["DeleteEndpoint"]} {
			mock.FailNext(1, svixmock.Fault{Status: status, Header: http.Header{"Location": {"/api/v1/health"}}, Only: func(r *http.Request) bool { return r.Method == name }})
			sent := len(mock.Requests())
			var api *webhooks.APIError
			if err := do(t.Context(), client); !errors.As(err, &api) || api.StatusCode != status {
				t.Errorf("%d: got %v", status, err)
			}
			for _, r := range mock.Requests()[sent:] {
				if strings.HasSuffix(r.Path, "/health") || r.Method == http.MethodHead {
					t.Errorf("%d: was followed to %s %s", status, r.Method, r.Path)
				}
			}
		}
	}
}

// TestS6PayloadsToTheDigit: what is sent, stored, delivered and listed is what was
// given, and what another program stored is read as it is.
func TestS6PayloadsToTheDigit(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		schema := `{"properties":{"n":{"maximum":123456789012345678901234567890,"type":"number"}},"type":"object"}`
		if err := client.CreateEventType(t.Context(), webhooks.EventType{Name: webhooks.TypeOriginCreate, Schema: json.RawMessage(schema)}); err != nil {
			t.Fatal(err)
		}
		want := `{"<&>":"\u2028é/","B":1.10,"a":[9007199254740993,1e400,-0.0,1.0],"n":12345678901234567890123}`
		tests := map[string]any{
			"text":             json.RawMessage(want),
			"text, ugly":       json.RawMessage(`{ "n" : 12345678901234567890123, "a":[9007199254740993,1e400,-0.0,1.0] , "B":1.10,"\u003c\u0026\u003e":"\u2028\u00e9\/"}`),
			"numbers of Go":    map[string]any{"n": json.Number("12345678901234567890123"), "a": []any{uint64(9007199254740993), json.Number("1e400"), json.Number("-0.0"), json.Number("1.0")}, "B": json.Number("1.10"), "<&>": "\u2028é/"},
			"nested raw texts": map[string]any{"n": json.RawMessage(`12345678901234567890123`), "a": json.RawMessage(`[9007199254740993, 1e400, -0.0, 1.0]`), "B": json.RawMessage(`1.10`), "<&>": "\u2028é/"},
		}
		want = strings.ReplaceAll(strings.ReplaceAll(want, "1e400", "1e+400"), `\u2028`, "\u2028")
		for name, payload := range tests {
			time.Sleep(time.Second) // for an order
			message, err := client.SendEvent(t.Context(), webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: payload})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			synctest.Wait()
			got := map[string]string{}
			for _, d := range mock.Deliveries() {
				if d.MessageID == message.ID {
					got["delivered"] = string(d.Body)
				}
			}
			for event, err := range client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), webhooks.SentEventQuery{Limit: 1}) {
				if err != nil {
					t.Fatal(err)
				}
				got["listed"] = string(event.Payload)
			}
			if diff := cmp.Diff(map[string]string{"delivered": want, "listed": want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		et, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate)
		if err != nil || string(et.Schema) != schema {
			t.Errorf("got the schema %s, %v; want %s", et.Schema, err, schema)
		}
	})
}

// TestS6WhatCannotBeSent: the SDK would send something else in its place.
func TestS6WhatCannotBeSent(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	for name, payload := range map[string]any{
		"empty number":      map[string]any{"origin_url": json.Number("")},
		"odd number":        map[string]any{"origin_url": json.Number("01")},
		"invalid UTF-8":     map[string]any{"origin_url": "\xff"},
		"invalid UTF-8 key": map[string]any{"\xff": 1},
		"lone surrogate":    json.RawMessage(`{"origin_url":"\ud800"}`),
		"nil":               nil,
		"nil map":           map[string]any(nil),
		"list":              []any{},
		"text":              "origin_url",
		"not a number":      map[string]any{"origin_url": math.NaN()},
	} {
		sent := len(mock.Messages())
		_, err := client.SendEvent(t.Context(), webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: payload})
		checkError(t, err, webhooks.ErrInvalidPayload, "nothing was sent")
		if len(mock.Messages()) != sent {
			t.Errorf("%s was sent", name)
		}
	}
}

// TestS9NoMemberIsLostOrNull: what is empty is neither left out, where that means
// "all", nor sent as null; and the caller's values stay as they are.
func TestS9NoMemberIsLostOrNull(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		for name, do := range harness.Operations() {
			if strings.HasPrefix(name, "Delete") {
				continue // they have no body, and the others want what is there
			}
			if err := do(t.Context(), client); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		empty := webhooks.Endpoint{URL: "http://receiver.test/empty", EventType: webhooks.TypeOriginCreate, Metadata: map[string]string{}}
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
	if keys := r.Header.Values("Idempotency-Key"); r.Method == http.MethodPost && (len(keys) != 1 || keys[0] == "") {
		t.Errorf("%s %s has the keys %q", r.Method, r.Path, keys)
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

// TestS10TimesInQueries: bounds are rounded outwards, and times that have no place
// in a query are not sent.
func TestS10TimesInQueries(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		now := time.Now()
		for name, q := range map[string]webhooks.SentEventQuery{
			"none":               {},
			"fraction":           {Before: now.Add(-time.Nanosecond)},
			"zone":               {Before: now.Add(-time.Hour).In(time.FixedZone("", 5*3600+1800))},
			"long ago":           {Before: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)},
			"before Christ":      {Before: time.Date(-500, 1, 1, 0, 0, 0, 0, time.UTC)},
			"far away":           {Before: time.Date(12_026, 1, 1, 0, 0, 0, 0, time.UTC)},
			"after long ago":     {After: time.Date(-500, 1, 1, 0, 0, 0, 0, time.UTC)},
			"after the far away": {After: time.Date(12_026, 1, 1, 0, 0, 0, 0, time.UTC)},
			"after a fraction":   {After: now.Add(-time.Hour - time.Nanosecond)},
		} {
			sent := len(mock.Requests())
			ofEndpoint, errEndpoint := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), q))
			ofType, errType := webhooks.Collect(client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, q))
			if err := errors.Join(errEndpoint, errType); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(ofEndpoint) != len(ofType) {
				t.Errorf("%s: %d sent events of the endpoint, %d of the event type", name, len(ofEndpoint), len(ofType))
			}
			for _, r := range mock.Requests()[sent:] {
				query, err := url.ParseQuery(r.RawQuery)
				if err != nil {
					t.Fatal(err)
				}
				if query.Has("after") {
					t.Errorf("%s: the query %s would begin with the oldest page", name, r.RawQuery)
				}
				for _, before := range query["before"] {
					at, err := time.Parse(time.RFC3339, before)
					if err != nil || at.Year() < 2014 || at.Year() > 2100 || !q.Before.IsZero() && at.Before(q.Before) && strings.Contains(r.Path, "/attempt/endpoint/") {
						t.Errorf("%s: the query has before=%s", name, before)
					}
				}
				if strings.Contains(r.Path, "/attempt/") && query.Get("expanded_statuses") != "true" {
					t.Errorf("%s: the attempts' statuses are not all told apart: %s", name, r.RawQuery)
				}
			}
		}
	})
}

// TestS10PagesThatDoNotEnd: a server that does not say where to go on, or that
// goes round, is an error.
func TestS10PagesThatDoNotEnd(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		page    string // %d: its number
		isError bool
	}{
		"no iterator":               {`{"data":[],"done":false,"iterator":null}`, true},
		"iterator is left out":      {`{"data":[]}`, true},
		"empty iterator":            {`{"data":[],"done":false,"iterator":""}`, true},
		"the same iterator":         {`{"data":[],"done":false,"iterator":"x"}`, true},
		"three in a circle":         {`{"data":[],"done":false,"iterator":"%[1]d"}`, true},
		"done, though there's more": {`{"data":[],"done":true,"iterator":"x"}`, false},
	}
	listings := []string{"ListEventTypes", "ListEndpoints", "ListSentEventsForEndpoint", "ListSentEventsForEventType"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, listing := range listings {
				mock := harness.NewServer(t, svixmock.Config{})
				requests := 0
				client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					if !r.URL.Query().Has("limit") {
						return mock.RoundTripper().RoundTrip(r)
					}
					if requests++; requests > 100 {
						return nil, errors.New("too many requests")
					}
					page := strings.ReplaceAll(test.page, "%[1]d", strconv.Itoa(requests%3))
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(page))}, nil
				}), mock.Token(), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
				err := harness.Operations()[listing](t.Context(), client)
				if (err != nil) != test.isError || requests > 10 {
					t.Errorf("%s: got %v after %d requests, want an error: %v", listing, err, requests, test.isError)
				}
			}
		})
	}
}

// TestS11OneOddValueCostsNoPage: with each of the values on which the SDK gives up.
func TestS11OneOddValueCostsNoPage(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]string{
		"status":               `"status":5`,
		"status text":          `"statusText":"undecided"`,
		"trigger type":         `"triggerType":2`,
		"status code":          `"responseStatusCode":40000`,
		"fraction":             `"responseDurationMs":1.5`,
		"time without a zone":  `"timestamp":"2026-11-23T09:00:00.5"`,
		"number of 400 digits": `"responseDurationMs":` + strings.Repeat("9", 400),
		"null everywhere":      `"status":null,"responseStatusCode":null,"timestamp":null,"response":null,"url":null`,
		"other types":          `"status":{},"responseStatusCode":"x","timestamp":7,"response":[1],"url":{}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				item := func(id, more string) string {
					return `{"id":"` + id + `","msgId":"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2","endpointId":"ep_1","url":"http://receiver.test/","responseStatusCode":200,` + more + `}`
				}
				page := `{"data":[` + item("atmpt_2", `"timestamp":"2026-11-23T09:00:01Z"`) + `,` + item("atmpt_1", odd) + `],"done":true}`
				mock.FailRate(1, 1, svixmock.Fault{Status: 200, Body: page, Only: func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/attempt/") }})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
				ofEndpoint, errEndpoint := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), webhooks.SentEventQuery{}))
				ofType, errType := webhooks.Collect(client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
				if err := errors.Join(errEndpoint, errType); err != nil || len(ofEndpoint) != 2 || len(ofType) != 2 || ofEndpoint[1].AttemptID != "atmpt_1" {
					t.Errorf("got %d and %d sent events, %v; want 2 of each", len(ofEndpoint), len(ofType), err)
				}
			})
		})
	}
}

// TestS12TimeoutsAreNotTheCallers: a try that takes too long is tried again, and
// looks neither like the caller's deadline nor takes four times as long.
func TestS12TimeoutsAreNotTheCallers(t *testing.T) {
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

// TestS12ErrorsAreFoundAsPointers, with the server's own words in them.
func TestS12ErrorsAreFoundAsPointers(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	mock.FailNext(1, svixmock.Fault{Status: 403, Body: `{"code":"insufficient access","detail":"no"}`})
	_, err := harness.NewClient(t, mock.RoundTripper(), mock.Token()).GetEventType(t.Context(), webhooks.TypeOriginCreate)
	var api *webhooks.APIError
	if !errors.As(fmt.Errorf("wrapped: %w", err), &api) || api.StatusCode != http.StatusForbidden || api.Code != "insufficient access" || api.Detail != "no" {
		t.Errorf("got %#v", err)
	}
}

// TestS13ServerURLs: each leads to the API or to an error of NewClient.
func TestS13ServerURLs(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	for given, want := range map[string]string{ // "": an error
		"http://svix.test":               "http://svix.test/api/v1/event-type/origin.create",
		"http://svix.test/":              "http://svix.test/api/v1/event-type/origin.create",
		"http://svix.test///":            "http://svix.test/api/v1/event-type/origin.create",
		"https://svix.test:8443/svix":    "https://svix.test:8443/svix/api/v1/event-type/origin.create",
		"http://svix.test/svix/":         "http://svix.test/svix/api/v1/event-type/origin.create",
		"http://[::1]:8071":              "http://[::1]:8071/api/v1/event-type/origin.create",
		"":                               "",
		"svix.test":                      "",
		"svix.test:8071":                 "",
		"//svix.test":                    "",
		"http:svix.test":                 "",
		"http:///api":                    "",
		"http://:8071":                   "",
		"http://svix.test/?x=1":          "",
		"http://svix.test/?":             "",
		"http://svix.test/#":             "",
		"http://svix.test/#fragment":     "",
		"http://user:password@svix.test": "",
		"http://user@svix.test":          "",
		"ftp://svix.test":                "",
		"unix:///run/svix":               "",
		"http://svix.test:port":          "",
		"http://svix test":               "",
		"http://svix.test/%zz":           "",
		"http://svix.test\n":             "",
	} {
		var asked string
		transport := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.String()
			return nil, errors.New("not sent")
		})
		client, err := webhooks.NewClient(webhooks.WithServerURL(given), webhooks.WithAuthToken("token"),
			webhooks.WithHTTPClient(&http.Client{Transport: transport}), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
		if want == "" {
			if !errors.Is(err, webhooks.ErrInvalidConfig) {
				t.Errorf("%q: got %v, want ErrInvalidConfig", given, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", given, err)
			continue
		}
		_, _ = client.GetEventType(t.Context(), webhooks.TypeOriginCreate) // it fails
		if asked != want {
			t.Errorf("%q: asked %s, want %s", given, asked, want)
		}
	}
}

// TestS13TokenStaysAtHome: without a URL the SDK would take a token to the public
// cloud, to the region that its last part names.
func TestS13TokenStaysAtHome(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	for _, token := range []string{"testsk_x", "testsk_x.us", "testsk_x.eu", "sk_x.in"} {
		if _, err := webhooks.NewClient(webhooks.WithAuthToken(token)); !errors.Is(err, webhooks.ErrInvalidConfig) {
			t.Errorf("%s: got %v, want ErrInvalidConfig", token, err)
		}
		var host string
		client, err := webhooks.NewClient(webhooks.WithServerURL("http://svix.test"), webhooks.WithAuthToken(token),
			webhooks.WithHTTPClient(&http.Client{Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				host = r.URL.Host
				return nil, errors.New("not sent")
			})}), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = client.GetEventType(t.Context(), webhooks.TypeOriginCreate) // it fails
		if host != "svix.test" {
			t.Errorf("%s went to %q", token, host)
		}
	}
}

// TestS14SecretsThatOnlyLookGood match the pattern of the Python module and are no
// base64, or are longer than it seems. Nothing is sent.
func TestS14SecretsThatOnlyLookGood(t *testing.T) {
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
	for _, secret := range []string{"whsec_", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "whsec_" + strings.Repeat("-", 32), harness.SecretA + "\n", " " + harness.SecretA, harness.SecretA[:20] + "\n" + harness.SecretA[20:], "whsec_" + strings.Repeat("a", 33) + "=="} {
		checkError(t, client.RotateEndpointSecret(t.Context(), harness.KnownEndpoint(), secret), webhooks.ErrInvalidSecret)
		checkError(t, client.CreateEndpoint(t.Context(), harness.NewEndpoint(), secret), webhooks.ErrInvalidSecret)
	}
	if got := len(mock.Requests()); got != sent || refused != 51 || taken != 18 {
		t.Errorf("%d requests for refused secrets; %d refused, %d taken", got-sent, refused, taken)
	}
}

// TestS14Verification: what the SDK's verification overlooks.
func TestS14Verification(t *testing.T) {
	t.Parallel()
	body := []byte(`{}`)
	header := signedHeader(t, "webhook-", harness.SecretA, messageID, time.Now(), body)
	good := header.Get("Webhook-Signature")
	for name, test := range map[string]struct {
		change func(http.Header)
		ok     bool
	}{
		"second line":       {func(h http.Header) { h["Webhook-Signature"] = []string{"v1,AAAA", good} }, true},
		"first line":        {func(h http.Header) { h["Webhook-Signature"] = []string{good, "v1,AAAA"} }, true},
		"other versions":    {func(h http.Header) { h.Set("Webhook-Signature", "v1a,AAAA v2,x garbage "+good) }, true},
		"id with a dot":     {func(h http.Header) { h.Set("Webhook-Id", messageID+".1") }, false},
		"signed timestamp":  {func(h http.Header) { h.Set("Webhook-Timestamp", "+"+h.Get("Webhook-Timestamp")) }, false},
		"no signature":      {func(h http.Header) { h.Del("Webhook-Signature") }, false},
		"empty signature":   {func(h http.Header) { h.Set("Webhook-Signature", "v1,") }, false},
		"another's version": {func(h http.Header) { h.Set("Webhook-Signature", strings.Replace(good, "v1,", "v2,", 1)) }, false},
	} {
		changed := header.Clone()
		test.change(changed)
		if _, err := webhooks.VerifyPayload(harness.SecretA, changed, body); (err == nil) != test.ok || err != nil && !errors.Is(err, webhooks.ErrVerification) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestJ1NumbersThatCrashTheValidator, in a payload, in a schema, and in a schema
// that another program registered.
func TestJ1NumbersThatCrashTheValidator(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithCacheTTL(0))
	for _, number := range []string{"1e9999999", "1e-9999999", "-1E+9999999", strings.Repeat("9", 401)} {
		for _, payload := range []any{json.RawMessage(`{"origin_url":` + number + `}`), map[string]any{"origin_url": []any{json.Number(number)}}} {
			_, err := client.SendEvent(t.Context(), webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: payload})
			checkError(t, err, webhooks.ErrInvalidPayload)
		}
		for _, keyword := range []string{"maxLength", "multipleOf", "minimum", "const", "minItems"} {
			schema := `{"properties":{"n":{"` + keyword + `":` + number + `}}}`
			checkError(t, client.CreateEventType(t.Context(), webhooks.EventType{Name: "a.b", Schema: []byte(schema)}), webhooks.ErrInvalidSchema)
			foreignType(t, mock, schema)
			_, err := client.SendEvent(t.Context(), webhooks.Event{Type: "foreign.type", Payload: map[string]any{"n": 1}})
			checkError(t, err, webhooks.ErrInvalidSchema, "nothing was sent")
		}
	}
}

// foreignType makes the server have an event type with a schema that another
// program registered, and that not even the server has looked at.
func foreignType(t *testing.T, mock *svixmock.Server, schema string) {
	t.Helper()
	mock.FailRate(1, 1, svixmock.Fault{
		Status: http.StatusOK, Body: `{"name":"foreign.type","description":"","schemas":{"1":` + schema + `}}`,
		Only: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/foreign.type") },
	})
}

// TestJ2SchemasOfOthersThatTakeTooLong are refused at each send.
func TestJ2SchemasOfOthersThatTakeTooLong(t *testing.T) {
	t.Parallel()
	var definitions strings.Builder
	for i := range 40 {
		fmt.Fprintf(&definitions, `,"d%d":{"allOf":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]}`, i+1, i, i)
	}
	doubling := `{"definitions":{"d0":{"type":"object"}` + definitions.String() + `},"$ref":"#/definitions/d40"}`
	nested := `{"a":`
	failing := json.RawMessage(strings.Repeat(nested, 60) + "1" + strings.Repeat("}", 60))
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithCacheTTL(0))
	for name, test := range map[string]struct {
		schema  string
		refused bool // or else harmless
	}{
		"doubling references": {doubling, true},
		"recursion":           {`{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}}}`, true},
		"long repetitions":    {`{"patternProperties":{"` + strings.Repeat("(x{1000})", 60) + `":{}}}`, false},
	} {
		foreignType(t, mock, test.schema)
		// Where nothing bounds it, this does not return.
		_, err := client.SendEvent(t.Context(), webhooks.Event{Type: "foreign.type", Payload: failing})
		if got := errors.Is(err, webhooks.ErrInvalidSchema) || errors.Is(err, webhooks.ErrInvalidPayload); got != test.refused {
			t.Errorf("%s: got the error %v, want a refusal: %v", name, err, test.refused)
		}
	}
}

// TestJ3SchemasOfOthersReachNoFile: a FIFO would block for ever.
func TestJ3SchemasOfOthersReachNoFile(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithCacheTTL(0))
	for _, ref := range []string{"file://" + fifo, fifo, "go.mod", "./go.mod", "http://127.0.0.1:1/", "https://127.0.0.1:1/"} {
		for _, schema := range []string{`{"$ref":"` + ref + `"}`, `{"$schema":"` + ref + `"}`, `{"$id":"` + ref + `","properties":{"a":{"$ref":"x.json"}}}`} {
			foreignType(t, mock, schema)
			_, errSend := client.SendEvent(t.Context(), webhooks.Event{Type: "foreign.type", Payload: map[string]any{}})
			checkError(t, errSend, webhooks.ErrInvalidSchema)
			errCreate := client.CreateEventType(t.Context(), webhooks.EventType{Name: "a.b", Schema: []byte(schema)})
			checkError(t, errCreate, webhooks.ErrInvalidSchema)
			for _, err := range []error{errSend, errCreate} {
				if strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "module") {
					t.Errorf("the error tells of a file: %v", err)
				}
			}
		}
	}
}

// TestJ4CyclicPayloads are refused; validated as they are they end the process.
func TestJ4CyclicPayloads(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	foreignType(t, mock, `{"properties":{"self":{"$ref":"#"}}}`)
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	type node struct {
		Self *node `json:"self"`
	}
	pointer := &node{}
	pointer.Self = pointer
	list := []any{nil}
	list[0] = list
	for name, payload := range map[string]any{"map": cyclic, "pointer": pointer, "list": map[string]any{"self": list}} {
		_, err := client.SendEvent(t.Context(), webhooks.Event{Type: "foreign.type", Payload: payload})
		if !errors.Is(err, webhooks.ErrInvalidPayload) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
