package svixmock_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// benchServer is a server with an application "app".
func benchServer(b *testing.B, cfg svixmock.Config) *svixmock.Server {
	b.Helper()
	s := svixmock.New(cfg)
	b.Cleanup(s.Close)
	if got := benchDo(b, s, http.MethodPost, "/app", `{"name":"app","uid":"app"}`, ""); got != http.StatusCreated {
		b.Fatalf("creating the application: status %d", got)
	}
	return s
}

func benchDo(b *testing.B, s *svixmock.Server, method, path, body, key string) int {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, "http://svix.example/api/v1"+path, strings.NewReader(body))
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
			s := benchServer(b, svixmock.Config{})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					key := ""
					if prefix != "" {
						key = fmt.Sprintf("%s%p%d", prefix, pb, i)
					}
					if got := benchDo(b, s, http.MethodPost, "/app/app/msg?with_content=false", body, key); got != http.StatusAccepted {
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
			s := benchServer(b, svixmock.Config{})
			if got := benchDo(b, s, http.MethodPost, "/app/app/endpoint", `{"url":"https://r.example","uid":"ep"}`, ""); got != http.StatusCreated {
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
				if got := benchDo(b, s, http.MethodGet, "/app/app/attempt/endpoint/ep?limit=250", "", ""); got != http.StatusOK {
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
