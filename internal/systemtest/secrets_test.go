package systemtest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

const (
	otherSecret = "whsec_b3RoZXI+c2VjcmV0P//7774gZm9yIGFuIGVuZHBvaW50IQ==" //nolint:gosec // made for this test
)

// A spy collects everything that is written or shown.
type spy struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

// Write takes what a logger writes.
func (s *spy) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(p)
}

// look collects what values look like in every way in which a program shows them.
func (s *spy) look(values ...any) {
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			_, _ = fmt.Fprintf(s, verb+"\n", v)
		}
		if text, err := json.Marshal(v); err == nil {
			_, _ = s.Write(append(text, '\n'))
		}
		slog.New(slog.NewJSONHandler(s, nil)).Info("shown", "value", v)
		slog.New(slog.NewTextHandler(s, nil)).Info("shown", "value", v)
	}
}

// lookAtError collects an error and all that is in its chain.
func (s *spy) lookAtError(err error) {
	if err == nil {
		return
	}
	s.look(err)
	switch wrapper := err.(type) { //nolint:errorlint // each link of the chain is wanted
	case interface{ Unwrap() error }:
		s.lookAtError(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, wrapped := range wrapper.Unwrap() {
			s.lookAtError(wrapped)
		}
	}
}

// check looks for secrets, whatever their encoding, and forgets what was seen.
func (s *spy) check(t *testing.T, what string, secrets ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.seen.Reset()
	for line := range strings.Lines(s.seen.String()) {
		for _, secret := range secrets {
			for _, form := range formsOf(secret) {
				if strings.Contains(line, form) {
					t.Errorf("%s shows %q: %s", what, form, line)
					return
				}
			}
		}
	}
}

// formsOf are the texts in which a secret may appear, or a long part of it.
func formsOf(secret string) []string {
	asJSON, _ := json.Marshal(secret) // a string always can be
	forms := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
		strings.Trim(string(asJSON), `"`),
		strings.ReplaceAll(secret, "/", `\/`), strings.Trim(strconv.Quote(secret), `"`),
		base64.StdEncoding.EncodeToString([]byte(secret))[:len(secret)], hex.EncodeToString([]byte(secret)),
	}
	key := strings.TrimPrefix(secret, "whsec_")
	for part := range strings.FieldsFuncSeq(key,
		func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if len(part) > 12 {
			forms = append(forms, part)
		}
	}
	if key != secret {
		forms = append(forms, formsOf(key)...)
	}
	return forms
}

// TestSpyFindsSecrets: the tests below cannot fail otherwise.
func TestSpyFindsSecrets(t *testing.T) {
	t.Parallel()
	var s spy
	for _, form := range formsOf(harness.SpiedSecret) {
		if s.look(struct{ Text string }{form}); !strings.Contains(s.seen.String(), form) {
			t.Errorf("%q was not seen", form)
		}
		s.seen.Reset()
	}
}

// spiedOperations are those of harness.Operations with secrets that are looked for, and a few that
// show what they return.
func spiedOperations(s *spy) map[string]harness.Operation {
	operations := harness.Operations()
	operations["CreateEndpoint, new"] = func(ctx context.Context, c *webhooks.Client) error {
		return c.CreateEndpoint(ctx, harness.NewEndpoint(), otherSecret)
	}
	operations["CreateEndpoint, existing"] = func(ctx context.Context, c *webhooks.Client) error {
		return c.CreateEndpoint(ctx, harness.KnownEndpoint(), otherSecret)
	}
	operations["RotateEndpointSecret"] = func(ctx context.Context, c *webhooks.Client) error {
		return c.RotateEndpointSecret(ctx, harness.KnownEndpoint(), otherSecret)
	}
	operations["ListEndpoints, shown"] = func(ctx context.Context, c *webhooks.Client) error {
		endpoints, err := webhooks.Collect(c.ListEndpoints(ctx, webhooks.TypeOriginCreate, webhooks.EndpointQuery{}))
		s.look(endpoints)
		return err
	}
	operations["ListSentEventsForEndpoint, shown"] = func(ctx context.Context, c *webhooks.Client) error {
		events, err := webhooks.Collect(c.ListSentEventsForEndpoint(ctx, harness.KnownEndpoint(),
			webhooks.SentEventQuery{}))
		s.look(events)
		return err
	}
	operations["SendEvent, shown"] = func(ctx context.Context, c *webhooks.Client) error {
		message, err := c.SendEvent(ctx, harness.KnownEvent())
		s.look(message, harness.KnownEvent(),
			webhooks.SendResult{Event: harness.KnownEvent(), Message: message, Err: err})
		return err
	}
	operations["a secret that cannot be one"] = func(ctx context.Context, c *webhooks.Client) error {
		return c.RotateEndpointSecret(ctx, harness.KnownEndpoint(), otherSecret+"!")
	}
	operations["a wrong name and a wrong URL"] = func(ctx context.Context, c *webhooks.Client) error {
		ep := webhooks.Endpoint{URL: "ftp://receiver.test", EventType: webhooks.TypeOriginCreate}
		s.lookAtError(c.CreateEndpoint(ctx, ep, otherSecret))
		return c.DeleteEventType(ctx, "nothing")
	}
	return operations
}

// echoes are answers that repeat the request's secrets.
func echoes() map[string]svixmock.Fault {
	all := "Authorization: Bearer " + harness.SpiedToken + " key=" + otherSecret + " " +
		url.QueryEscape(otherSecret) + " " + harness.SpiedSecret
	asJSON, _ := json.Marshal(all) // a string always can be
	page := http.Header{"Content-Type": {"text/html"}}
	return map[string]svixmock.Fault{
		"nothing wrong":   {Delay: 1},
		"HTML":            {Status: 400, Header: page, Body: "<html><pre>" + all + "</pre>"},
		"escaped HTML":    {Status: 400, Header: page, Body: "<html><pre>" + html.EscapeString(all) + "</pre>"},
		"retried HTML":    {Status: 503, Header: page, Body: "<html><pre>" + all + "</pre>"},
		"code and detail": {Status: 401, Body: `{"code":` + string(asJSON) + `,"detail":` + string(asJSON) + `}`},
		"422": {
			Status: 422,
			Body: `{"detail":[{"loc":["body",` + string(asJSON) + `],"msg":` + string(asJSON) +
				`,"type":"value_error"}]}`,
		},
		"odd JSON": {Status: 409, Body: strings.ReplaceAll(string(asJSON), "/", `\/`)},
		"redirect": {
			Status: 307,
			Header: http.Header{"Location": {"https://" + harness.SpiedToken + "@example.org/" +
				harness.SpiedToken + "/" + url.PathEscape(otherSecret) + "?t=" +
				harness.SpiedToken + "#" + harness.SpiedToken}},
		},
		"success that fails": {Status: 200, Body: "<html><pre>" + all + "</pre>"},
		"success, cut off":   {Status: 200, Body: `{"id":` + string(asJSON)},
		"success, unrelated": {Status: 200, Body: `{"error":` + string(asJSON) + `}`},
		"header":             {Status: 403, Header: http.Header{"X-Echo": {all}, "Www-Authenticate": {all}}},
		"half of it":         {Status: 500, Body: strings.Repeat(all, 9), Truncate: true},
		"no answer":          {Hang: true},
		"reset":              {Reset: true},
	}
}

// TestSecretsAreNeitherLoggedNorShown runs each operation into each failure, with a logger at debug
// level, and looks through the log, the errors and the results.
func TestSecretsAreNeitherLoggedNorShown(t *testing.T) {
	t.Parallel()
	for name := range echoes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				var s spy
				for operationName, do := range spiedOperations(&s) {
					mock := harness.NewServer(t, svixmock.Config{Token: harness.SpiedToken})
					if err := harness.NewClient(t, mock.RoundTripper(),
						harness.SpiedToken).RotateEndpointSecret(t.Context(),
						harness.KnownEndpoint(), harness.SpiedSecret); err != nil {
						t.Fatal(err)
					}
					mock.FailRate(1, 1, echoes()[name])
					logger := webhooks.WithLogger(slog.New(slog.NewJSONHandler(&s,
						&slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true})))
					client := harness.NewClient(t, mock.RoundTripper(), harness.SpiedToken, logger,
						webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 2}))
					s.lookAtError(do(t.Context(), client))
					s.look(client, *client) // a copy may be shown as well
					s.check(t, operationName, harness.SpiedToken, harness.SpiedSecret, otherSecret)
					mock.Close()
				}
			})
		})
	}
}

// TestMalformedAnswersShowNoSecret: net/http quotes what it cannot read, and a broken proxy may
// send back the request as its answer.
func TestMalformedAnswersShowNoSecret(t *testing.T) {
	t.Parallel()
	all := harness.SpiedToken + " " + otherSecret + " https://user:" + otherSecret + "@example.org/"
	for name, answer := range map[string]string{
		"status line": "HTTP/1.1 " + all + "\r\n\r\n",
		"no protocol": all + "\r\n\r\n",
		"header line": "HTTP/1.1 200 OK\r\n" + all + "\r\n\r\n",
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: " + all + "\r\n\r\n",
		"encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + all + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() { answerAll(listener, answer) })
			t.Cleanup(serving.Wait)
			t.Cleanup(func() { _ = listener.Close() })
			var s spy
			client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
				webhooks.WithServerURL("http://"+listener.Addr().String()), webhooks.WithAuthToken(harness.SpiedToken),
				webhooks.WithLogger(slog.New(slog.NewTextHandler(&s, &slog.HandlerOptions{Level: slog.LevelDebug}))),
				webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 2, MinBackoff: time.Nanosecond}))
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Ping(t.Context()); err == nil {
				t.Error("the answer was taken for one")
			} else {
				s.lookAtError(err)
			}
			s.check(t, "Ping", harness.SpiedToken, otherSecret)
		})
	}
}

// answerAll gives one answer to whoever asks.
func answerAll(listener net.Listener, answer string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
	}
}

// TestConfigurationShowsNoToken: neither a configuration nor what is wrong with one.
func TestConfigurationShowsNoToken(t *testing.T) {
	t.Parallel()
	var s spy
	cfg := webhooks.Config{Svix: webhooks.SvixConfig{ServerURL: "http://svix.test", AuthToken: harness.SpiedToken}}
	s.look(cfg, &cfg, cfg.Svix, cfg.Svix.AuthToken, &cfg.Svix.AuthToken, []webhooks.Config{cfg})
	s.look(webhooks.WithConfig(cfg), webhooks.WithAuthToken(harness.SpiedToken))
	for _, wrong := range []webhooks.Config{
		{Svix: webhooks.SvixConfig{
			ServerURL: "http://" + harness.SpiedToken + "@svix.test",
			AuthToken: harness.SpiedToken + "\n",
		}},
		{Svix: webhooks.SvixConfig{
			ServerURL: "http://svix.test/?token=" + harness.SpiedToken,
			AuthToken: harness.SpiedToken + " ",
		}},
		{Svix: webhooks.SvixConfig{
			ServerURL: "http://svix.test:" + harness.SpiedToken,
			AuthToken: "é" + harness.SpiedToken,
		}},
		{
			Svix:                 webhooks.SvixConfig{ServerURL: harness.SpiedToken, AuthToken: harness.SpiedToken},
			EventRetentionPeriod: 1,
		},
		{Svix: webhooks.SvixConfig{AuthToken: harness.SpiedToken}},
	} {
		_, err := webhooks.NewClient(webhooks.WithConfig(wrong))
		if err == nil {
			t.Errorf("%v gave no error", wrong)
		}
		s.lookAtError(err)
	}
	s.check(t, "a configuration", harness.SpiedToken)
}

// TestConfigurationFilesShowNoToken, however wrong they are written.
func TestConfigurationFilesShowNoToken(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	const token = "c3BpZWQ_dG9rZW4-LQ" //nolint:gosec // made for this test; it can be an alias, too
	const svix = "webhooks:\n  svix:\n    server_url: http://svix.test\n    "
	for name, text := range map[string]string{ //nolint:gosec // no password
		"alias":            svix + "auth_token: *TOKEN\n",
		"tag":              svix + "auth_token: !TOKEN x\n",
		"integer tag":      svix + "auth_token: !!int TOKEN\n",
		"float tag":        svix + "auth_token: !!float TOKEN\n",
		"binary tag":       svix + "auth_token: !!binary TOKEN\n",
		"time tag":         svix + "auth_token: !!timestamp TOKEN\n",
		"not closed":       svix + "auth_token: \"TOKEN\n",
		"escape":           svix + "auth_token: \"\\qTOKEN\"\n",
		"two colons":       svix + "auth_token: TOKEN: x\n",
		"mapping":          svix + "auth_token: {TOKEN}\n",
		"mapping to it":    svix + "auth_token: {a: TOKEN}\n",
		"list":             svix + "auth_token: [TOKEN]\n",
		"no blank":         svix + "auth_token:TOKEN\n",
		"no blank, line":   "webhooks:\n  svix:\n    auth_token:TOKEN\n    server_url: http://svix.test\n",
		"no blank, colon":  svix + "auth_token:TOKEN: x\n",
		"block":            svix + "auth_token: |TOKEN\n",
		"directive":        "%TOKEN\n" + svix + "auth_token: x\n",
		"at":               svix + "auth_token: @TOKEN\n",
		"control":          svix + "auth_token: TOKEN\x01\n",
		"not UTF-8":        svix + "auth_token: TOKEN\xff\n",
		"twice":            svix + "auth_token: TOKEN\n    auth_token: TOKEN\n",
		"merged":           svix + "<<: TOKEN\n    auth_token: TOKEN\n",
		"as the period":    svix + "auth_token: TOKEN\n  event_retention_period: TOKEN\n",
		"period, int tag":  svix + "auth_token: TOKEN\n  event_retention_period: !!int TOKEN\n",
		"as the URL":       "webhooks:\n  svix:\n    server_url: TOKEN\n",
		"as the user":      "webhooks:\n  svix:\n    server_url: http://a:TOKEN@svix.test\n",
		"as the port":      "webhooks:\n  svix:\n    server_url: http://svix.test:TOKEN\n",
		"as svix":          "webhooks:\n  svix: TOKEN\n",
		"as webhooks":      "webhooks: TOKEN\n",
		"as the file":      "TOKEN\n",
		"as all documents": "TOKEN\n---\nTOKEN\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.yml")
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "TOKEN", token)), 0o600); err != nil {
				t.Fatal(err)
			}
			var s spy
			cfg, err := webhooks.LoadConfig(path)
			s.look(cfg)
			s.lookAtError(err)
			_, err = webhooks.NewClient(webhooks.WithConfigFile(path))
			s.lookAtError(err)
			if err == nil {
				t.Logf("is not wrong: %s", text)
			}
			s.check(t, "the file", token)
		})
	}
}
