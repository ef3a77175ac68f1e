package webhooks_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
)

// A recordedSpan is what a tracer was told of one piece of work.
type recordedSpan struct {
	Parent int // index of the span that it is part of, -1: none
	Start  webhooks.Span
	End    webhooks.End
	Ended  bool
}

// A recorder is a [webhooks.Tracer] for tests.
type recorder struct {
	mu    sync.Mutex
	spans []recordedSpan
}

type recorderKey struct{}

func (r *recorder) Start(ctx context.Context, s webhooks.Span) (context.Context, func(webhooks.End)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parent, ok := ctx.Value(recorderKey{}).(int)
	if !ok {
		parent = -1
	}
	i := len(r.spans)
	r.spans = append(r.spans, recordedSpan{Parent: parent, Start: s})
	return context.WithValue(ctx, recorderKey{}, i), func(e webhooks.End) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.spans[i].End, r.spans[i].Ended = e, true
	}
}

func checkSpans(t *testing.T, r *recorder, want []recordedSpan) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range want {
		want[i].Ended = true
	}
	if diff := cmp.Diff(want, r.spans, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func TestHandlerTellsItsTracer(t *testing.T) {
	t.Parallel()
	errBoom := errors.New("boom")
	received := webhooks.Span{Kind: webhooks.SpanReceive, EventType: "origin.create"}
	refused := webhooks.Span{Kind: webhooks.SpanReceive} // nothing of it is proven
	tests := map[string]struct {
		secret   string
		outcomes []error // of receive
		want     []recordedSpan
	}{
		"received": {
			secret:   harness.SecretA,
			outcomes: []error{nil},
			want:     []recordedSpan{{Parent: -1, Start: received, End: webhooks.End{MessageID: messageID, Status: 204}}},
		},
		"failed, then received": {
			secret:   harness.SecretA,
			outcomes: []error{errBoom, nil},
			want: []recordedSpan{
				{Parent: -1, Start: received, End: webhooks.End{MessageID: messageID, Status: 500, Err: errBoom}},
				{Parent: -1, Start: received, End: webhooks.End{MessageID: messageID, Status: 204}},
			},
		},
		"forged": {
			secret:   harness.SecretB,
			outcomes: []error{nil},
			want:     []recordedSpan{{Parent: -1, Start: refused, End: webhooks.End{Status: 401, Err: webhooks.ErrVerification}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			calls := 0
			h := webhooks.NewHandler([]string{harness.SecretA}, func(ctx context.Context, _ webhooks.Delivery) error {
				if got := ctx.Value(recorderKey{}); got != calls {
					t.Errorf("received in span %v, want %d", got, calls)
				}
				calls++
				return tt.outcomes[calls-1]
			}, webhooks.WithHandlerTracer(r), silent())
			for range tt.outcomes {
				serve(h, newRequest(t, tt.secret, messageID, `{}`))
			}
			checkSpans(t, r, tt.want)
		})
	}
}

func TestSpanKindString(t *testing.T) {
	t.Parallel()
	for kind, want := range map[webhooks.SpanKind]string{
		0: "unknown", webhooks.SpanSend: "send", webhooks.SpanTry: "try", webhooks.SpanWait: "wait", webhooks.SpanLookup: "lookup",
		webhooks.SpanList: "list", webhooks.SpanReceive: "receive", webhooks.SpanReceive + 1: "unknown", -1: "unknown",
	} {
		if got := kind.String(); got != want {
			t.Errorf("SpanKind(%d) is %q, want %q", int(kind), got, want)
		}
	}
}
