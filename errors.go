package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/endpoint"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/transport"
)

// What happened, for [errors.Is]. An error of this package wraps one of them, or
// an [*APIError], or the error of the network or of the context.
var (
	// ErrInvalidConfig: the configuration or an option is wrong; the text names every mistake.
	ErrInvalidConfig = errors.New("invalid configuration")
	// ErrInvalidEventTypeName: [Client.CreateEventType] was given a name that is not
	// "<group>.<event>".
	ErrInvalidEventTypeName = errors.New("invalid event type name")
	// ErrInvalidEventType: an [EventType] cannot be registered as it is described; nothing was
	// changed.
	ErrInvalidEventType = errors.New("invalid event type")
	// ErrInvalidSchema: a JSON Schema is refused; the error is a [*SchemaError].
	ErrInvalidSchema = errors.New("invalid JSON Schema")
	// ErrInvalidPayload: a payload cannot be sent, so nothing was sent, or a
	// received one cannot be decoded; where the schema refuses it the error is a
	// [*PayloadError].
	ErrInvalidPayload = errors.New("invalid payload")
	// ErrInvalidEvent: an [Event] has an ID that cannot be used, so that nothing was sent, or a
	// text is no event.
	ErrInvalidEvent = errors.New("invalid event")
	// ErrInvalidEndpoint: an [Endpoint] cannot be created or found as described; nothing was
	// changed.
	ErrInvalidEndpoint = errors.New("invalid endpoint")
	// ErrInvalidSecret: a secret is not "whsec_" and the base64 text of a key, or, of an endpoint
	// to be created, of one of 24 to 75 bytes.
	ErrInvalidSecret = errors.New("invalid endpoint secret")
	// ErrInvalidQuery: a query contradicts itself or has a negative limit; nothing was requested.
	ErrInvalidQuery = errors.New("invalid query")
	// ErrEventTypeNotFound: no event type has this name.
	ErrEventTypeNotFound = errors.New("event type does not exist")
	// ErrEventTypeArchived: the event type was deleted; creating it again revives it.
	ErrEventTypeArchived = errors.New("event type is archived")
	// ErrEndpointNotFound: the event type has no such endpoint.
	ErrEndpointNotFound = errors.New("endpoint does not exist")
	// ErrMessageNotFound: the event type has no such message.
	ErrMessageNotFound = errors.New("message does not exist")
	// ErrPayloadExpired: the server no longer has the payload of a message, so it cannot be sent
	// again.
	ErrPayloadExpired = errors.New("payload of the message has expired")
	// ErrSecretRotationLimit: the server keeps ten former secrets of an endpoint
	// for 24 hours each and refuses to rotate once more.
	ErrSecretRotationLimit = errors.New("endpoint secret was rotated too often")
	// ErrUnauthorized: the server refuses the token (401) or what is asked with it (403).
	ErrUnauthorized = errors.New("not authorized")
	// ErrVerification: a received webhook is not proven to come from the holder of the secret.
	ErrVerification = errors.New("webhook verification failed")
)

// An APIError is an answer of the server that is not the promised one: any
// status that is not 2xx, whatever its body, and a 2xx answer that is cut off,
// too large or not what the operation returns.
type APIError struct {
	// Op is what was asked of the server, such as "event type get".
	Op string
	// StatusCode is the HTTP status of the answer.
	StatusCode int
	// Code is the server's own word, such as "not_found"; empty where the body had none.
	Code string
	// Detail is the server's explanation, shortened; of a 422 the joined messages.
	Detail string
	// RetryAfter is how long the server asked to wait, in its header Retry-After; zero if it did
	// not.
	RetryAfter time.Duration

	err error // why a 2xx answer was refused, or an earlier error of the same call
}

// Error says what was asked and what the server answered.
func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString("webhooks: ")
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	fmt.Fprintf(&b, "server answered %d", e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		b.WriteString(" " + text)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

// Unwrap returns the cause where there is one: the error of the network or of
// the context that ended the call after this answer, or the decoding error.
func (e *APIError) Unwrap() error { return e.err }

// Is makes errors.Is(err, ErrUnauthorized) hold for a 401 and a 403.
func (e *APIError) Is(target error) bool {
	return target == ErrUnauthorized &&
		(e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden)
}

// A SendError is an event that is not known to be sent: what went wrong once the
// request for it was begun. What goes wrong before is no SendError.
type SendError struct {
	// EventID is the ID of the event, also if the client drew it. To send the event
	// again with this ID is safe: the server stores it once.
	EventID string
	// MaybeSent tells that the event may have been sent all the same. It is false
	// only if it was not: the server refused it or was never reached.
	MaybeSent bool
	// Err is what went wrong.
	Err error
}

// Error says what went wrong and what to do about it.
func (e *SendError) Error() string {
	err := e.Err
	if err == nil {
		err = errors.New("webhooks: sending failed")
	}
	if e.MaybeSent {
		return fmt.Sprintf("%v; the event may have been sent all the same, and sending it again with the ID %q is safe",
			err, e.EventID)
	}
	return fmt.Sprintf("%v; the event was not sent", err)
}

// Unwrap returns what went wrong.
func (e *SendError) Unwrap() error { return e.Err }

// A Violation is one mistake in a payload or schema.
type Violation struct {
	// Path is the JSON pointer (RFC 6901) to the mistake; empty for the whole value.
	Path string
	// Message says what is wrong there. It may quote a part of the value.
	Message string
}

func (v Violation) String() string {
	if v.Path == "" {
		return v.Message
	}
	return foreign.Quote(v.Path) + ": " + v.Message
}

// A LineError is a line that is no event, see [EventReader].
type LineError struct {
	// Line is its number in the text, from 1.
	Line int
	// Text is the line without the white space around it, the beginning of one that is too long.
	Text []byte
	// Err says why it is none; [errors.Is] finds [ErrInvalidEvent] in it.
	Err error
}

// Error says which line it is, and why. It does not show the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns why the line is no event.
func (e *LineError) Unwrap() error { return e.Err }

// A PayloadError is a payload that the JSON Schema of its event type refuses.
// Nothing was sent. [errors.Is] finds [ErrInvalidPayload] in it.
type PayloadError struct {
	// EventType is the name of the event type.
	EventType string
	// Violations are the mistakes, ordered by path; the first ones of a great many.
	Violations []Violation

	err error // the validator's
}

// Error lists the violations.
func (e *PayloadError) Error() string {
	return fmt.Sprintf("webhooks: %v for event type %s, nothing was sent: %s",
		ErrInvalidPayload, foreign.Quote(e.EventType), joinViolations(e.Violations))
}

// Is makes errors.Is(err, ErrInvalidPayload) hold.
func (e *PayloadError) Is(target error) bool { return target == ErrInvalidPayload }

// Unwrap returns the validator's error, if any.
func (e *PayloadError) Unwrap() error { return e.err }

// A SchemaError is a JSON Schema that cannot be used. [errors.Is] finds
// [ErrInvalidSchema] in it.
type SchemaError struct {
	// Violations are the mistakes, ordered by path; the first ones of a great many.
	Violations []Violation

	err error // the compiler's
}

// Error lists the violations.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("webhooks: %v: %s", ErrInvalidSchema, joinViolations(e.Violations))
}

// Is makes errors.Is(err, ErrInvalidSchema) hold.
func (e *SchemaError) Is(target error) bool { return target == ErrInvalidSchema }

// Unwrap returns the compiler's error, if any.
func (e *SchemaError) Unwrap() error { return e.err }

func joinViolations(violations []Violation) string {
	texts := make([]string, len(violations))
	for i, v := range violations {
		texts[i] = v.String()
	}
	return joinMistakes(texts)
}

// maxMistakes is how many mistakes a text tells one by one.
const maxMistakes = 20

// joinMistakes returns the mistakes in one line, whoever chose the names and values in them.
func joinMistakes(texts []string) string {
	shown := make([]string, 0, maxMistakes)
	for _, text := range texts[:min(len(texts), maxMistakes)] {
		shown = append(shown, foreign.Filter{}.Text(text))
	}
	if more := len(texts) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(shown, "; ")
}

// Codes of the server.
const (
	codeNotFound       = "not_found"
	codeLimitReached   = "limit_reached"
	codeMissingPayload = "missing_payload"
)

// translate returns the error of one call of the SDK, nil where it got a 2xx
// answer. It is the one place where errors of the SDK become ours.
func (c *Client) translate(ctx context.Context, op string, answer *transport.Answer, err error) error {
	refused := answer.Status != 0 && (answer.Err != nil || answer.Status < 200 || answer.Status > 299)
	switch {
	case err == nil:
		return nil
	case refused && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return fmt.Errorf("webhooks: %s: %w (%w)", op, c.foreign.Error(err), c.apiError(op, answer))
	case refused:
		return c.apiError(op, answer)
	default:
		return fmt.Errorf("webhooks: %s: %w", op, c.foreign.Error(err))
	}
}

// apiError describes an answer that is not 2xx, or whose body could not be read.
func (c *Client) apiError(op string, answer *transport.Answer) *APIError {
	e := &APIError{Op: op, StatusCode: answer.Status, RetryAfter: answer.RetryAfter(), err: answer.Err}
	if answer.Err != nil {
		e.Detail = c.foreign.Text(answer.Err.Error())
		return e
	}
	var body struct {
		Code   string          `json:"code"`
		Detail json.RawMessage `json:"detail"`
	}
	isJSON := decode(answer.Body, &body) == nil
	e.Code = c.foreign.Text(body.Code)
	switch {
	case answer.Status >= 300 && answer.Status <= 399:
		e.Detail = "redirects are not followed; set the server URL to the final address " +
			"(often https instead of http): " + c.foreign.Text(location(answer.Header))
	case isJSON && len(body.Detail) > 0:
		e.Detail = c.foreign.Text(detailText(body.Detail))
	case answer.Status == http.StatusNotFound:
		e.Detail = "this is not an answer of the API; " +
			"is the server URL right, with the path prefix of the server if it has one?"
	case string(answer.Body) != noDetail:
		e.Detail = c.foreign.Text(string(answer.Body))
	}
	return e
}

// noDetail is all that the server says of an error of its own.
const noDetail = "{}"

// maxDetail is how long a detail may be to be taken apart: a few bytes of it become many in memory.
const maxDetail = 64 << 10 // bytes

// detailText returns the text of a string detail, the joined messages of a 422,
// or whatever else is there as it is.
func detailText(detail json.RawMessage) string {
	var text string
	if json.Unmarshal(detail, &text) == nil {
		return text
	}
	var problems []struct {
		Loc []string `json:"loc"`
		Msg string   `json:"msg"`
	}
	if len(detail) > maxDetail || json.Unmarshal(detail, &problems) != nil {
		return string(detail)
	}
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = strings.Trim(strings.Join(p.Loc, "."), ".") + ": " + p.Msg
	}
	return strings.Join(texts, "; ")
}

// location is where a redirect points, without the query, which may be long or
// secret.
func location(header http.Header) string {
	target, _, _ := strings.Cut(header.Get("Location"), "?")
	return target
}

// missing turns a not-found answer to an operation on an endpoint into the error that says what is
// missing, which the answer itself does not tell.
func (c *Client) missing(ctx context.Context, ep Endpoint, err error) error {
	if !isNotFound(err) {
		return err
	}
	if _, errType := c.GetEventType(ctx, ep.EventType); errors.Is(errType, ErrEventTypeNotFound) {
		return errType
	}
	return endpointNotFound(ep, err)
}

func endpointNotFound(ep Endpoint, answer error) error {
	return fmt.Errorf("webhooks: %w: endpoint %s (%w)", ErrEndpointNotFound, ep.description(), answer)
}

// notThatOne says of an endpoint that was found that it is another one, or one of several.
func notThatOne(err error) error {
	if _, isOther := errors.AsType[*endpoint.OtherError](err); isOther || errors.Is(err, endpoint.ErrSeveral) {
		return fmt.Errorf("webhooks: %w: %w", ErrInvalidEndpoint, err)
	}
	return err
}

// halfDone adds to the error of a later step what the earlier ones leave behind.
func halfDone(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; the endpoint is set up in part, which creating it again completes", err)
}

func isNotFound(err error) bool {
	api, ok := errors.AsType[*APIError](err)
	return ok && api.StatusCode == http.StatusNotFound && api.Code == codeNotFound
}

func isConflict(err error) bool {
	api, ok := errors.AsType[*APIError](err)
	return ok && api.StatusCode == http.StatusConflict
}

// isPassing tells whether an error is one of the network, or of the state that the server is in.
func isPassing(err error) bool {
	if api, ok := errors.AsType[*APIError](err); ok {
		switch api.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return true
		}
		return api.StatusCode >= http.StatusInternalServerError || errors.Is(err, io.ErrUnexpectedEOF)
	}
	_, ok := errors.AsType[*url.Error](err) // what package net/http makes of every error of the network
	return ok
}
