package webhooks_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/webhookstest"
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
			want: []recordedSpan{{
				Parent: -1, Start: received,
				End: webhooks.End{MessageID: messageID, Status: 204},
			}},
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
			want: []recordedSpan{{
				Parent: -1, Start: refused,
				End: webhooks.End{Status: 401, Err: webhooks.ErrVerification},
			}},
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

func TestClientTellsItsTracer(t *testing.T) {
	t.Parallel()
	unavailable := webhookstest.Fault{Status: http.StatusServiceUnavailable, Only: isCreateOfMessage}
	endpoint := webhooks.Endpoint{URL: "https://hooks.example.org/new-origins", EventType: webhooks.TypeOriginCreate}
	event := webhooks.Event{
		Type: webhooks.TypeOriginCreate, ID: "origin-1", Channel: "https://git.example.org/project",
		Payload: webhooks.OriginCreate{OriginURL: "https://git.example.org/project"},
	}
	tests := map[string]struct {
		do   func(t *testing.T, srv *webhookstest.Server, client *webhooks.Client)
		want string
	}{
		"a send that is retried": {
			do: func(t *testing.T, srv *webhookstest.Server, client *webhooks.Client) {
				t.Helper()
				srv.FailNext(2, unavailable)
				if _, err := client.SendEvent(t.Context(), event); err != nil {
					t.Error(err)
				}
			},
			want: `
send origin.create event=origin-1 message
  lookup origin.create
    try 1 status=200
  lookup origin.create
    list "endpoint list"
      try 1 status=200
  try 1 status=503
  wait 1
  try 2 status=503
  wait 2
  try 3 status=202`,
		},
		"a second send": {
			do: func(t *testing.T, _ *webhookstest.Server, client *webhooks.Client) {
				t.Helper()
				for _, id := range []string{"origin-1", "origin-2"} {
					event := event
					event.ID = id
					if _, err := client.SendEvent(t.Context(), event); err != nil {
						t.Error(err)
					}
				}
			},
			want: `
send origin.create event=origin-1 message
  lookup origin.create
    try 1 status=200
  lookup origin.create
    list "endpoint list"
      try 1 status=200
  try 1 status=202
send origin.create event=origin-2 message
  try 1 status=202`,
		},
		"a send that is refused": {
			do: func(t *testing.T, _ *webhookstest.Server, client *webhooks.Client) {
				t.Helper()
				if _, err := client.SendEvent(t.Context(),
					webhooks.Event{Type: webhooks.TypeOriginCreate, Payload: map[string]any{}}); !errors.Is(err,
					webhooks.ErrInvalidPayload) {
					t.Error(err)
				}
			},
			want: `
send origin.create error
  lookup origin.create
    try 1 status=200`,
		},
		"a send of an unknown type": {
			do: func(t *testing.T, _ *webhookstest.Server, client *webhooks.Client) {
				t.Helper()
				if _, err := client.SendEvent(t.Context(),
					webhooks.Event{Type: "origin.forget", Payload: map[string]any{}}); !errors.Is(err,
					webhooks.ErrEventTypeNotFound) {
					t.Error(err)
				}
			},
			want: `
send origin.forget error
  lookup origin.forget error
    try 1 status=404`,
		},
		"a listing": {
			do: func(t *testing.T, _ *webhookstest.Server, client *webhooks.Client) {
				t.Helper()
				if _, err := webhooks.Collect(client.ListEventTypes(t.Context())); err != nil {
					t.Error(err)
				}
			},
			want: `
list "event type list"
  try 1 status=200`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := webhookstest.NewServer(t, webhookstest.InMemory())
				plain := srv.Client()
				for _, et := range webhooks.DefaultEventTypes() {
					if err := plain.CreateEventType(t.Context(), et); err != nil {
						t.Fatal(err)
					}
				}
				if err := plain.CreateEndpoint(t.Context(), endpoint, ""); err != nil {
					t.Fatal(err)
				}
				r := &recorder{}
				tt.do(t, srv, srv.Client(webhooks.WithTracer(r)))
				if diff := cmp.Diff(strings.TrimSpace(tt.want), r.tree(-1, "")); diff != "" {
					t.Errorf("spans (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func isCreateOfMessage(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/msg")
}

// tree writes the spans below a parent, one a line.
func (r *recorder) tree(parent int, indent string) string {
	var lines []string
	for i, span := range r.spans {
		if span.Parent != parent {
			continue
		}
		line := indent + span.Start.Kind.String()
		for _, part := range []struct {
			text string
			has  bool
		}{
			{" " + span.Start.EventType, span.Start.EventType != ""},
			{" " + strconv.Quote(span.Start.Op), span.Start.Op != ""},
			{" event=" + span.Start.EventID, span.Start.EventID != ""},
			{" " + strconv.Itoa(span.Start.Try), span.Start.Try != 0},
			{" message", strings.HasPrefix(span.End.MessageID, "msg_")},
			{" status=" + strconv.Itoa(span.End.Status), span.End.Status != 0},
			{" error", span.End.Err != nil},
			{" not ended", !span.Ended},
		} {
			if part.has {
				line += part.text //nolint:perfsprint // a few parts
			}
		}
		lines = append(lines, line)
		if below := r.tree(i, indent+"  "); below != "" {
			lines = append(lines, below)
		}
	}
	return strings.Join(lines, "\n")
}

func TestSpanKindString(t *testing.T) {
	t.Parallel()
	for kind, want := range map[webhooks.SpanKind]string{
		0: "unknown", webhooks.SpanSend: "send", webhooks.SpanTry: "try", webhooks.SpanWait: "wait",
		webhooks.SpanLookup: "lookup",
		webhooks.SpanList:   "list", webhooks.SpanReceive: "receive",
		webhooks.SpanReceive + 1: "unknown", -1: "unknown",
	} {
		if got := kind.String(); got != want {
			t.Errorf("SpanKind(%d) is %q, want %q", int(kind), got, want)
		}
	}
}
