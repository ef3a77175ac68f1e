package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/softwareheritage/webhooks"
)

func TestMockServerServes(t *testing.T) {
	t.Parallel()
	p := startMockServer(t, "--retry-schedule", "1ms", "--token", "my-token-of-the-archive", "--log")
	if p.token != "my-token-of-the-archive" {
		t.Errorf("token %q, want the given one", p.token)
	}
	receiver, attempts := newReceiver(t, http.StatusServiceUnavailable, http.StatusNoContent)
	secret := send(t, p, receiver)

	for _, want := range []int{http.StatusServiceUnavailable, http.StatusNoContent} {
		a := <-attempts
		if a.answered != want {
			t.Errorf("attempt answered %d, want %d", a.answered, want)
		}
		if a.header.Get("Webhook-Id") == "" {
			t.Errorf("no white-label headers: %v", a.header)
		}
		if _, err := webhooks.VerifyPayload(secret, a.header, a.body); err != nil {
			t.Error(err)
		}
	}
	log := p.signal(t, os.Interrupt)
	for _, line := range []string{
		"msg=request method=POST path=/api/v1/app/", "status=202", "msg=delivery",
		"status=503", "status=204",
	} {
		if !strings.Contains(log, line) {
			t.Errorf("the log lacks %q", line)
		}
	}
	for _, secret := range []string{"my-token-of-the-archive", "origin_url", "whsec_", secret} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

func TestMockServerByDefault(t *testing.T) {
	t.Parallel()
	p := startMockServer(t)
	receiver, attempts := newReceiver(t, http.StatusServiceUnavailable)
	send(t, p, receiver)
	if a := <-attempts; a.header.Get("Webhook-Id") == "" {
		t.Errorf("no white-label headers, which are the default: %v", a.header)
	}
	if log := p.signal(t, syscall.SIGTERM); log != "" { // it did not wait for the next attempt, in 5 s
		t.Errorf("logs although not asked for: %s", log)
	}
}

func TestMockServerWithSvixHeaders(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"--svix-headers", "--whitelabel=false"} {
		p := startMockServer(t, option)
		receiver, attempts := newReceiver(t, http.StatusNoContent)
		send(t, p, receiver)
		if a := <-attempts; a.header.Get("Svix-Id") == "" || a.header.Get("Webhook-Id") != "" {
			t.Errorf("%s: got the headers %v", option, a.header)
		}
		p.signal(t, os.Interrupt)
	}
}

// The tokens of all organizations that are signed with the secret are accepted, and each sees its
// own.
func TestMockServerOfSeveralOrganizations(t *testing.T) {
	t.Parallel()
	const secret = "the-secret-of-several-organizations"
	p := startMockServer(t, "--jwt-secret", secret)
	one, two := p.client(t, p.token), p.client(t, organizationToken(secret, "org_2"))
	if err := one.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := two.GetEventType(t.Context(), webhooks.TypeOriginCreate); !errors.Is(
		err,
		webhooks.ErrEventTypeNotFound,
	) {
		t.Errorf("got error %v, want %v", err, webhooks.ErrEventTypeNotFound)
	}
	other := p.client(t, organizationToken("another-secret-of-organizations", "org_2"))
	if err := other.Ping(t.Context()); !errors.Is(err, webhooks.ErrUnauthorized) {
		t.Errorf("got error %v, want %v", err, webhooks.ErrUnauthorized)
	}
	p.signal(t, os.Interrupt)
}

// organizationToken signs a token as a Svix server does.
func organizationToken(secret, organization string) string {
	encode := base64.RawURLEncoding.EncodeToString
	content := encode(
		[]byte(`{"alg":"HS256","typ":"JWT"}`),
	) + "." + encode(
		[]byte(`{"sub":"`+organization+`"}`),
	)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(content))
	return content + "." + encode(mac.Sum(nil))
}

func TestMockServerWithHTTPSOnly(t *testing.T) {
	t.Parallel()
	p := startMockServer(t, "--endpoint-https-only")
	client := p.client(t, p.token)
	if err := client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		t.Fatal(err)
	}
	ep := webhooks.Endpoint{URL: "http://receiver.example/", EventType: webhooks.TypeOriginCreate}
	err := client.CreateEndpoint(t.Context(), ep, "")
	if api := (*webhooks.APIError)(nil); !errors.As(err, &api) ||
		!strings.Contains(api.Detail, "endpoint_https_only") {
		t.Errorf("got error %v, want one about endpoint_https_only", err)
	}
	ep.URL = "https://receiver.example/"
	if err := client.CreateEndpoint(t.Context(), ep, ""); err != nil {
		t.Error(err)
	}
	p.signal(t, os.Interrupt)
}

// Web pages may send requests, and need the token.
func TestMockServerAllowsOtherOrigins(t *testing.T) {
	t.Parallel()
	p := startMockServer(t)
	for token, want := range map[string]int{p.token: http.StatusOK, "another": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/app", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://page.example")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != want || got != "*" {
			t.Errorf("got status %d for the origins %q, want %d for all", resp.StatusCode, got, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	p.signal(t, os.Interrupt)
}

func TestMockServerWarnsOfShortSecrets(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"--token", "--jwt-secret"} {
		p := startMockServer(t, option, "fifteen-letters")
		if log := p.signal(t, os.Interrupt); !strings.Contains(log, "Warning: "+option) ||
			strings.Contains(log, "fifteen") {
			t.Errorf("%s: got %q, want a warning", option, log)
		}
		p = startMockServer(t, option, "sixteen-letters!")
		if log := p.signal(t, os.Interrupt); log != "" {
			t.Errorf("%s: got %q, want no warning", option, log)
		}
	}
}

func TestMockServerWithoutRetries(t *testing.T) {
	t.Parallel()
	p := startMockServer(t, "--retry-schedule", "", "--log")
	receiver, _ := newReceiver(t, http.StatusServiceUnavailable)
	send(t, p, receiver)
	for line := range p.log {
		if strings.Contains(line, "msg=delivery") {
			if !strings.Contains(line, "status=503 retry=false") {
				t.Errorf("got %q, want no retry", line)
			}
			break
		}
	}
	p.signal(t, os.Interrupt)
}

func TestMockServerRefusesOtherTokens(t *testing.T) {
	t.Parallel()
	p := startMockServer(t)
	_, err := webhooks.Collect(p.client(t, "another").ListEventTypes(t.Context()))
	var api *webhooks.APIError
	if !errors.As(err, &api) || api.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %v, want status 401", err)
	}
	p.signal(t, os.Interrupt)
}

func TestMockServerAllowsRemoteOnRequest(t *testing.T) {
	t.Parallel()
	p := startMockServer(t, "--listen", "0.0.0.0:0", "--allow-remote")
	if !strings.HasPrefix(p.url, "http://127.0.0.1:") {
		t.Errorf("%s is no address for a client on this machine", p.url)
	}
	if _, err := webhooks.Collect(p.client(t, p.token).ListEventTypes(t.Context())); err != nil {
		t.Error(err)
	}
	p.signal(t, os.Interrupt)
}

func TestMockServerWrongUse(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // not before the last subtest
	tests := map[string]struct {
		args   []string
		status int
		text   string
	}{
		"all addresses":            {[]string{"--listen", "0.0.0.0:0"}, 2, "--allow-remote"},
		"all addresses, v6":        {[]string{"--listen", "[::]:0"}, 2, "--allow-remote"},
		"no host":                  {[]string{"--listen", ":0"}, 2, "--allow-remote"},
		"a remote address":         {[]string{"--listen", "192.0.2.1:0"}, 2, "--allow-remote"},
		"no port":                  {[]string{"--listen", "127.0.0.1"}, 2, "--listen"},
		"no address":               {[]string{"--listen", ""}, 2, "--listen"},
		"port in use":              {[]string{"--listen", taken.Addr().String()}, 1, "in use"},
		"token of two words":       {[]string{"--token", "one two"}, 2, "--token"},
		"token with a break":       {[]string{"--token", "one\ntwo"}, 2, "--token"},
		"token not ASCII":          {[]string{"--token", "clé"}, 2, "--token"},
		"delay without unit":       {[]string{"--retry-schedule", "1,5"}, 2, "--retry-schedule"},
		"delay missing":            {[]string{"--retry-schedule", "1s,,5s"}, 2, "--retry-schedule"},
		"negative delay":           {[]string{"--retry-schedule", "1s,-5s"}, 2, "negative"},
		"both families of headers": {[]string{"--whitelabel", "--svix-headers"}, 2, "svix-headers"},
		"an argument":              {[]string{"8071"}, 2, "8071"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, text bytes.Buffer
			args := append([]string{"mock-server", "--listen", "127.0.0.1:0"}, tt.args...)
			cmd := exec.CommandContext(t.Context(), "swh-webhooks", args...) //nolint:gosec // the test's own words
			cmd.Stdout, cmd.Stderr = &out, &text
			_ = cmd.Run() // the status tells
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d", got, tt.status)
			}
			if !strings.HasPrefix(text.String(), "Error: ") || !strings.Contains(text.String(), tt.text) {
				t.Errorf("error %q, want one about %q", &text, tt.text)
			}
			if out.Len() > 0 {
				t.Errorf("output: %q", &out)
			}
		})
	}
}

// A process is a mock server that runs.
type process struct {
	url, token string

	cmd *exec.Cmd
	out *bufio.Scanner
	log <-chan string // lines on standard error, closed at their end
}

// startMockServer runs a mock server on a free port and reads what it says until
// it is ready.
func startMockServer(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, kill := context.WithCancel(context.Background())
	t.Cleanup(kill)
	args = append([]string{"mock-server", "--listen", "127.0.0.1:0"}, args...)
	cmd := exec.CommandContext(ctx, "swh-webhooks", args...) //nolint:gosec // the test's own words
	out, errOut := cmd.StdoutPipe()
	log, errLog := cmd.StderrPipe()
	if err := errors.Join(errOut, errLog, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, out: bufio.NewScanner(out), log: lines(log)}
	settings := map[string]string{}
	for p.out.Scan() {
		name, value, isSetting := strings.Cut(p.out.Text(), "=")
		if isSetting {
			settings[name] = value
			continue
		}
		if name != "ready" {
			t.Fatalf("unexpected line %q", name)
		}
		p.url, p.token = settings["SVIX_URL"], settings["SVIX_TOKEN"]
		if len(settings) != 2 || p.url == "" || p.token == "" {
			t.Fatalf("got the settings %v, want SVIX_URL and SVIX_TOKEN", settings)
		}
		return p
	}
	t.Fatalf("ended before it was ready: %s", p.wait(t))
	return nil
}

// lines reads the lines of a stream in a goroutine.
func lines(r io.Reader) <-chan string {
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// signal makes the server end, which has to be a success, and returns what is
// left of its log.
func (p *process) signal(t *testing.T, sig os.Signal) string {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	for p.out.Scan() {
		t.Errorf("unexpected line %q", p.out.Text())
	}
	return p.wait(t)
}

// wait waits for the end of the server, which has to be a success.
func (p *process) wait(t *testing.T) string {
	t.Helper()
	var log strings.Builder
	for line := range p.log {
		log.WriteString(line + "\n")
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	return log.String()
}

func (p *process) client(t *testing.T, token string) *webhooks.Client {
	t.Helper()
	c, err := webhooks.NewClient(
		webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(p.url),
		webhooks.WithAuthToken(token),
	)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends one event to the receiver and returns the endpoint's secret.
func send(t *testing.T, p *process, receiver string) string {
	t.Helper()
	client := p.client(t, p.token)
	et := webhooks.DefaultEventTypes()[0]
	ep := webhooks.Endpoint{URL: receiver, EventType: et.Name}
	if err := client.CreateEventType(t.Context(), et); err != nil {
		t.Fatal(err)
	}
	if err := client.CreateEndpoint(t.Context(), ep, ""); err != nil {
		t.Fatal(err)
	}
	secret, err := client.GetEndpointSecret(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	payload := webhooks.OriginCreate{OriginURL: "https://example.org/"}
	if m, err := client.SendEvent(t.Context(), webhooks.Event{Type: et.Name, Payload: payload}); err != nil ||
		m.IsZero() {
		t.Fatalf("SendEvent: %v, %v", m, err)
	}
	return secret
}

// An attempt is what the receiver got.
type attempt struct {
	header   http.Header
	body     []byte
	answered int
}

// newReceiver gives its answers one after the other, the last one for ever.
func newReceiver(t *testing.T, answers ...int) (string, <-chan attempt) {
	t.Helper()
	attempts := make(chan attempt, 100)
	next := make(chan int, 1)
	next <- 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		i := <-next
		next <- min(i+1, len(answers)-1)
		w.WriteHeader(answers[i])
		attempts <- attempt{header: r.Header, body: body, answered: answers[i]}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, attempts
}
