// Package otelwebhooks makes spans and metrics of OpenTelemetry of what package webhooks does:
//
//	tracer, err := otelwebhooks.NewTracer()
//	if err != nil {
//		return err
//	}
//	client, err := webhooks.NewClient(webhooks.WithTracer(tracer))
//	...
//	handler := webhooks.NewHandler(secrets, receive, webhooks.WithHandlerTracer(tracer))
//
// # Spans
//
//   - "send <event type>" (producer): a SendEvent, from its call to its return.
//   - "try" (client): one try of a request, with the status of the answer, and how often the
//     request was sent before (http.request.resend_count).
//   - "wait": the time between two tries.
//   - "lookup <event type>": what a send has to ask before it can send.
//   - "list <what>": one page of a listing.
//   - "receive <event type>" (consumer): what a handler does with a delivery.
//
// Svix forwards no context of a trace, so that the spans of sender and receiver are in traces of
// their own. Both carry the message's id as messaging.message.id, by which they can be searched.
//
// # Metrics
//
//   - messaging.client.operation.duration, a histogram in seconds: sends, by event type and by
//     webhooks.outcome, which is "sent", "no_listener" or "failed", and then by error.type.
//   - webhooks.client.active_sends: sends that have begun and not ended, by event type.
//   - webhooks.client.retries: tries after the first one of a request.
//   - messaging.process.duration, a histogram in seconds: deliveries, by event type, by the status
//     of the answer, and by error.type.
//
// Neither spans nor metrics have channels, URLs, payloads, secrets or texts of errors.
package otelwebhooks

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/softwareheritage/webhooks"
)

const scope = "github.com/softwareheritage/webhooks/otelwebhooks"

// An Option changes a default of [NewTracer].
type Option func(*options)

type options struct {
	traces  trace.TracerProvider
	metrics metric.MeterProvider
}

// WithTracerProvider sets what makes spans. The default is the global one.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(o *options) { o.traces = p }
}

// WithMeterProvider sets what makes metrics. The default is the global one.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(o *options) { o.metrics = p }
}

// NewTracer returns a tracer for [webhooks.WithTracer] and [webhooks.WithHandlerTracer]. One can
// serve any number of clients and handlers. An error is that of the meter provider.
func NewTracer(opts ...Option) (*Tracer, error) {
	o := options{traces: otel.GetTracerProvider(), metrics: otel.GetMeterProvider()}
	for _, opt := range opts {
		opt(&o)
	}
	instruments, err := newInstruments(o.metrics.Meter(scope))
	if err != nil {
		return nil, err
	}
	return &Tracer{tracer: o.traces.Tracer(scope), instruments: instruments}, nil
}

// A Tracer is a [webhooks.Tracer].
type Tracer struct {
	tracer      trace.Tracer
	instruments instruments
}

// Start implements [webhooks.Tracer].
func (t *Tracer) Start(ctx context.Context, s webhooks.Span) (context.Context, func(webhooks.End)) {
	begin := time.Now()
	ctx, span := t.tracer.Start(ctx, spanName(s), trace.WithSpanKind(spanKind(s.Kind)),
		trace.WithAttributes(startAttributes(s)...))
	t.instruments.started(ctx, s)
	return ctx, func(e webhooks.End) {
		t.instruments.ended(ctx, s, e, time.Since(begin))
		span.SetAttributes(endAttributes(s, e)...)
		if failed(e) {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

func spanName(s webhooks.Span) string {
	switch {
	case s.Op != "":
		return s.Kind.String() + " " + s.Op
	case s.EventType != "":
		return s.Kind.String() + " " + s.EventType
	}
	return s.Kind.String()
}

func spanKind(k webhooks.SpanKind) trace.SpanKind {
	switch k {
	case webhooks.SpanSend:
		return trace.SpanKindProducer
	case webhooks.SpanTry:
		return trace.SpanKindClient
	case webhooks.SpanReceive:
		return trace.SpanKindConsumer
	default:
		return trace.SpanKindInternal
	}
}

// Attributes of the semantic conventions of OpenTelemetry, and those of our own.
const (
	system        = attribute.Key("messaging.system")
	operationName = attribute.Key("messaging.operation.name")
	operationType = attribute.Key("messaging.operation.type")
	destination   = attribute.Key("messaging.destination.name")
	messageID     = attribute.Key("messaging.message.id")
	statusCode    = attribute.Key("http.response.status_code")
	resendCount   = attribute.Key("http.request.resend_count")
	errorType     = attribute.Key("error.type")
	eventID       = attribute.Key("webhooks.event.id")
	outcome       = attribute.Key("webhooks.outcome")
)

func startAttributes(s webhooks.Span) []attribute.KeyValue {
	var attributes []attribute.KeyValue
	switch s.Kind { //nolint:exhaustive // the others are no operations on messages
	case webhooks.SpanSend:
		attributes = append(messagingAttributes(s), operationType.String("send"))
	case webhooks.SpanReceive:
		attributes = append(messagingAttributes(s), operationType.String("process"))
	}
	if s.EventID != "" {
		attributes = append(attributes, eventID.String(s.EventID))
	}
	if s.Kind == webhooks.SpanTry && s.Try > 1 {
		attributes = append(attributes, resendCount.Int(s.Try-1))
	}
	return attributes
}

func messagingAttributes(s webhooks.Span) []attribute.KeyValue {
	attributes := []attribute.KeyValue{system.String("svix"), operationName.String(s.Kind.String())}
	if s.EventType != "" {
		attributes = append(attributes, destination.String(s.EventType))
	}
	return attributes
}

func endAttributes(s webhooks.Span, e webhooks.End) []attribute.KeyValue {
	var attributes []attribute.KeyValue
	if e.MessageID != "" {
		attributes = append(attributes, messageID.String(e.MessageID))
	}
	if s.Kind == webhooks.SpanSend {
		attributes = append(attributes, outcome.String(outcomeOf(e)))
	}
	return append(attributes, answerAttributes(e)...)
}

func answerAttributes(e webhooks.End) []attribute.KeyValue {
	var attributes []attribute.KeyValue
	if e.Status != 0 {
		attributes = append(attributes, statusCode.Int(e.Status))
	}
	if failed(e) {
		attributes = append(attributes, errorType.String(errorTypeOf(e)))
	}
	return attributes
}

func outcomeOf(e webhooks.End) string {
	switch {
	case e.Err != nil:
		return "failed"
	case e.MessageID == "":
		return "no_listener"
	default:
		return "sent"
	}
}

// failed also takes an answer for a failure that its try is not to blame for.
func failed(e webhooks.End) bool { return e.Err != nil || e.Status >= 400 }

// instruments are the metrics.
type instruments struct {
	sends       metric.Float64Histogram
	activeSends metric.Int64UpDownCounter
	retries     metric.Int64Counter
	deliveries  metric.Float64Histogram
}

func newInstruments(m metric.Meter) (instruments, error) {
	seconds := metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
		0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
	var i instruments
	var errs [4]error
	i.sends, errs[0] = m.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("Duration of sends, retries and waits included."))
	i.activeSends, errs[1] = m.Int64UpDownCounter("webhooks.client.active_sends", metric.WithUnit("{send}"),
		metric.WithDescription("Sends that have begun and not ended."))
	i.retries, errs[2] = m.Int64Counter("webhooks.client.retries", metric.WithUnit("{try}"),
		metric.WithDescription("Tries of requests to the server after the first one."))
	i.deliveries, errs[3] = m.Float64Histogram("messaging.process.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("Duration of receiving a delivery, from its verification on."))
	return i, errors.Join(errs[:]...)
}

func (i *instruments) started(ctx context.Context, s webhooks.Span) {
	switch {
	case s.Kind == webhooks.SpanSend:
		i.activeSends.Add(ctx, 1, metric.WithAttributes(messagingAttributes(s)...))
	case s.Kind == webhooks.SpanTry && s.Try > 1:
		i.retries.Add(ctx, 1)
	}
}

func (i *instruments) ended(ctx context.Context, s webhooks.Span, e webhooks.End, took time.Duration) {
	attributes := append(messagingAttributes(s), answerAttributes(e)...)
	switch s.Kind { //nolint:exhaustive // the others have spans only
	case webhooks.SpanSend:
		i.activeSends.Add(ctx, -1, metric.WithAttributes(messagingAttributes(s)...))
		attributes = append(attributes, outcome.String(outcomeOf(e)))
		i.sends.Record(ctx, took.Seconds(), metric.WithAttributes(attributes...))
	case webhooks.SpanReceive:
		i.deliveries.Record(ctx, took.Seconds(), metric.WithAttributes(attributes...))
	}
}
