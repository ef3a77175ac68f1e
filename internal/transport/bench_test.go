package transport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/transport"
)

// BenchmarkRoundTrip compares a request by the transport with the same request by net/http alone:
// over a connection ("loopback", with the server in the same process) and over none ("memory").
func BenchmarkRoundTrip(b *testing.B) {
	const body = `{"id":"msg_2abcdefghijklmnopqrstuvwxyz","eventType":"origin.create","payload":{},` +
		`"timestamp":"2026-11-23T00:00:00Z"}`
	srv := httptest.NewServer(answering(202, body))
	b.Cleanup(srv.Close)
	memory := roundTripper(answers(202, body))
	bases := []struct {
		name string
		url  string
		base http.RoundTripper
	}{
		{"memory", serverURL, memory},
		{"loopback", srv.URL, transport.Tuned()},
	}
	for _, bb := range bases {
		b.Run(bb.name+"/bare", func(b *testing.B) { benchmarkBare(b, bb.base, bb.url) })
		b.Run(bb.name+"/transport", func(b *testing.B) { benchmarkTransport(b, over(bb.base, policy), bb.url) })
	}
}

func benchmarkBare(b *testing.B, base http.RoundTripper, url string) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := base.RoundTrip(message(b, url))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

func benchmarkTransport(b *testing.B, rt http.RoundTripper, url string) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		var answer transport.Answer
		req := message(b, url)
		resp, err := rt.RoundTrip(req.WithContext(transport.WithAnswer(b.Context(), &answer)))
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

func message(b *testing.B, url string) *http.Request {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url,
		strings.NewReader(`{"eventType":"origin.create","payload":{"url":"https://example.org/"}}`))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "key")
	return req
}
