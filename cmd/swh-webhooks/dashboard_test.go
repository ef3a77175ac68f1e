package main_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// A dashboardProcess is the command, which runs, and a browser that has come by its address.
type dashboardProcess struct {
	address string
	client  *http.Client
	stop    func() (warnings string)
}

func startDashboard(t *testing.T, server *httptest.Server, args ...string) *dashboardProcess {
	t.Helper()
	var warnings bytes.Buffer
	args = append([]string{"-u", server.URL, "dashboard", "--listen", "127.0.0.1:0"}, args...)
	cmd := exec.CommandContext(t.Context(), "swh-webhooks", args...) //nolint:gosec // the test's own words
	cmd.Env = append(os.Environ(), "SVIX_TOKEN="+token)
	cmd.Stderr = &warnings
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, warnings.String())
	}
	p := newDashboardProcess(t)
	p.address = strings.TrimSpace(address)
	p.stop = func() string {
		t.Helper()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, warnings.String())
		}
		return warnings.String()
	}
	return p
}

func newDashboardProcess(t *testing.T) *dashboardProcess {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &dashboardProcess{client: &http.Client{Jar: jar}}
}

func (p *dashboardProcess) get(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func newPreparedServer(t *testing.T) *httptest.Server {
	t.Helper()
	mock := svixmock.New(svixmock.Config{Token: token})
	server := httptest.NewServer(mock)
	t.Cleanup(server.Close)
	t.Cleanup(mock.Close)
	prepareServer(t, server.URL, "https://example.org/webhook")
	return server
}

func TestDashboardServes(t *testing.T) {
	t.Parallel()
	server := newPreparedServer(t)
	p := startDashboard(t, server)
	base, key, ok := strings.Cut(p.address, "/?key=")
	if !ok || !strings.HasPrefix(base, "http://127.0.0.1:") || len(key) < 20 {
		t.Errorf("the address is %q", p.address)
	}
	if got := p.get(t, base); !strings.Contains(got, "Open the address with the key") {
		t.Errorf("without the key: %s", got)
	}
	if got := p.get(t, p.address); !strings.Contains(got, "https://example.org/webhook") ||
		!strings.Contains(got, server.URL) {
		t.Errorf("with the key: %s", got)
	}
	if warnings := p.stop(); warnings != "" {
		t.Errorf("it warns: %s", warnings)
	}
}

func TestDashboardWarnsOfTheKeyInTheClear(t *testing.T) {
	t.Parallel()
	p := startDashboard(t, newPreparedServer(t), "--listen", "0.0.0.0:0", "--allow-remote")
	if !strings.HasPrefix(p.address, "http://127.0.0.1:") {
		t.Errorf("the address is %q", p.address)
	}
	if warnings := p.stop(); !strings.Contains(warnings, "WARNING") || !strings.Contains(warnings, "in the clear") {
		t.Errorf("it says %q, want a warning", warnings)
	}
}

func TestDashboardServesByHTTPS(t *testing.T) {
	t.Parallel()
	certificates := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(certificates.Close)
	pair := certificates.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startDashboard(t, newPreparedServer(t), "--listen", "0.0.0.0:0", "--allow-remote",
		"--tls-cert", certFile, "--tls-key", keyFile)
	p.client.Transport = certificates.Client().Transport
	if got := p.get(t, p.address); !strings.HasPrefix(p.address, "https://") ||
		!strings.Contains(got, "https://example.org/webhook") {
		t.Errorf("%s shows %s", p.address, got)
	}
	if warnings := p.stop(); warnings != "" {
		t.Errorf("it warns: %s", warnings)
	}
}

func TestDashboardOfTheMockServer(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "swh-webhooks", "mock-server", "--listen", "127.0.0.1:0", "--dashboard")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := newDashboardProcess(t)
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		if address, ok := strings.CutPrefix(lines.Text(), "DASHBOARD_URL="); ok {
			p.address = address
		}
	}
	if got := p.get(t, p.address); !strings.Contains(got, "No event types yet") {
		t.Errorf("%s shows %s", p.address, got)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestDashboardWrongUse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		status int
		text   string
	}{
		"all addresses":    {[]string{"--listen", "0.0.0.0:0"}, 2, "--allow-remote"},
		"a remote address": {[]string{"--listen", "192.0.2.1:0"}, 2, "--allow-remote"},
		"no port":          {[]string{"--listen", "127.0.0.1"}, 2, "--listen"},
		"half of TLS":      {[]string{"--tls-cert", "cert.pem"}, 2, "go together"},
		"no such file":     {[]string{"--tls-cert", "none.pem", "--tls-key", "none.pem"}, 2, "none.pem"},
		"an argument":      {[]string{"8090"}, 2, "8090"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			args := append([]string{"-u", "http://127.0.0.1:1", "dashboard", "--listen", "127.0.0.1:0"}, tt.args...)
			cmd := exec.CommandContext(t.Context(), "swh-webhooks", args...) //nolint:gosec // the test's own words
			cmd.Env = append(os.Environ(), "SVIX_TOKEN="+token)
			cmd.Stderr = &text
			_ = cmd.Run() // the status tells
			if status := cmd.ProcessState.ExitCode(); status != tt.status || !strings.Contains(text.String(), tt.text) {
				t.Errorf("status %d, %s; want %d, %q", status, text.String(), tt.status, tt.text)
			}
		})
	}
}
