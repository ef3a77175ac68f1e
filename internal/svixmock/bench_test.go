package svixmock_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// benchServer is a server with an application "app".
func benchServer(b *testing.B) *svixmock.Server {
	b.Helper()
	s := svixmock.New(svixmock.Config{})
	b.Cleanup(s.Close)
	if got := benchDo(b, s, http.MethodPost, "/app", `{"name":"app","uid":"app"}`, ""); got != http.StatusCreated {
		b.Fatalf("creating the application: status %d", got)
	}
	return s
}

func benchDo(b *testing.B, s *svixmock.Server, method, path, body, key string) int {
	b.Helper()
	req, err := http.NewRequestWithContext(
		b.Context(),
		method,
		"http://svix.example/api/v1"+path,
		strings.NewReader(body),
	)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token())
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := s.RoundTripper().RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		b.Fatal(err)
	}
	return resp.StatusCode
}

// The server must never be what a benchmark of a client measures.
func BenchmarkMessageCreate(b *testing.B) {
	const body = `{"eventType":"origin.visit","payload":{},"channels":["c"],"payloadRetentionPeriod":90,` +
		`"transformationsParams":{"rawPayload":"{\"origin_url\":\"https://example.org/\",\"visit_type\":\"git\"}"}}`
	for name, prefix := range map[string]string{"no key": "", "idempotency key": "auto_"} {
		b.Run(name, func(b *testing.B) {
			s := benchServer(b)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					key := ""
					if prefix != "" {
						key = fmt.Sprintf("%s%p%d", prefix, pb, i)
					}
					if got := benchDo(b, s, http.MethodPost, "/app/app/msg?with_content=false", body,
						key); got != http.StatusAccepted {
						b.Fatalf("got status %d", got)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// A page costs the same however many attempts there are.
func BenchmarkAttemptPage(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := benchServer(b)
			if got := benchDo(b, s, http.MethodPost, "/app/app/endpoint", `{"url":"https://r.example",`+
				`"uid":"ep"}`, ""); got != http.StatusCreated {
				b.Fatalf("creating the endpoint: status %d", got)
			}
			before := heap()
			begin := time.Now().Add(-time.Hour)
			err := s.SeedAttempts(n, svixmock.Seed{
				App: "app", Endpoint: "ep", EventType: "origin.visit",
				Payload: func(int) []byte { return nil },
				At:      func(i int) time.Time { return begin.Add(time.Duration(i) * time.Millisecond) },
			})
			if err != nil {
				b.Fatal(err)
			}
			bytesPerAttempt := float64(heap()-before) / float64(n)
			b.ResetTimer()
			for b.Loop() {
				if got := benchDo(b, s, http.MethodGet, "/app/app/attempt/endpoint/ep?limit=250", "",
					""); got != http.StatusOK {
					b.Fatalf("got status %d", got)
				}
			}
			b.ReportMetric(bytesPerAttempt, "B/attempt")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Endpoints on other channels do not slow the creation of messages down. Both servers are measured
// in turns, and the best of each counts, since the machine may have other work.
func BenchmarkMessageCreateBesideOtherChannels(b *testing.B) {
	const body = `{"eventType":"origin.visit","payload":{"origin_url":"https://git.example.org/r"},"channels":["mine"]}`
	few, many := endpointsOnOtherChannels(b, 10), endpointsOnOtherChannels(b, 10_000)
	best := map[*svixmock.Server]time.Duration{few: time.Hour, many: time.Hour}
	const batch = 100
	for b.Loop() {
		for s := range best {
			begin := time.Now()
			for range batch {
				if got := benchDo(b, s, http.MethodPost, "/app/app/msg?with_content=false", body,
					""); got != http.StatusAccepted {
					b.Fatalf("got status %d", got)
				}
			}
			best[s] = min(best[s], time.Since(begin))
		}
	}
	b.ReportMetric(batch/best[few].Seconds(), "messages/s-with-10")
	b.ReportMetric(batch/best[many].Seconds(), "messages/s-with-10000")
	b.ReportMetric(float64(best[few])/float64(best[many]), "ratio")
}

func endpointsOnOtherChannels(b *testing.B, n int) *svixmock.Server {
	b.Helper()
	s := benchServer(b)
	for i := range n {
		endpoint := fmt.Sprintf(`{"url":"https://r.example/%d","channels":["other-%d"]}`, i, i)
		if got := benchDo(b, s, http.MethodPost, "/app/app/endpoint", endpoint, ""); got != http.StatusCreated {
			b.Fatalf("creating an endpoint: status %d", got)
		}
	}
	return s
}

// No route is slower with 1,000,000 stored messages than with 1,000, all with an attempt, and 100
// of them of a type and on a channel of their own.
func BenchmarkRoutesByStoredMessages(b *testing.B) {
	routes := map[string]string{
		"create message":      "POST /app/app/msg",
		"get message":         "GET /app/app/msg/%s",
		"list messages":       "GET /app/app/msg?limit=50",
		"messages by type":    "GET /app/app/msg?limit=50&event_types=origin.rare",
		"messages by channel": "GET /app/app/msg?limit=50&channel=rare",
		"attempts":            "GET /app/app/attempt/endpoint/ep?limit=50",
		"attempts after":      "GET /app/app/attempt/endpoint/ep?limit=50&after=2026-01-01T00:00:00Z",
		"attempts of message": "GET /app/app/attempt/msg/%s",
		"attempted messages":  "GET /app/app/endpoint/ep/msg?limit=50",
		"destinations":        "GET /app/app/msg/%s/endpoint",
		"older attempts":      "GET /app/app/msg/%s/attempt",
		"statistics":          "GET /app/app/endpoint/ep/stats",
		"list endpoints":      "GET /app/app/endpoint",
		"resend":              "POST /app/app/msg/%s/endpoint/off/resend",
		"recover":             "POST /app/app/endpoint/off/recover",
		"rotate":              "POST /app/app/endpoint/off/secret/rotate",
	}
	for _, n := range []int{1_000, 1_000_000} {
		s := storedMessages(b, n)
		newest := s.Messages()[n-1].ID
		for _, name := range slices.Sorted(maps.Keys(routes)) {
			method, path, _ := strings.Cut(routes[name], " ")
			path = strings.Replace(path, "%s", newest, 1)
			b.Run(name+"/"+strconv.Itoa(n), func(b *testing.B) {
				for b.Loop() {
					body := ""
					if method == http.MethodPost {
						body = `{"eventType":"origin.visit","payload":{},"since":"` + time.Now().
							UTC().
							Format(time.RFC3339) +
							`","gracePeriodSeconds":0}`
					}
					if got := benchDo(b, s, method, path, body, ""); got > 299 {
						b.Fatalf("%s: got status %d", name, got)
					}
				}
			})
		}
	}
}

// storedMessages is a server with n messages of the last hour.
func storedMessages(b *testing.B, n int) *svixmock.Server {
	b.Helper()
	s := benchServer(b)
	for _, endpoint := range []string{`{"url":"https://r.example","uid":"ep"}`, `{"url":"https://r.example",` +
		`"uid":"off","disabled":true}`} {
		if got := benchDo(b, s, http.MethodPost, "/app/app/endpoint", endpoint, ""); got != http.StatusCreated {
			b.Fatalf("creating an endpoint: status %d", got)
		}
	}
	begin := time.Now().Add(-time.Hour)
	seed := svixmock.Seed{
		App: "app", Endpoint: "ep", EventType: "origin.visit",
		Payload: func(int) []byte { return []byte(`{"origin_url":"https://git.example.org/r"}`) },
		At:      func(i int) time.Time { return begin.Add(time.Duration(i) * time.Hour / time.Duration(n)) },
	}
	rare := seed
	rare.EventType, rare.Channels = "origin.rare", []string{"rare"}
	if err := errors.Join(s.SeedAttempts(100, rare), s.SeedAttempts(n-100, seed)); err != nil {
		b.Fatal(err)
	}
	return s
}
