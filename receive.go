package webhooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/replay"
	"github.com/softwareheritage/webhooks/internal/secret"
)

const (
	signatureVersion = "v1,"

	defaultTolerance = 5 * time.Minute // as every Svix library
	defaultMaxBody   = 1 << 20         // bytes, what SendEvent sends at most

	maxMessageID       = 256     // bytes, the most of any identifier of a Svix server
	rememberedMessages = 1 << 16 // a few MiB of identifiers
)

// SignPayload returns the signature of a delivery: "v1," and the base64 of the
// HMAC-SHA256 of "<message id>.<Unix time in seconds>.<body>". It stands in the
// header Svix-Signature, beside Svix-Id and Svix-Timestamp, or Webhook-Signature
// and so on: what [VerifyPayload] verifies. Tests of a receiver need it. The
// scheme is the one that Svix publishes as Standard Webhooks.
//
// The error is an [ErrInvalidSecret].
func SignPayload(secret, messageID string, timestamp time.Time, body []byte) (string, error) {
	key, err := signingKey(secret)
	if err != nil {
		return "", fmt.Errorf("webhooks: %w", err)
	}
	return string(sign(key, messageID, strconv.FormatInt(timestamp.Unix(), 10), body)), nil
}

// VerifyPayload returns the body of a received webhook if its headers prove
// that a holder of the endpoint's secret signed it, and did so at most five
// minutes from now, before or after, by this machine's clock. The body comes
// back as it is, not copied and not looked into: that it is JSON is for the
// sender to ensure and for decoding to find out.
//
// The headers are Svix-Id, Svix-Timestamp and Svix-Signature or, where one of
// these is missing, Webhook-Id, Webhook-Timestamp and Webhook-Signature, under
// their canonical keys, as net/http and [http.Header.Set] write them. Of several
// signatures, separated by blanks or in header lines of their own, one has to
// match; those of other versions than v1 are passed over.
//
// Every error is an [ErrVerification] that says what is wrong: a header is
// missing, the timestamp is not a number, too old or too new, the message id has
// a dot (part of it could pass for the timestamp) or more than 256 bytes, or no
// signature matches. Where the secret cannot be one it is an [ErrInvalidSecret]
// as well.
//
// Message id, timestamp and body are proven, other headers such as X-Swh-Event
// are not. Nor is it proven that the webhook was not received before;
// [NewHandler] sees to that.
func VerifyPayload(secret string, header http.Header, body []byte) (json.RawMessage, error) {
	key, err := signingKey(secret)
	if err != nil {
		return nil, verificationError(err)
	}
	c, err := parseClaim(header)
	if err != nil {
		return nil, verificationError(err)
	}
	if err := c.checkAge(defaultTolerance); err != nil {
		return nil, verificationError(err)
	}
	if err := c.checkSignature([][]byte{key}, body); err != nil {
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

// sign takes the timestamp as the header has it: that text is what is signed.
func sign(key []byte, messageID, timestamp string, body []byte) []byte {
	buf := make([]byte, 0, 128) // one allocation for the identifiers of a Svix server
	buf = append(buf, messageID...)
	buf = append(buf, '.')
	buf = append(buf, timestamp...)
	buf = append(buf, '.')
	mac := hmac.New(sha256.New, key)
	mac.Write(buf)
	mac.Write(body)
	return base64.StdEncoding.AppendEncode([]byte(signatureVersion), mac.Sum(buf[:0]))
}

// A claim is what the headers of a delivery say, before it is proven.
type claim struct {
	messageID  string
	timestamp  string // as in the header
	sent       time.Time
	signatures []string // the header's lines
}

// claimHeaders are the names of the headers for message id, timestamp and
// signatures. A server sends the one family or the other.
type claimHeaders [3]string

var (
	svixHeaders       = claimHeaders{"Svix-Id", "Svix-Timestamp", "Svix-Signature"}
	whiteLabelHeaders = claimHeaders{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}
)

func (names claimHeaders) missing(header http.Header) []string {
	var missing []string
	for _, name := range names {
		if header.Get(name) == "" {
			missing = append(missing, name)
		}
	}
	return missing
}

func parseClaim(header http.Header) (claim, error) {
	names, missing := svixHeaders, svixHeaders.missing(header)
	if len(missing) > 0 {
		if m := whiteLabelHeaders.missing(header); len(m) < len(missing) {
			names, missing = whiteLabelHeaders, m
		}
	}
	if len(missing) > 0 {
		return claim{}, fmt.Errorf("missing header %s", strings.Join(missing, ", "))
	}
	c := claim{messageID: header.Get(names[0]), timestamp: header.Get(names[1]), signatures: header.Values(names[2])}
	switch {
	case len(c.messageID) > maxMessageID:
		return claim{}, fmt.Errorf("the message id in %s is longer than %d bytes", names[0], maxMessageID)
	case strings.Contains(c.messageID, "."):
		return claim{}, fmt.Errorf("the message id in %s has a dot", names[0])
	}
	seconds, err := strconv.ParseUint(c.timestamp, 10, 63) // digits alone, no sign
	if err != nil {
		return claim{}, fmt.Errorf("the timestamp in %s is not a number of seconds", names[1])
	}
	c.sent = time.Unix(int64(seconds), 0).UTC()
	return c, nil
}

func (c claim) checkAge(tolerance time.Duration) error {
	age := time.Since(c.sent)
	switch {
	case age > tolerance:
		return fmt.Errorf("the timestamp is too old: more than %v ago", tolerance)
	case age < -tolerance:
		return fmt.Errorf("the timestamp is too new: more than %v ahead", tolerance)
	}
	return nil
}

// checkSignature compares whole signatures with their version, in the one text
// that encodes them: a text that merely decodes to the same bytes is a forgery
// or a mistake.
func (c claim) checkSignature(keys [][]byte, body []byte) error {
	for _, key := range keys {
		want := sign(key, c.messageID, c.timestamp, body)
		for _, line := range c.signatures {
			for got := range strings.SplitSeq(line, " ") {
				if hmac.Equal([]byte(got), want) {
					return nil
				}
			}
		}
	}
	return errors.New("no matching signature")
}

// A Delivery is a webhook that was received and verified.
type Delivery struct {
	// MessageID identifies the message. It is the same whenever, and to
	// whichever endpoint, the message is delivered.
	MessageID string
	// EventType is the header X-Swh-Event, empty where there is none. It is not
	// signed: it helps to choose among the event types of an endpoint that one
	// trusts, and proves nothing.
	EventType string
	// Timestamp is when the message was sent this time, in UTC, to the second.
	Timestamp time.Time
	// Payload is the event, the bytes as they were sent. It is valid JSON.
	Payload json.RawMessage
}

// Decode stores the payload in the value v points to, such as an [*OriginCreate]
// or [*OriginVisit], by the rules of [json.Unmarshal]: members that v has no
// field for are passed over, and fields without a member stay as they are. An
// error is an [ErrInvalidPayload] that unwraps to that of encoding/json.
func (d Delivery) Decode(v any) error {
	if err := json.Unmarshal(d.Payload, v); err != nil {
		return fmt.Errorf("webhooks: %w of message %s: %w", ErrInvalidPayload, d.MessageID, err)
	}
	return nil
}

// NewHandler returns a handler that receives webhooks: it calls receive with
// each delivery that one of the secrets proves, as [VerifyPayload] does, once
// per message. While an endpoint's secret is rotated, give the old one and the
// new one.
//
// The context is that of the request: it ends when the sender hangs up (Svix
// does so after 30 seconds by default). Where receive returns an error, or
// panics, the sender tries again later. A message that was received is not
// received again, see [WithReplayGuard]; a handler that serves several endpoints
// receives a message sent to all of them once.
//
// The answers, which never tell the sender more than their status:
//
//   - 204: received, now or before
//   - 400: a header is missing or malformed, the body is cut off or not JSON
//   - 401: the timestamp is too old or too new, or no signature matches
//   - 405: the method is not POST
//   - 413: the body is too large
//   - 500: receive failed or panicked, or its turn did not come before the context ended
//
// The reason goes to the log. Without any secret, with one that cannot be one,
// or without a receive function the handler logs so at once and answers 500 to
// every webhook, whose sender then tries again until that is mended.
//
// It is safe for concurrent use, and calls receive concurrently.
func NewHandler(secrets []string, receive func(ctx context.Context, d Delivery) error, opts ...HandlerOption) http.Handler {
	h := &handler{
		receive:   receive,
		maxBody:   defaultMaxBody,
		tolerance: defaultTolerance,
		guard:     replay.NewMemory(rememberedMessages),
		log:       slog.Default(),
	}
	for _, opt := range opts {
		opt(h)
	}
	if h.keys, h.unusable = signingKeys(secrets); h.unusable == nil && receive == nil {
		h.unusable = errors.New("webhooks: the handler has no receive function")
	}
	if h.unusable != nil {
		h.log.Error("webhooks cannot be received", slog.Any("error", h.unusable))
	}
	return h
}

// A HandlerOption changes a default of [NewHandler].
type HandlerOption func(*handler)

// WithMaxBody sets how many bytes a body has at most. The default, also for
// zero and less, is 1 MiB.
func WithMaxBody(bytes int64) HandlerOption {
	return func(h *handler) {
		if bytes > 0 {
			h.maxBody = bytes
		}
	}
}

// WithTolerance sets how far the timestamp of a delivery may be from now, before
// or after. The default, also for zero and less, is 5 minutes.
func WithTolerance(d time.Duration) HandlerOption {
	return func(h *handler) {
		if d > 0 {
			h.tolerance = d
		}
	}
}

// WithHandlerLogger sets where the handler tells why it refused a delivery
// (warnings) or failed to receive one (errors). The default, also for nil, is
// [slog.Default] as it was when the handler was made. Neither secrets nor
// payloads are logged, unless receive puts them in its error.
func WithHandlerLogger(l *slog.Logger) HandlerOption {
	return func(h *handler) {
		if l != nil {
			h.log = l
		}
	}
}

// WithReplayGuard sets what keeps a message from being received twice. The
// default remembers the last 65,536 messages of this handler, in memory; while a
// message is being received, another delivery of it waits for the outcome. Give
// a guard of your own to share that knowledge between processes, or to keep it
// across restarts. Nil: no guard, each verified delivery is received.
func WithReplayGuard(g ReplayGuard) HandlerOption {
	return func(h *handler) { h.guard = g }
}

// A ReplayGuard keeps a message from being received twice. A sender delivers a
// message again when it did not see the answer to the first delivery, and so
// may whoever got hold of a delivery, until its timestamp is too old.
type ReplayGuard interface {
	// Once calls receive, at most once and before it returns, unless a message
	// of this id was received: unless receive returned nil for it. Then, as
	// after a success, it returns nil and the sender is told that the message
	// was received. It returns the error of receive as it is; the message is
	// then not received and the next delivery has its turn. Any other error, for
	// instance because the message is just being received elsewhere, makes the
	// sender try again too.
	//
	// The context given to receive should be derived from ctx, and may carry a
	// transaction that covers both what receive does and the memory of the
	// guard. Once is called concurrently. The receive it is given does not panic.
	Once(ctx context.Context, messageID string, receive func(ctx context.Context) error) error
}

type handler struct {
	receive   func(ctx context.Context, d Delivery) error
	maxBody   int64
	tolerance time.Duration
	guard     ReplayGuard // nil: none
	log       *slog.Logger
	keys      [][]byte
	unusable  error // why nothing can be received
}

// Format prints what the handler is and not what it holds, its keys above all.
func (h *handler) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "webhooks.NewHandler") }

func signingKeys(secrets []string) ([][]byte, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("webhooks: %w: there is none", ErrInvalidSecret)
	}
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

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed)
		return
	}
	d, status, err := h.verify(w, r)
	if err != nil {
		h.refuse(w, r, d, status, err)
		return
	}
	if err := h.receiveOnce(r.Context(), d); err != nil {
		h.refuse(w, r, d, http.StatusInternalServerError, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, d Delivery, status int, reason error) {
	level := slog.LevelWarn
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	h.log.LogAttrs(r.Context(), level, "webhook not received",
		slog.Int("status", status), slog.String("message_id", d.MessageID), slog.Any("error", reason))
	answer(w, status)
}

func answer(w http.ResponseWriter, status int) {
	http.Error(w, http.StatusText(status), status)
}

// verify returns the delivery that a request is or, with the status to answer
// and as much of the delivery as its headers claim, why it is none. The headers
// come first: a body that they cannot prove is not read.
func (h *handler) verify(w http.ResponseWriter, r *http.Request) (Delivery, int, error) {
	if h.unusable != nil {
		return Delivery{}, http.StatusInternalServerError, h.unusable
	}
	c, err := parseClaim(r.Header)
	if err != nil {
		return Delivery{}, http.StatusBadRequest, verificationError(err)
	}
	d := Delivery{MessageID: c.messageID, EventType: r.Header.Get("X-Swh-Event"), Timestamp: c.sent}
	if err := c.checkAge(h.tolerance); err != nil {
		return d, http.StatusUnauthorized, verificationError(err)
	}
	if d.Payload, err = io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxBody)); err != nil {
		return d, bodyStatus(err), fmt.Errorf("webhooks: reading the body: %w", err)
	}
	if err := c.checkSignature(h.keys, d.Payload); err != nil {
		return d, http.StatusUnauthorized, verificationError(err)
	}
	if !json.Valid(d.Payload) {
		return d, http.StatusBadRequest, errors.New("webhooks: the body is not JSON")
	}
	return d, http.StatusOK, nil
}

func bodyStatus(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func (h *handler) receiveOnce(ctx context.Context, d Delivery) error {
	receive := func(ctx context.Context) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("webhooks: receive panicked: %v\n%s", p, debug.Stack())
			}
		}()
		return h.receive(ctx, d)
	}
	if h.guard == nil {
		return receive(ctx)
	}
	return h.guard.Once(ctx, d.MessageID, receive)
}
