package otelwebhooks_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/otelwebhooks"
	"github.com/softwareheritage/webhooks/webhookstest"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	full   = flag.Bool("full", false, "run tests that take long at their full size")
)

const (
	secret      = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // made for tests
	receiverURL = "https://hooks.example.org/new-origins"
)

// A setting is a server with a listener for new origins, and a client of it that is traced.
type setting struct {
	*webhookstest.Server

	client *webhooks.Client
	tracer *otelwebhooks.Tracer
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	s := &setting{
		Server: webhookstest.NewServer(t, webhookstest.InMemory()),
		spans:  tracetest.NewInMemoryExporter(),
		reader: sdkmetric.NewManualReader(),
	}
	var err error
	s.tracer, err = otelwebhooks.NewTracer(
		otelwebhooks.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))),
		otelwebhooks.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader))))
	if err != nil {
		t.Fatal(err)
	}
	s.Handle(receiverURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	plain := s.Client()
	for _, et := range webhooks.DefaultEventTypes() {
		if err := plain.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
	}
	if err := plain.CreateEndpoint(t.Context(),
		webhooks.Endpoint{URL: receiverURL, EventType: webhooks.TypeOriginCreate}, secret); err != nil {
		t.Fatal(err)
	}
	s.client = s.Client(webhooks.WithTracer(s.tracer))
	return s
}

func newOrigin(n int) webhooks.Event {
	url := fmt.Sprintf("https://git.example.org/project-%d", n)
	return webhooks.Event{
		Type: webhooks.TypeOriginCreate, ID: fmt.Sprintf("origin-%d", n), Channel: url,
		Payload: webhooks.OriginCreate{OriginURL: url},
	}
}

func (s *setting) send(t *testing.T, n int) {
	t.Helper()
	if _, err := s.client.SendEvent(t.Context(), newOrigin(n)); err != nil {
		t.Fatal(err)
	}
}

func isCreateOfMessage(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/msg")
}

func TestSpans(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, s *setting){
		"send-two-retries": func(t *testing.T, s *setting) {
			t.Helper()
			s.FailNext(1, webhookstest.Fault{Status: http.StatusServiceUnavailable, Only: isCreateOfMessage})
			s.FailNext(1, webhookstest.Fault{Reset: true, Only: isCreateOfMessage})
			s.send(t, 1)
		},
		"send-events": func(t *testing.T, s *setting) {
			t.Helper()
			s.send(t, 0) // so that nothing has to be looked up
			s.spans.Reset()
			events := slices.Values([]webhooks.Event{newOrigin(1), newOrigin(2), newOrigin(3)})
			for result := range s.client.SendEvents(t.Context(), events, 2) {
				if result.Err != nil {
					t.Error(result.Err)
				}
			}
		},
		"send-refused": func(t *testing.T, s *setting) {
			t.Helper()
			event := newOrigin(1)
			event.Payload = map[string]any{"url": "https://git.example.org/project-1"}
			if _, err := s.client.SendEvent(t.Context(), event); !errors.Is(err, webhooks.ErrInvalidPayload) {
				t.Error(err)
			}
		},
		"send-nobody-listens": func(t *testing.T, s *setting) {
			t.Helper()
			visit := webhooks.Event{Type: webhooks.TypeOriginVisit, Payload: webhooks.OriginVisit{
				OriginURL: "https://git.example.org/project-1", VisitType: "git", VisitStatus: webhooks.VisitFull,
				VisitDate: webhooks.NewVisitDate(time.Now()),
			}}
			if message, err := s.client.SendEvent(t.Context(), visit); err != nil || !message.IsZero() {
				t.Error(message, err)
			}
		},
		"listing": func(t *testing.T, s *setting) {
			t.Helper()
			if _, err := webhooks.Collect(s.client.ListEndpoints(t.Context(),
				webhooks.TypeOriginCreate, webhooks.EndpointQuery{})); err != nil {
				t.Error(err)
			}
		},
		"received": func(t *testing.T, s *setting) {
			t.Helper()
			calls := 0
			s.Handle(receiverURL, webhooks.NewHandler([]string{secret},
				func(ctx context.Context, _ webhooks.Delivery) error {
					tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer("receiver")
					_, span := tracer.Start(ctx, "index the origin")
					defer span.End()
					if calls++; calls == 1 {
						return errors.New("the database is down")
					}
					return nil
				}, webhooks.WithHandlerTracer(s.tracer)))
			s.send(t, 1)
			if err := s.WaitForDeliveries(t.Context(), 2); err != nil {
				t.Error(err)
			}
		},
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSetting(t)
				do(t, s)
				checkGolden(t, name+".txt", tree(s.spans.GetSpans()))
			})
		})
	}
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("spans differ from %s (with -update it is written anew); got:\n%s", path, got)
	}
}

// tree writes spans as a tree, one a line. Those that begin at the same time are sorted by text.
func tree(spans tracetest.SpanStubs) string {
	children := map[trace.SpanID][]tracetest.SpanStub{}
	for _, span := range spans {
		children[span.Parent.SpanID()] = append(children[span.Parent.SpanID()], span)
	}
	var write func(parent trace.SpanID, indent string) []string
	write = func(parent trace.SpanID, indent string) []string {
		var texts []string
		below := children[parent]
		slices.SortStableFunc(below, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
		for _, span := range below {
			lines := append([]string{indent + line(span)}, write(span.SpanContext.SpanID(), indent+"  ")...)
			texts = append(texts, strings.Join(lines, "\n"))
		}
		if parent == (trace.SpanID{}) {
			slices.Sort(texts)
		}
		return texts
	}
	return strings.Join(write(trace.SpanID{}, ""), "\n") + "\n"
}

func line(span tracetest.SpanStub) string {
	var attributes []string
	for _, kv := range span.Attributes {
		text := kv.Value.String()
		if kv.Key == "messaging.message.id" && strings.HasPrefix(text, "msg_") {
			text = "msg_..."
		}
		attributes = append(attributes, string(kv.Key)+"="+text)
	}
	slices.Sort(attributes)
	text := fmt.Sprintf("%s (%s) %s", span.Name, span.SpanKind, strings.Join(attributes, " "))
	if span.Status.Code == codes.Error {
		text += " ERROR" + span.Status.Description
	}
	return strings.TrimRight(text, " ")
}

// The spans of sender and receiver can be joined by the message.
func TestSenderAndReceiverNameTheMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting(t)
		s.Handle(receiverURL, webhooks.NewHandler([]string{secret}, func(context.Context, webhooks.Delivery) error {
			return nil
		},
			webhooks.WithHandlerTracer(s.tracer)))
		s.send(t, 1)
		if err := s.WaitForDeliveries(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ids := map[string]string{}
		for _, span := range s.spans.GetSpans() {
			for _, kv := range span.Attributes {
				if kv.Key == "messaging.message.id" {
					ids[span.Name] = kv.Value.AsString()
				}
			}
		}
		want := s.Messages()[0].ID
		if ids["send origin.create"] != want || ids["receive origin.create"] != want {
			t.Errorf("got %v, want %s for both", ids, want)
		}
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting(t)
		failures := 1
		s.Handle(receiverURL, webhooks.NewHandler([]string{secret}, func(context.Context, webhooks.Delivery) error {
			if failures--; failures >= 0 {
				return errors.New("the database is down")
			}
			return nil
		}, webhooks.WithHandlerTracer(s.tracer)))
		s.FailNext(2, webhookstest.Fault{Status: http.StatusServiceUnavailable, Only: isCreateOfMessage})
		s.send(t, 1)
		s.send(t, 2)
		if _, err := s.client.SendEvent(t.Context(),
			webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: 3}); err == nil {
			t.Error("sent a number")
		}
		if err := s.WaitForDeliveries(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		got := counts(t, s.reader)
		want := map[string]float64{
			"messaging.client.operation.duration messaging.destination.name=origin.create " +
				"messaging.operation.name=send messaging.system=svix webhooks.outcome=sent": 2,
			"messaging.client.operation.duration error.type=webhooks.ErrInvalidPayload " +
				"messaging.destination.name=origin.create messaging.operation.name=send " +
				"messaging.system=svix webhooks.outcome=failed": 1,
			"messaging.process.duration http.response.status_code=204 " +
				"messaging.destination.name=origin.create messaging.operation.name=receive messaging.system=svix": 2,
			"messaging.process.duration error.type=500 http.response.status_code=500 " +
				"messaging.destination.name=origin.create messaging.operation.name=receive messaging.system=svix": 1,
			"webhooks.client.active_sends messaging.destination.name=origin.create " +
				"messaging.operation.name=send messaging.system=svix": 0,
			"webhooks.client.retries": 2,
		}
		for key, n := range want {
			if g, ok := got[key]; !ok || g != n {
				t.Errorf("%s: got %v, want %v", key, g, n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("got %d series, want %d: %v", len(got), len(want), got)
		}
	})
}

// While sends are in flight they are counted.
func TestActiveSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting(t)
		s.FailNext(3, webhookstest.Fault{Delay: time.Second, Only: isCreateOfMessage})
		for n := range 3 {
			go func() {
				if _, err := s.client.SendEvent(t.Context(), newOrigin(n)); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		const key = "webhooks.client.active_sends messaging.destination.name=origin.create " +
			"messaging.operation.name=send messaging.system=svix"
		if got := counts(t, s.reader)[key]; got != 3 {
			t.Errorf("%v sends in flight, want 3", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := counts(t, s.reader)[key]; got != 0 {
			t.Errorf("%v sends in flight after they ended, want none", got)
		}
	})
}

// counts returns the value of each series, that of a histogram being how often it was recorded.
func counts(t *testing.T, reader *sdkmetric.ManualReader) map[string]float64 {
	t.Helper()
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, point := range data.DataPoints {
					values[series(m.Name, point.Attributes)] = float64(point.Count)
				}
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					values[series(m.Name, point.Attributes)] = float64(point.Value)
				}
			default:
				t.Errorf("%s is a %T", m.Name, m.Data)
			}
		}
	}
	return values
}

func series(name string, attributes attribute.Set) string {
	parts := []string{name}
	for _, kv := range attributes.ToSlice() { // sorted by key
		parts = append(parts, string(kv.Key)+"="+kv.Value.String())
	}
	return strings.Join(parts, " ")
}

// What is told goes to systems that many can read.
func TestNothingPrivateIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetting(t)
		s.Handle(receiverURL, webhooks.NewHandler([]string{secret}, func(context.Context, webhooks.Delivery) error {
			return errors.New("project-1 is unknown, " + secret)
		}, webhooks.WithHandlerTracer(s.tracer)))
		s.send(t, 1)
		s.FailNext(4, webhookstest.Fault{Status: http.StatusForbidden, Body: `{"detail":"` + s.Token + `"}`})
		if _, err := s.client.SendEvent(t.Context(), newOrigin(2)); err == nil {
			t.Error("sent")
		}
		if err := s.WaitForDeliveries(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		told := fmt.Sprintf("%+v %v", s.spans.GetSpans(), counts(t, s.reader))
		for _, private := range []string{"project-1", "git.example.org", "hooks.example.org", secret, s.Token, s.URL} {
			if strings.Contains(told, private) {
				t.Errorf("%q is told: %s", private, told)
			}
		}
	})
}
