package otelwebhooks_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/otelwebhooks"
)

// Metrics of a sender that Prometheus can scrape. Spans go the same way, to a trace provider.
func ExampleNewTracer() {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		log.Fatal(err)
	}
	tracer, err := otelwebhooks.NewTracer(
		otelwebhooks.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))))
	if err != nil {
		log.Fatal(err)
	}
	client := exampleClient(webhooks.WithTracer(tracer))
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	for _, url := range []string{"https://git.example.org/a", "https://git.example.org/b"} {
		event := webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: webhooks.OriginCreate{OriginURL: url}}
		if _, err := client.SendEvent(context.Background(), event); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(scrape("messaging_client_operation_duration_seconds_count"))
	// Output:
	// sends of origin.create that are sent: 2
}

// exampleClient is a client of a server that is there for the example.
func exampleClient(opts ...webhooks.Option) *webhooks.Client {
	server := svixmock.New(svixmock.Config{})
	client, err := webhooks.NewClient(append(opts,
		webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL("https://svix.example.org"),
		webhooks.WithAuthToken(server.Token()),
		webhooks.WithHTTPClient(&http.Client{Transport: server.RoundTripper()}),
		webhooks.WithoutListenerCheck())...)
	if err != nil {
		log.Fatal(err)
	}
	for _, et := range webhooks.DefaultEventTypes() {
		if err := client.CreateEventType(context.Background(), et); err != nil {
			log.Fatal(err)
		}
	}
	return client
}

// scrape does what Prometheus does, and says what it found of a metric.
func scrape(metric string) string {
	answer := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(answer,
		httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", http.NoBody))
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if labels, value, ok := strings.Cut(lines.Text(), "} "); ok && strings.HasPrefix(labels, metric+"{") {
			return fmt.Sprintf("sends of %s that are %s: %s",
				label(labels, "messaging_destination_name"), label(labels, "webhooks_outcome"), value)
		}
	}
	return "nothing found of " + metric + " in: " + answer.Body.String()
}

func label(labels, name string) string {
	_, rest, _ := strings.Cut(labels, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
