package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/softwareheritage/webhooks/internal/replay"
	"github.com/softwareheritage/webhooks/internal/rescue"
	"github.com/softwareheritage/webhooks/internal/secret"
	"github.com/softwareheritage/webhooks/internal/signature"
)

const (
	defaultTolerance = 5 * time.Minute // as every Svix library
	defaultMaxBody   = 1 << 20         // bytes, what SendEvent sends at most
	defaultMemory    = 1 << 20         // messages
)

// ErrDiscard is for receive functions of [NewHandler]: they return an error that wraps it if no
// repetition can mend what is wrong with a delivery. The error is logged and the sender, told that
// the delivery was received, does not try again.
var ErrDiscard = errors.New("delivery discarded")

// SignPayload returns the signature of a delivery: "v1," and the base64 of the HMAC-SHA256 of
// "<message id>.<Unix time in seconds>.<body>". It stands in the header Svix-Signature, beside
// Svix-Id and Svix-Timestamp, or in Webhook-Signature and so on: what [VerifyPayload] verifies.
// Tests of a receiver need it. The scheme is the one that Svix publishes as Standard Webhooks.
//
// A secret is "whsec_" and the base64 of a key of any length; any other is an [ErrInvalidSecret].
func SignPayload(secret, messageID string, timestamp time.Time, body []byte) (string, error) {
	key, err := signingKey(secret)
	if err != nil {
		return "", fmt.Errorf("webhooks: %w", err)
	}
	return string(signature.Sign(key, messageID, strconv.FormatInt(timestamp.Unix(), 10), body)), nil
}

// VerifyPayload returns the body of a received webhook if its headers prove that a holder of the
// secret signed it, and did so at most five minutes from now, before or after, by this machine's
// clock. The body comes back as it is, not copied and not looked into: that it is JSON is for the
// sender to ensure and for decoding to find out.
//
// The headers are Svix-Id, Svix-Timestamp and Svix-Signature or, if one of these is missing,
// Webhook-Id, Webhook-Timestamp and Webhook-Signature, under their canonical keys, as net/http and
// [http.Header.Set] write them. Of several signatures, separated by blanks or in header lines of
// their own, one has to match; those of other versions than v1 are passed over.
//
// Every error is an [ErrVerification] that says what is wrong:
//   - a header is missing,
//   - the timestamp is not a number, too old or too new,
//   - the message id has a dot (part of it could pass for the timestamp) or more than 256 bytes,
//   - no signature matches,
//   - the secret cannot be one, see [SignPayload]; that is an [ErrInvalidSecret] as well.
//
// Message id, timestamp and body are proven, other headers such as X-Swh-Event are not. Nor is it
// proven that the webhook was not received before; [NewHandler] sees to that.
func VerifyPayload(secret string, header http.Header, body []byte) (json.RawMessage, error) {
	key, err := signingKey(secret)
	if err == nil {
		err = signature.Verify(key, header, body, defaultTolerance)
	}
	if err != nil {
		return nil, verificationError(err)
	}
	return body, nil
}

func verificationError(reason error) error {
	return fmt.Errorf("webhooks: %w: %w", ErrVerification, reason)
}

func signingKey(text string) ([]byte, error) {
	key, err := secret.Key(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidSecret, err)
	}
	return key, nil
}

func signingKeys(secrets []string) ([][]byte, error) {
	keys := make([][]byte, len(secrets))
	for i, text := range secrets {
		key, err := signingKey(text)
		if err != nil {
			return nil, fmt.Errorf("webhooks: secret %d of %d: %w", i+1, len(secrets), err)
		}
		keys[i] = key
	}
	return keys, nil
}

// A Delivery is a webhook that was received and verified.
type Delivery struct {
	// MessageID identifies the message. It is the same whenever, and to whichever endpoint, the
	// message is delivered.
	MessageID string
	// EventType is the header X-Swh-Event, empty if there is none. It is not signed: it helps to
	// choose among the event types of an endpoint that one trusts, and proves nothing.
	EventType string
	// Timestamp is when the message was sent this time, in UTC, to the second.
	Timestamp time.Time
	// Payload is the event, the bytes as they were sent. It is valid JSON.
	Payload json.RawMessage
}

// Decode stores the payload in the value v points to, such as an [*OriginCreate] or
// [*OriginVisit], by the rules of [json.Unmarshal]: members that v has no field for are passed
// over, and fields without a member stay as they are. An error is an [ErrInvalidPayload] that
// unwraps to that of encoding/json.
func (d Delivery) Decode(v any) error {
	if err := json.Unmarshal(d.Payload, v); err != nil {
		return fmt.Errorf("webhooks: %w of message %s: %w", ErrInvalidPayload, d.MessageID, err)
	}
	return nil
}

// DecodePayload returns a receive function for [NewHandler] that decodes the payload of each
// delivery into a T, as [Delivery.Decode] does, and gives both to receive.
//
// A payload that cannot be decoded is an [ErrInvalidPayload], so that the sender tries again:
// until then a new version of the receiver may have mended it. To drop such deliveries, use Decode
// and wrap [ErrDiscard].
func DecodePayload[T any](
	receive func(ctx context.Context, d Delivery, payload T) error,
) func(ctx context.Context, d Delivery) error {
	if receive == nil {
		return nil
	}
	return func(ctx context.Context, d Delivery) error {
		var payload T
		if err := d.Decode(&payload); err != nil {
			return err
		}
		return receive(ctx, d, payload)
	}
}

// NewHandler returns a handler that receives webhooks: it calls receive with each delivery that
// one of the secrets proves, as [VerifyPayload] does, once per message. While an endpoint's secret
// is rotated, give the old one and the new one, or use [WithSecretsFunc].
//
// The context is that of the request: it ends when the sender hangs up (Svix does so after 30
// seconds by default). If receive returns an error, or panics, the sender tries again later,
// unless the error wraps [ErrDiscard]. A message that was received is not received again for a
// while, see [WithReplayGuard]. A handler that serves several endpoints receives a message sent to
// all of them once.
//
// The answers, which never tell the sender more than their status:
//   - 204: received, now or before, or discarded
//   - 400: a header is missing or malformed, the body is cut off or not JSON
//   - 401: the timestamp is too old or too new, or no signature matches
//   - 405: the method is not POST
//   - 413: the body is too large
//   - 500: receive failed or panicked, or its turn did not come before the context ended
//   - 503: the message is being received, and enough deliveries of it wait for the outcome
//
// The reason goes to the log. Without any secret, with one that cannot be one, or without a
// receive function the handler logs so at once and answers 500 to every webhook, whose sender then
// tries again until that is mended.
//
// It is safe for concurrent use, and calls receive concurrently.
func NewHandler(secrets []string, receive func(ctx context.Context, d Delivery) error,
	opts ...HandlerOption,
) http.Handler {
	h := &handler{
		receive:   receive,
		maxBody:   defaultMaxBody,
		tolerance: defaultTolerance,
		log:       slog.Default(),
	}
	for _, opt := range opts {
		opt(h)
	}
	if h.guard == nil {
		h.guard = NewMemoryReplayGuard(defaultMemory, 2*h.tolerance)
	}
	switch h.keys, h.unusable = signingKeys(secrets); {
	case h.unusable != nil:
	case len(secrets) == 0 && h.moreSecrets == nil:
		h.unusable = errNoSecret
	case receive == nil:
		h.unusable = errors.New("webhooks: the handler has no receive function")
	}
	if h.unusable != nil {
		h.log.Error("webhooks cannot be received", slog.Any("error", h.unusable))
	}
	return h
}

var errNoSecret = fmt.Errorf("webhooks: %w: there is none", ErrInvalidSecret)

// A HandlerOption changes a default of [NewHandler].
type HandlerOption func(*handler)

// WithMaxBody sets how long a body may be, in bytes. The default, also for zero and less, is 1 MiB.
func WithMaxBody(bytes int64) HandlerOption {
	return func(h *handler) {
		if bytes > 0 {
			h.maxBody = bytes
		}
	}
}

// WithTolerance sets how far from now, before or after, the timestamp of a delivery may be. The
// default, also for zero and less, is 5 minutes.
func WithTolerance(d time.Duration) HandlerOption {
	return func(h *handler) {
		if d > 0 {
			h.tolerance = d
		}
	}
}

// WithSecretsFunc has the handler ask for secrets at each delivery, before it reads the body; they
// are tried besides those given to [NewHandler]. So a secret can be rotated while the handler
// stays, with its replay guard. The function is called concurrently, with the context of the
// request, also for requests that turn out to be forged, and should answer from memory.
//
// If it returns an error, a secret that cannot be one, or none while the handler has no other, the
// reason is logged and the delivery answered 500.
func WithSecretsFunc(secrets func(ctx context.Context) ([]string, error)) HandlerOption {
	return func(h *handler) { h.moreSecrets = secrets }
}

// WithHandlerLogger sets where the handler tells why it refused or discarded a delivery (warnings)
// or failed to receive one (errors), and that it did not receive one again (debug). The default,
// also for nil, is [slog.Default] as it was when the handler was made. Neither secrets nor payloads
// are logged, unless receive puts them in its error.
func WithHandlerLogger(l *slog.Logger) HandlerOption {
	return func(h *handler) {
		if l != nil {
			h.log = l
		}
	}
}

// WithReplayGuard sets what keeps a message from being received twice. The default is a
// [MemoryReplayGuard] of 1,048,576 messages that keeps each for twice the tolerance, which is for
// as long as a delivery of it can be repeated by whoever got hold of it. Give one that keeps them
// longer, or a guard of your own to share that knowledge between processes or to keep it across
// restarts. Nil: no guard, each verified delivery is received.
func WithReplayGuard(g ReplayGuard) HandlerOption {
	if g == nil {
		g = unguarded{}
	}
	return func(h *handler) { h.guard = g }
}

// A ReplayGuard keeps a message from being received twice. A sender delivers a message again when
// it did not see the answer to the first delivery, and so may whoever got hold of a delivery, until
// its timestamp is too old.
type ReplayGuard interface {
	// Once calls receive, at most once and before it returns, unless receive returned nil for a
	// message of this id before. Then, as after a success, it returns nil and the sender is told
	// that the message was received. It returns the error of receive as it is; the message is then
	// not received and the next delivery has its turn. Any other error, for instance because the
	// message is just being received elsewhere, makes the sender try again too.
	//
	// The context given to receive should be derived from ctx, and may carry a transaction that
	// covers both what receive does and the memory of the guard. Once is called concurrently, with
	// a receive that does not panic.
	Once(ctx context.Context, messageID string, receive func(ctx context.Context) error) error
}

// A MemoryReplayGuard is a [ReplayGuard] in memory. Several handlers can share one; each message
// is then received by one of them.
type MemoryReplayGuard struct {
	memory *replay.Memory
}

// NewMemoryReplayGuard returns a guard that remembers each message for as long as keep after it was
// received; a message that the sender repeats later is received again. It remembers at most so many
// messages, with about 100 bytes each. Beyond that the oldest go first, and a handler that uses the
// guard logs a warning, once a minute at most. The defaults, also for less than zero, are 1,048,576
// messages (1,700 a second) and 10 minutes.
func NewMemoryReplayGuard(messages int, keep time.Duration) *MemoryReplayGuard {
	if messages <= 0 {
		messages = defaultMemory
	}
	if keep <= 0 {
		keep = 2 * defaultTolerance
	}
	return &MemoryReplayGuard{memory: replay.NewMemory(messages, keep)}
}

// Once implements [ReplayGuard]. While a message is being received, up to four other deliveries of
// it wait for the outcome or for the end of their context; it returns an error for any more, to
// which a handler answers 503.
func (g *MemoryReplayGuard) Once(ctx context.Context, messageID string, receive func(ctx context.Context) error) error {
	return g.memory.Once(ctx, messageID, receive)
}

type unguarded struct{}

func (unguarded) Once(ctx context.Context, _ string, receive func(ctx context.Context) error) error {
	return receive(ctx)
}

type handler struct {
	receive     func(ctx context.Context, d Delivery) error
	maxBody     int64
	tolerance   time.Duration
	guard       ReplayGuard
	log         *slog.Logger
	tracer      Tracer // nil: none
	keys        [][]byte
	moreSecrets func(ctx context.Context) ([]string, error) // nil: none
	unusable    error                                       // why nothing can be received
}

// Format prints what the handler is and not what it holds, its keys above all.
func (h *handler) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "webhooks.NewHandler") }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	var proven Delivery
	claimed, status, err := h.verify(w, r)
	if err == nil {
		proven = claimed
	}
	ctx, end := start(r.Context(), h.tracer, Span{Kind: SpanReceive, EventType: proven.EventType})
	if err == nil {
		status, err = h.receiveOnce(ctx, proven)
	}
	end(End{MessageID: proven.MessageID, Status: status, Err: err})
	if err != nil {
		h.refuse(w, r, claimed, status, err)
		return
	}
	w.WriteHeader(status)
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, d Delivery, status int, reason error) {
	level := slog.LevelWarn
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	h.log.LogAttrs(r.Context(), level, "webhook not received",
		slog.Int("status", status), slog.String("message_id", d.MessageID), slog.Any("error", reason))
	http.Error(w, http.StatusText(status), status)
}

// verify returns the delivery that a request is or, with the status to answer and as much of the
// delivery as its headers claim, why it is none. The headers come first: a body that they cannot
// prove is not read. The age is checked once more when that has been read, which may take as long
// as the sender likes: the replay guard forgets.
func (h *handler) verify(w http.ResponseWriter, r *http.Request) (Delivery, int, error) {
	if h.unusable != nil {
		return Delivery{}, http.StatusInternalServerError, h.unusable
	}
	claim, err := signature.Parse(r.Header)
	if err != nil {
		return Delivery{}, http.StatusBadRequest, verificationError(err)
	}
	d := Delivery{MessageID: claim.MessageID, EventType: r.Header.Get("X-Swh-Event"), Timestamp: claim.Sent}
	if err := claim.CheckAge(h.tolerance); err != nil {
		return d, http.StatusUnauthorized, verificationError(err)
	}
	keys, err := h.allKeys(r.Context())
	if err != nil {
		return d, http.StatusInternalServerError, err
	}
	if d.Payload, err = io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxBody)); err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		return d, status, fmt.Errorf("webhooks: reading the body: %w", err)
	}
	if err := claim.CheckAge(h.tolerance); err != nil {
		return d, http.StatusUnauthorized, verificationError(err)
	}
	if err := claim.CheckSignature(keys, d.Payload); err != nil {
		return d, http.StatusUnauthorized, verificationError(err)
	}
	if !json.Valid(d.Payload) {
		return d, http.StatusBadRequest, errors.New("webhooks: the body is not JSON")
	}
	return d, http.StatusNoContent, nil
}

func (h *handler) allKeys(ctx context.Context) ([][]byte, error) {
	if h.moreSecrets == nil {
		return h.keys, nil
	}
	var secrets []string
	err := rescue.Call("the function", func() (err error) {
		secrets, err = h.moreSecrets(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("webhooks: asking for secrets: %w", err)
	}
	more, err := signingKeys(secrets)
	if err == nil && len(h.keys)+len(more) == 0 {
		err = errNoSecret
	}
	return slices.Concat(h.keys, more), err
}

// receiveOnce returns the status to answer, and why the delivery was not received.
func (h *handler) receiveOnce(ctx context.Context, d Delivery) (int, error) {
	var called bool
	var discarded error
	receive := func(ctx context.Context) error {
		called = true
		err := rescue.Call("webhooks: receive", func() error { return h.receive(ctx, d) })
		if errors.Is(err, ErrDiscard) {
			discarded = err
			return nil
		}
		return err
	}
	err := h.guard.Once(ctx, d.MessageID, receive)
	h.warnOfSmallGuard(ctx)
	switch {
	case errors.Is(err, replay.ErrBusy):
		return http.StatusServiceUnavailable, err
	case err != nil:
		return http.StatusInternalServerError, err
	case discarded != nil:
		h.log.LogAttrs(ctx, slog.LevelWarn, "webhook discarded",
			slog.String("message_id", d.MessageID), slog.Any("error", discarded))
	case !called:
		h.log.LogAttrs(ctx, slog.LevelDebug, "webhook was received before", slog.String("message_id", d.MessageID))
	}
	return http.StatusNoContent, nil
}

func (h *handler) warnOfSmallGuard(ctx context.Context) {
	if g, ok := h.guard.(*MemoryReplayGuard); ok {
		if forgotten := g.memory.Dropped(time.Minute); forgotten > 0 {
			h.log.LogAttrs(ctx, slog.LevelWarn, "replay guard is too small: messages can be received twice",
				slog.Int("forgotten", forgotten))
		}
	}
}
