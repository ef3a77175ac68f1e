package webhooks

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What happened, for [errors.Is]. An error of this package wraps exactly one of
// them, or an [*APIError], or the error of the network or of the context.
var (
	// ErrInvalidConfig: the configuration or an option is wrong; the text names every mistake.
	ErrInvalidConfig = errors.New("invalid configuration")
	// ErrInvalidEventTypeName: [Client.CreateEventType] was given a name that is not "<group>.<event>".
	ErrInvalidEventTypeName = errors.New("invalid event type name")
	// ErrInvalidSchema: a JSON Schema is refused; the error is a [*SchemaError].
	ErrInvalidSchema = errors.New("invalid JSON Schema")
	// ErrInvalidPayload: a payload cannot be sent, nothing was sent; where the
	// schema refuses it the error is a [*PayloadError].
	ErrInvalidPayload = errors.New("invalid payload")
	// ErrInvalidEvent: an [Event] has an ID that cannot be used; nothing was sent.
	ErrInvalidEvent = errors.New("invalid event")
	// ErrInvalidEndpoint: an [Endpoint] cannot be created as described; nothing was changed.
	ErrInvalidEndpoint = errors.New("invalid endpoint")
	// ErrInvalidSecret: an endpoint secret is not "whsec_" and the base64 text of 24 to 75 bytes.
	ErrInvalidSecret = errors.New("invalid endpoint secret")
	// ErrInvalidQuery: a query contradicts itself or has a negative limit; nothing was requested.
	ErrInvalidQuery = errors.New("invalid query")
	// ErrEventTypeNotFound: no event type has this name.
	ErrEventTypeNotFound = errors.New("event type does not exist")
	// ErrEventTypeArchived: the event type was deleted; creating it again revives it.
	ErrEventTypeArchived = errors.New("event type is archived")
	// ErrEndpointNotFound: the event type has no such endpoint.
	ErrEndpointNotFound = errors.New("endpoint does not exist")
	// ErrSecretRotationLimit: the server keeps ten former secrets of an endpoint
	// for 24 hours each and refuses to rotate once more.
	ErrSecretRotationLimit = errors.New("endpoint secret was rotated too often")
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
	return v.Path + ": " + v.Message
}

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
	return fmt.Sprintf("webhooks: %v for event type %s, nothing was sent: %s", ErrInvalidPayload, e.EventType, joinViolations(e.Violations))
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
	return strings.Join(texts, "; ")
}
