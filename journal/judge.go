package journal

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/schema"
)

// Classes of failures after which a record is tried again.
const (
	classNetwork    = "network"
	classTimeout    = "timeout"
	classToken      = "token"
	classThrottled  = "throttled"
	classEventType  = "event_type"
	classServer     = "server"
	classAnswer     = "answer" // that says something else than it should: 404, a redirect
	classDeadLetter = "dead_letter"
)

// judge says what an error of SendEvent is about, and whether it is the record's own fault. If it
// is not, the same event may be taken later.
func judge(err error) (class string, fault bool) {
	api, isAnswer := errors.AsType[*webhooks.APIError](err)
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, webhooks.ErrInvalidPayload), errors.Is(err, webhooks.ErrInvalidEvent):
		return ClassRefused, true
	case errors.Is(err, webhooks.ErrEventTypeNotFound), errors.Is(err, webhooks.ErrEventTypeArchived),
		errors.Is(err, webhooks.ErrInvalidSchema):
		return classEventType, false
	case isAnswer:
		return judgeStatus(api.StatusCode)
	case isNetwork && network.Timeout():
		return classTimeout, false
	default:
		return classNetwork, false
	}
}

func judgeStatus(status int) (class string, fault bool) {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return ClassRejected, true
	case http.StatusUnauthorized, http.StatusForbidden:
		return classToken, false
	case http.StatusTooManyRequests:
		return classThrottled, false
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return classTimeout, false
	}
	if status >= http.StatusInternalServerError {
		return classServer, false
	}
	return classAnswer, false
}

// refusal returns what to do if a server refuses, an empty text if it may do better later.
func refusal(err error, eventType string) string {
	api, isAnswer := errors.AsType[*webhooks.APIError](err)
	switch {
	case errors.Is(err, webhooks.ErrEventTypeNotFound), errors.Is(err, webhooks.ErrEventTypeArchived),
		errors.Is(err, webhooks.ErrInvalidSchema):
		return "event type " + eventType + " cannot be sent: register it (swh-webhooks event-type register-defaults)"
	case !isAnswer, errors.Is(err, io.ErrUnexpectedEOF): // the answer broke off
		return ""
	}
	switch class, fault := judgeStatus(api.StatusCode); {
	case class == classToken:
		return "the Svix server refuses the token"
	case fault || class == classAnswer:
		return "the server does not answer as a Svix server does: is its URL right?"
	}
	return ""
}

// maxRetryAfter is the longest wait that is granted to a server.
const maxRetryAfter = time.Minute

// retryAfter returns the wait that a server asked for.
func retryAfter(err error) time.Duration {
	if api, ok := errors.AsType[*webhooks.APIError](err); ok {
		return min(api.RetryAfter, maxRetryAfter)
	}
	return 0
}

// archiveSchemas are those of the archive's own event types, whatever is registered.
type archiveSchemas map[string]*schema.Schema

func newArchiveSchemas() (archiveSchemas, error) {
	schemas := archiveSchemas{}
	for _, et := range webhooks.DefaultEventTypes() {
		compiled, err := schema.Compile(et.Schema)
		if err != nil {
			return nil, err
		}
		schemas[et.Name] = compiled
	}
	return schemas, nil
}

// allow tells whether the archive's own schema allows an event.
func (s archiveSchemas) allow(ctx context.Context, ev webhooks.Event) bool {
	payload, _ := ev.Payload.(map[string]any)
	return s[ev.Type] != nil && s[ev.Type].Validate(ctx, payload) == nil
}
