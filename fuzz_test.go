package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// withinTime fails the test when the rest of it takes longer than any input may.
func withinTime(t *testing.T) {
	t.Helper()
	start := time.Now()
	t.Cleanup(func() {
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// isOneOf reports whether an error is one of those that are promised.
func isOneOf(err error, promised ...error) bool {
	return slices.ContainsFunc(promised, func(p error) bool { return errors.Is(err, p) })
}

// FuzzConfig: any file is a configuration or an ErrInvalidConfig, and what is a configuration makes
// a client that talks to the server it names.
func FuzzConfig(f *testing.F) {
	f.Setenv(webhooks.ConfigFileVariable, "")
	files := textFiles(f, configFolder+"/*.yml")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f.Add([]byte(files[name]))
	}
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		withinTime(t)
		path := filepath.Join(t.TempDir(), "config.yml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := webhooks.LoadConfig(path)
		if err != nil && !errors.Is(err, webhooks.ErrInvalidConfig) {
			t.Errorf("got %v", err)
		}
		var asked *http.Request
		network := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			asked = r
			return nil, errors.New("not sent")
		})
		client, errClient := webhooks.NewClient(webhooks.WithConfigFile(path),
			webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}),
			webhooks.WithHTTPClient(&http.Client{Transport: network}))
		complete := err == nil && cfg.Svix.ServerURL != "" && cfg.Svix.AuthToken != ""
		if complete != (errClient == nil) || errClient != nil && !errors.Is(errClient, webhooks.ErrInvalidConfig) {
			t.Fatalf("the configuration gives %v, the client %v", err, errClient)
		}
		if !complete {
			return
		}
		_, _ = client.GetEventType(t.Context(), webhooks.TypeOriginCreate) // it fails
		if asked == nil || !strings.HasSuffix(asked.URL.Path, "/api/v1/event-type/origin.create") ||
			asked.Header.Get("Authorization") != "Bearer "+string(cfg.Svix.AuthToken) {
			t.Errorf("the request is %+v", asked)
		}
	})
}

// FuzzEventTypeName: a name is refused before any request or is that of an event type like any
// other.
func FuzzEventTypeName(f *testing.F) {
	for _, name := range append(hostileIDs(), webhooks.TypeOriginCreate, "a.b", "A-_9.9", "a..b",
		".a", "a.", "<html>", "a.b.c") {
		f.Add(name)
	}
	mock := harness.NewMock(f, svixmock.Config{})
	wellFormed := regexp.MustCompile(`^[a-zA-Z0-9_-]+\.[a-zA-Z0-9_-]+$`)
	f.Fuzz(func(t *testing.T, name string) {
		withinTime(t)
		var paths []string
		client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			paths = append(paths, r.URL.EscapedPath())
			return mock.RoundTripper().RoundTrip(r)
		}), mock.Token())
		errCreate := client.CreateEventType(t.Context(), webhooks.EventType{Name: name, Schema: []byte(`{}`)})
		et, errGet := client.GetEventType(t.Context(), name)
		errDelete := client.DeleteEventType(t.Context(), name)
		if !wellFormed.MatchString(name) || len(name) > 256 {
			if !errors.Is(errCreate, webhooks.ErrInvalidEventTypeName) ||
				!isOneOf(errGet, webhooks.ErrEventTypeNotFound) ||
				!isOneOf(errDelete, webhooks.ErrEventTypeNotFound) || paths != nil {
				t.Errorf("got %v, %v, %v and the requests %q", errCreate, errGet, errDelete, paths)
			}
			return
		}
		if err := errors.Join(errCreate, errGet, errDelete); err != nil || et.Name != name {
			t.Errorf("got the event type %+v, %v", et, err)
		}
		if !slices.Contains(paths, "/api/v1/event-type/"+name) {
			t.Errorf("got the requests %q", paths)
		}
	})
}

// FuzzSchema: a schema is refused or is stored as it is and decides on payloads.
func FuzzSchema(f *testing.F) {
	for _, kind := range []string{"valid", "broken"} {
		files := schemaFiles(f, kind)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if text := files[name]; len(text) < 10_000 {
				f.Add([]byte(text), []byte(`{"origin_url":"https://git.example.org","n":1.5,"list":[{},null]}`))
			}
		}
	}
	f.Add([]byte("<html>"), []byte("{}"))
	mock := harness.NewMock(f, svixmock.Config{})
	f.Fuzz(func(t *testing.T, schema, payload []byte) {
		withinTime(t)
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		err := client.CreateEventType(t.Context(), webhooks.EventType{Name: "a.b", Schema: schema})
		if api := (*webhooks.APIError)(nil); errors.As(err, &api) && api.StatusCode == http.StatusUnprocessableEntity {
			return // the server is stricter
		}
		if err != nil {
			if !errors.Is(err, webhooks.ErrInvalidSchema) {
				t.Errorf("got %v", err)
			}
			return
		}
		et, err := client.GetEventType(t.Context(), "a.b")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(exactJSON(t, string(schema)), exactJSON(t, string(et.Schema))); diff != "" {
			t.Errorf("schema (-want +got):\n%s", diff)
		}
		if _, err = client.SendEvent(t.Context(),
			webhooks.Event{Type: "a.b", Payload: json.RawMessage(payload)}); err != nil &&
			!errors.Is(err, webhooks.ErrInvalidPayload) {
			t.Errorf("sending: %v", err)
		}
	})
}

// decoded is a JSON text with its numbers as they are written.
func decoded(t *testing.T, text []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return plainNumbers(value)
}

// plainNumbers writes exponents as canonical JSON does.
func plainNumbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		text := strings.Replace(value.String(), "E", "e", 1)
		if text == "-0" {
			return json.Number("0")
		}
		if mantissa, exponent, ok := strings.Cut(text, "e"); ok && exponent[0] != '-' {
			text = mantissa + "e+" + strings.TrimPrefix(exponent, "+")
		}
		return json.Number(text)
	case []any:
		for i := range value {
			value[i] = plainNumbers(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = plainNumbers(value[key])
		}
	}
	return value
}

// takesMessages is a server on which there is one event type, to which an endpoint listens. It
// shows the messages that are posted.
func takesMessages(posted func(body []byte)) http.RoundTripper {
	return harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		answer := `{"data":[{"id":"ep_1","url":"http://receiver.test"}],"done":true}`
		switch {
		case r.Method == http.MethodPost:
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			posted(body)
			answer = `{"id":"msg_1","timestamp":"2026-11-23T09:30:00Z"}`
		case strings.HasSuffix(r.URL.Path, "/a.b"):
			answer = `{"name":"a.b","schemas":{"1":{"type":"object"}}}`
		}
		return &http.Response{
			StatusCode: http.StatusAccepted, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(answer)),
		}, nil
	})
}

// FuzzSendEvent: an event is refused before it is posted, or posted as what it says, to the digit,
// and the same for a Go value.
func FuzzSendEvent(f *testing.F) {
	f.Add([]byte(`{"origin_url":"https://git.example.org/\u00e9","n":[1.10,9007199254740993,1E400]}`), "", "")
	f.Add([]byte(`{"a":"<&>\u2028\ud83d\ude00"}`), "https://git.example.org/project", "journal-0-1")
	for _, text := range []string{
		"", "<html>", "null", "[]", `""`, "1", `{"a":1,"a":2}`,
		`{"a":1e9999999}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{} {}`, strings.Repeat(`{"a":`, 70),
	} {
		f.Add([]byte(text), "None", "msg_1")
	}
	for _, id := range hostileIDs() {
		f.Add([]byte("{}"), id, id)
	}
	wellFormed := regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)
	f.Fuzz(func(t *testing.T, payload []byte, channel, id string) {
		withinTime(t)
		var posted []byte
		client := harness.NewClient(t, takesMessages(func(body []byte) { posted = body }), "token")
		send := func(payload any) (string, error) {
			posted = nil
			_, err := client.SendEvent(t.Context(),
				webhooks.Event{Type: "a.b", Payload: payload, Channel: channel, ID: id})
			if (posted == nil) != (err != nil) {
				t.Fatalf("posted %s, error %v", posted, err)
			}
			if err != nil {
				return "", err
			}
			var message struct {
				Channels []string `json:"channels"`
				EventID  string   `json:"eventId"`
				Params   struct {
					RawPayload string `json:"rawPayload"`
				} `json:"transformationsParams"`
			}
			if err := json.Unmarshal(posted, &message); err != nil {
				t.Fatal(err)
			}
			if id != "" && message.EventID != id || message.EventID == "" ||
				len(message.Channels) != min(len(channel), 1) {
				t.Errorf("posted %s", posted)
			}
			return message.Params.RawPayload, nil
		}
		text, err := send(json.RawMessage(payload))
		badID := id != "" && (!wellFormed.MatchString(id) || strings.HasPrefix(id, "msg_") || id == "." || id == "..")
		if badID || !utf8.ValidString(channel) {
			if !errors.Is(err, webhooks.ErrInvalidEvent) {
				t.Errorf("ID %q, channel %q: got %v", id, channel, err)
			}
			return
		}
		if err != nil {
			if !errors.Is(err, webhooks.ErrInvalidPayload) {
				t.Errorf("got %v", err)
			}
			return
		}
		if !utf8.ValidString(text) || len(text) > 1<<20 {
			t.Errorf("posted %q", text)
		}
		want := decoded(t, payload)
		if diff := cmp.Diff(want, decoded(t, []byte(text))); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
		if again, err := send(want); err != nil || again != text {
			t.Errorf("as a Go value it is %q, %v; as a text %q", again, err, text)
		}
	})
}

// FuzzEndpoint: an endpoint is refused with nothing changed, or is there as it is described, under
// plain paths, until it is deleted.
func FuzzEndpoint(f *testing.F) {
	f.Add(harness.HookURL, "", "", harness.SecretA, "team", "archive")
	f.Add("https://example.org", "https://git.example.org/project", "", "", "", "")
	f.Add("HTTP://EXAMPLE.org:80/a/../b?x=<>#f", "None", "", harness.SecretB, "\u0000", "<html>")
	f.Add("https://例え.jp/é", "\xff", "ep_1", "whsec_", "\xff", "\ufffd")
	for _, id := range hostileIDs() {
		f.Add(id, id, id, id, id, id)
		f.Add("http://receiver.test/"+id, id, "ep_"+id, "whsec_"+id, id, id)
	}
	mock := harness.NewMock(f, svixmock.Config{KeepRequests: 100})
	if err := harness.NewClient(f, mock.RoundTripper(), mock.Token()).CreateEventType(f.Context(),
		webhooks.DefaultEventTypes()[0]); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, url, channel, id, secret, key, value string) {
		withinTime(t)
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		ep := webhooks.Endpoint{URL: url, EventType: webhooks.TypeOriginCreate, Channel: channel, ID: id}
		if key != "" {
			ep.Metadata = map[string]string{key: value}
		}
		err := client.CreateEndpoint(t.Context(), ep, secret)
		defer func() { checkPaths(t, mock.Requests()) }()
		if err != nil {
			if api := (*webhooks.APIError)(nil); !isOneOf(err, webhooks.ErrInvalidEndpoint,
				webhooks.ErrInvalidSecret, webhooks.ErrEndpointNotFound) &&
				(!errors.As(err, &api) || api.StatusCode != http.StatusUnprocessableEntity) {
				t.Errorf("got %v", err)
			}
			if left := harness.RawEndpoints(t, mock, webhooks.TypeOriginCreate); len(left) != 0 {
				t.Errorf("after %v there is %+v", err, left)
			}
			return
		}
		listed, err := webhooks.Collect(client.ListEndpoints(t.Context(), webhooks.TypeOriginCreate,
			webhooks.EndpointQuery{Channel: channel}))
		if err != nil || len(listed) != 1 || listed[0].Channel != channel ||
			!cmp.Equal(listed[0].Metadata, ep.Metadata) {
			t.Errorf("listed %+v, %v; want %+v", listed, err, ep)
		}
		if got, err := client.GetEndpointSecret(t.Context(), ep); err != nil || secret != "" && got != secret {
			t.Errorf("got the secret %q, %v; want %q", got, err, secret)
		}
		if err := client.DeleteEndpoint(t.Context(), ep); err != nil {
			t.Error(err)
		}
	})
}

// FuzzEndpointURL: a URL that the server takes is taken, is found again by its text and by what the
// server makes of it, and makes no second endpoint; any other is refused before a request.
func FuzzEndpointURL(f *testing.F) {
	for _, url := range []string{
		"https://hooks.example.org", "HTTPS://Example.ORG:443/a/../b?q#f", " https:example.org\n", "http://127.1/%zz",
		"https://münchen.example/100%", "https://swh:pw@example.org:0", "https:///a", "http://[::1",
		"ftp://example.org",
		"https://example.org/caf\xe9", "https://example.org/\x00", "javascript:alert(1)", "https://exa mple.org",
	} {
		f.Add(url)
	}
	mock := harness.NewMock(f, svixmock.Config{})
	setUp := harness.NewClient(f, mock.RoundTripper(), mock.Token())
	if err := setUp.CreateEventType(f.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, url string) {
		withinTime(t)
		if !utf8.ValidString(url) {
			ep := webhooks.Endpoint{URL: url, EventType: webhooks.TypeOriginCreate}
			checkError(t, offline(t).EnsureEndpoint(t.Context(), ep), webhooks.ErrInvalidEndpoint)
			return
		}
		body, err := json.Marshal(map[string]any{"url": url, "disabled": true})
		if err != nil {
			t.Fatal(err)
		}
		path := "/api/v1" + application(webhooks.TypeOriginCreate) + "/endpoint"
		status, answer := harness.RawRequest(t, mock, http.MethodPost, path, string(body))
		ep := webhooks.Endpoint{URL: url, EventType: webhooks.TypeOriginCreate, Disabled: true}
		if status != http.StatusCreated {
			if err := offline(t).EnsureEndpoint(t.Context(), ep); !errors.Is(err, webhooks.ErrInvalidEndpoint) {
				t.Errorf("%q: the server answers %d %s, we %v", url, status, answer, err)
			}
			return
		}
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		if err := client.DeleteEndpoint(t.Context(), ep); err != nil {
			t.Errorf("%q of another program: %v", url, err)
		}
		if err := client.EnsureEndpoint(t.Context(), ep); err != nil {
			t.Errorf("%q: %v", url, err)
		}
		listed, err := webhooks.Collect(client.ListEndpoints(t.Context(), ep.EventType, webhooks.EndpointQuery{}))
		if err != nil || len(listed) != 1 {
			t.Fatalf("%q: listed %+v, %v", url, listed, err)
		}
		ep.URL = listed[0].URL
		if _, err := client.GetEndpointSecret(t.Context(), ep); err != nil {
			t.Errorf("%q, listed as %q: %v", url, ep.URL, err)
		}
		if err := client.DeleteEndpoint(t.Context(), listed[0]); err != nil {
			t.Error(err)
		}
	})
}

// A recordedAnswer is what a server answered once.
type recordedAnswer struct {
	status int
	body   []byte
}

// recorded are the answers to the requests of each operation, in their order.
func recorded(f *testing.F, operations map[string]harness.Operation) map[string][]recordedAnswer {
	f.Helper()
	answers := map[string][]recordedAnswer{}
	for name, do := range operations {
		mock := harness.NewServer(f, svixmock.Config{})
		before := len(mock.Requests())
		if err := do(f.Context(), harness.NewClient(f, mock.RoundTripper(), mock.Token())); err != nil {
			f.Fatal(err)
		}
		for _, r := range mock.Requests()[before:] {
			answers[name] = append(answers[name], recordedAnswer{r.Status, r.Answer})
		}
	}
	return answers
}

// FuzzAnswer gives each operation any answer to one of its requests, or to all of them: it ends
// soon, with the promised result or with an error that tells the status, is fit to be shown and
// shows no secret.
func FuzzAnswer(f *testing.F) {
	operations := harness.Operations()
	names := slices.Sorted(maps.Keys(operations))
	answers := recorded(f, operations)
	for i, name := range names {
		for k, answer := range answers[name] {
			f.Add(uint8(i), uint8(k), uint16(answer.status), "", answer.body) //nolint:gosec // an HTTP status
			f.Add(uint8(i), uint8(k), uint16(500), "0", []byte("<html>"+harness.SpiedToken))
			f.Add(uint8(i), uint8(k), uint16(204), "", []byte{})
			f.Add(uint8(i), uint8(k), uint16(409), "", []byte(`{"code":"conflict","detail":"`+harness.SpiedSecret+`"}`))
			f.Add(uint8(i), uint8(k), uint16(404), "", []byte(`{"code":"not_found","detail":"Entity not found"}`))
			f.Add(uint8(i), uint8(k), uint16(200), "",
				[]byte(`{"id":"../x","key":"x","name":"x","data":[{"id":"msg_1",`+
					`"timestamp":"9999-12-31T00:00:00Z"}],"iterator":"x","done":false,"archived":true}`))
		}
		f.Add(uint8(i), uint8(255), uint16(422), "Fri, 31 Dec 9999 23:59:59 GMT",
			[]byte(`{"detail":[{"loc":["body"],"msg":"`+harness.SpiedToken+`"}]}`))
		f.Add(uint8(i), uint8(255), uint16(302), "99999999999999999999", []byte{})
	}
	f.Fuzz(func(t *testing.T, op, which uint8, status uint16, header string, body []byte) {
		withinTime(t)
		name := names[int(op)%len(names)]
		all := which == 255
		status = 200 + status%800
		requests := 0
		client := harness.NewClient(t, lockedTripper(func(*http.Request) (*http.Response, error) {
			k := requests
			if requests++; requests > 10_000 {
				return nil, errors.New("too many requests")
			}
			answer := recordedAnswer{int(status), body}
			if !all && k != int(which) && k < len(answers[name]) {
				answer = answers[name][k]
			}
			return &http.Response{
				StatusCode: answer.status, ContentLength: int64(len(answer.body)),
				Body:   io.NopCloser(bytes.NewReader(answer.body)),
				Header: http.Header{"Retry-After": {header}, "Location": {header}},
			}, nil
		}), harness.SpiedToken, webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 2, MaxBackoff: time.Microsecond}))
		err := operations[name](t.Context(), client)
		if requests > 10_000 {
			t.Errorf("%s: %d requests", name, requests)
		}
		if err == nil {
			if all && status > 299 {
				t.Errorf("%s: status %d is taken for a success", name, status)
			}
			return
		}
		var api *webhooks.APIError
		if all && errors.As(err, &api) && api.StatusCode != int(status) {
			t.Errorf("%s: got the status %d of %v, want %d", name, api.StatusCode, err, status)
		}
		if api == nil && all && !isOneOf(err, webhooks.ErrEventTypeArchived,
			webhooks.ErrInvalidSchema, webhooks.ErrInvalidPayload, webhooks.ErrInvalidEndpoint) {
			t.Errorf("%s: %v is neither an APIError nor a word about what is there", name, err)
		}
		checkFitToBeShown(t, err)
	})
}

// lockedTripper serves one request at a time.
func lockedTripper(serve harness.RoundTripFunc) http.RoundTripper {
	turn := make(chan struct{}, 1)
	return harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		turn <- struct{}{}
		defer func() { <-turn }()
		return serve(r)
	})
}

func checkFitToBeShown(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if !utf8.ValidString(text) || len(text) > 4096 ||
		strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("the error is not fit to be shown: %q", text)
	}
	for _, secret := range []string{harness.SpiedToken, harness.SpiedSecret} {
		if strings.Contains(text, secret) {
			t.Errorf("the error shows a secret: %s", text)
		}
	}
}

func FuzzVerifyPayload(f *testing.F) {
	body := []byte(`{"foo":"bar"}`)
	now := time.Now()
	good := signedHeader(f, "svix-", harness.SecretA, messageID, now, body)
	f.Add(harness.SecretA, messageID, good.Get("svix-timestamp"), good.Get("svix-signature"), body)
	f.Add(harness.SecretA, messageID, good.Get("svix-timestamp"), "v1a,x v1, v1 "+good.Get("svix-signature"), body)
	f.Add("whsec_", "a.b", "-1", ",", []byte("<html>"))
	f.Add("", "", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, secret, id, timestamp, signature string, body []byte) {
		header := http.Header{"Svix-Id": {id}, "Svix-Timestamp": {timestamp}, "Svix-Signature": {signature}}
		got, err := webhooks.VerifyPayload(secret, header, body)
		if err != nil {
			if got != nil || !errors.Is(err, webhooks.ErrVerification) {
				t.Fatalf("got %s, %v; want an ErrVerification", got, err)
			}
			return
		}
		seconds, err := strconv.ParseInt(timestamp, 10, 64)
		if err != nil {
			t.Fatalf("verified with the timestamp %q", timestamp)
		}
		want, err := webhooks.SignPayload(secret, id, time.Unix(seconds, 0), body)
		if err != nil || !strings.Contains(signature, want) || !bytes.Equal(got, body) {
			t.Fatalf("verified %s with the signature %q, want %q, %v", got, signature, want, err)
		}
	})
}

func FuzzHandler(f *testing.F) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	f.Add("POST", "svix-id", messageID, now, "v1,x", []byte(`{}`), true)
	f.Add("POST", "webhook-id", messageID, "", "", []byte(`{`), true)
	f.Add("POST", "x-swh-event", "\x00", now, "v1,", []byte(`{}`), false)
	f.Add("GET", "host", "", "", "", []byte(nil), false)
	f.Fuzz(func(t *testing.T, method, name, id, timestamp, signature string, body []byte, signed bool) {
		received := false
		h := webhooks.NewHandler([]string{harness.SecretA, harness.SecretB},
			func(context.Context, webhooks.Delivery) error {
				received = true
				return nil
			}, webhooks.WithMaxBody(100), silent())
		r := (&http.Request{
			Method: method, Header: http.Header{},
			Body: io.NopCloser(bytes.NewReader(body)),
		}).WithContext(t.Context())
		r.Header.Set("svix-id", id)
		r.Header.Set("svix-timestamp", timestamp)
		r.Header.Set("svix-signature", signature)
		if signed {
			r.Header = signedHeader(t, "webhook-", harness.SecretB, id, time.Now(), body)
		}
		r.Header.Set(name, id)
		status := serve(h, r).Code
		if received != (status == http.StatusNoContent) {
			t.Fatalf("answered %d, received: %v", status, received)
		}
		if !received && (status < 400 || status > 499) {
			t.Fatalf("answered %d to a delivery that was not received", status)
		}
	})
}

// FuzzEvent: any text is an ErrInvalidEvent or an event that keeps its payload's text and is
// written as one that is read back as the same; never one that encoding/json reads otherwise.
func FuzzEvent(f *testing.F) {
	for _, text := range notEvents {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"type": "a.b", "channel": null, "payload": {"n": -0.10e-7}, "id": "x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		withinTime(t)
		var ev webhooks.Event
		if err := ev.UnmarshalJSON(text); err != nil {
			if !errors.Is(err, webhooks.ErrInvalidEvent) || len(err.Error()) > 1000 {
				t.Errorf("got %v", err)
			}
			return
		}
		payload, _ := ev.Payload.(json.RawMessage)
		if !bytes.Contains(text, payload) || !json.Valid(payload) {
			t.Errorf("the payload of %q became %q", text, payload)
		}
		var plain struct {
			Type    string          `json:"type"`
			Channel string          `json:"channel"`
			ID      string          `json:"id"`
			Payload json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(text, &plain); err != nil || plain.Type != ev.Type ||
			plain.Channel != ev.Channel || plain.ID != ev.ID || !bytes.Equal(plain.Payload, payload) {
			t.Errorf("encoding/json reads %q as %+v (%v)", text, plain, err)
		}
		written, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		var again webhooks.Event
		if err := again.UnmarshalJSON(written); err != nil || again.Type != ev.Type ||
			again.Channel != ev.Channel || again.ID != ev.ID {
			t.Errorf("%q is written as %q: %v", text, written, err)
		}
	})
}
