package webhooks

import "context"

// A Tracer is told of the work of a client ([WithTracer]) and of a handler ([WithHandlerTracer]).
// Package otelwebhooks, a module of its own, makes spans and metrics of OpenTelemetry of it.
//
// It is told neither of channels, URLs and payloads nor of secrets, but for what the texts of
// errors say: those of the network name the server's address.
type Tracer interface {
	// Start is called when something begins. The context it returns, derived from ctx, is the
	// one that goes on: to what is done for it, and to the receive function of a handler. The
	// function it returns, which is not nil, is called once, when that has ended.
	//
	// Both are called concurrently, in the midst of the work, and should return at once.
	Start(ctx context.Context, s Span) (context.Context, func(End))
}

// WithTracer tells t of what the client does. The default, also for nil, is to tell nobody.
func WithTracer(t Tracer) Option {
	return func(o *options) error {
		o.tracer = t
		return nil
	}
}

// WithHandlerTracer tells t of each delivery. The default, also for nil, is to tell nobody.
func WithHandlerTracer(t Tracer) HandlerOption {
	return func(h *handler) { h.tracer = t }
}

// A SpanKind is what a [Tracer] is told of.
type SpanKind int

const (
	// SpanSend is a call of [Client.SendEvent], with all that it does; [Client.SendEvents] makes
	// one for each event.
	SpanSend SpanKind = iota + 1
	// SpanTry is one try of one request to the server, whatever asks for it.
	SpanTry
	// SpanWait is a wait before something is tried or asked again.
	SpanWait
	// SpanLookup is a search for an event type, or for the listeners of an event, that is not
	// answered from memory.
	SpanLookup
	// SpanList is the fetching of one page of a listing.
	SpanList
	// SpanReceive is a delivery that a handler receives. It begins when the delivery has been
	// read and verified, or refused.
	SpanReceive
)

var spanKinds = [...]string{
	SpanSend: "send", SpanTry: "try", SpanWait: "wait",
	SpanLookup: "lookup", SpanList: "list", SpanReceive: "receive",
}

// String returns "send", "try", "wait", "lookup", "list" or "receive", and else "unknown".
func (k SpanKind) String() string {
	if k < SpanSend || int(k) >= len(spanKinds) {
		return "unknown"
	}
	return spanKinds[k]
}

// A Span is what a [Tracer] is told when something begins. Fields that do not apply are zero.
type Span struct {
	Kind SpanKind
	// EventType is the name of the event type. That of a SpanReceive is the header X-Swh-Event
	// of a verified delivery.
	EventType string
	// EventID is the [Event.ID] of a SpanSend as it was given.
	EventID string
	// Op is what a SpanList asks of the server, such as "endpoint list".
	Op string
	// Try counts the tries of one request, from 1. That of a SpanWait is the try before it.
	Try int
}

// An End is what a [Tracer] is told when something has ended. Fields that do not apply are zero.
type End struct {
	// MessageID is the server's id of the message that was sent or received. A receiver sees the
	// id that the sender was told, though Svix forwards no context of a trace.
	MessageID string
	// Status is the HTTP status of a SpanTry, zero if there was no answer, and that with which a
	// SpanReceive is answered.
	Status int
	// Err is what went wrong, nil if nothing did.
	Err error
}

// start tells the tracer, if there is one, that something begins.
func start(ctx context.Context, tracer Tracer, s Span) (context.Context, func(End)) {
	if tracer == nil {
		return ctx, func(End) {}
	}
	return tracer.Start(ctx, s)
}

// traced does f, which the tracer is told of if there is one.
func traced[T any](ctx context.Context, tracer Tracer, s Span, f func(ctx context.Context) (T, error)) (T, error) {
	ctx, end := start(ctx, tracer, s)
	value, err := f(ctx)
	end(End{Err: err})
	return value, err
}

// An observer passes on what the transport tells.
type observer struct{ tracer Tracer }

func (o observer) Try(ctx context.Context, try int) (context.Context, func(int, error)) {
	ctx, end := o.tracer.Start(ctx, Span{Kind: SpanTry, Try: try})
	return ctx, func(status int, err error) { end(End{Status: status, Err: err}) }
}

func (o observer) Wait(ctx context.Context, try int) func() {
	_, end := o.tracer.Start(ctx, Span{Kind: SpanWait, Try: try})
	return func() { end(End{}) }
}
