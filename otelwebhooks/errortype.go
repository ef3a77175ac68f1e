package otelwebhooks

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/softwareheritage/webhooks"
)

// sentinels are errors by the name under which they are told. The first that fits counts.
var sentinels = []struct {
	err  error
	name string
}{
	{context.Canceled, "context.Canceled"},
	{context.DeadlineExceeded, "context.DeadlineExceeded"},
	{webhooks.ErrVerification, "webhooks.ErrVerification"},
	{webhooks.ErrEventTypeNotFound, "webhooks.ErrEventTypeNotFound"},
	{webhooks.ErrEventTypeArchived, "webhooks.ErrEventTypeArchived"},
	{webhooks.ErrEndpointNotFound, "webhooks.ErrEndpointNotFound"},
	{webhooks.ErrInvalidPayload, "webhooks.ErrInvalidPayload"},
	{webhooks.ErrInvalidSchema, "webhooks.ErrInvalidSchema"},
	{webhooks.ErrInvalidEvent, "webhooks.ErrInvalidEvent"},
	{webhooks.ErrInvalidSecret, "webhooks.ErrInvalidSecret"},
}

// errorTypeOf returns one of a few words for what went wrong, never the text of an error: texts
// are too many for a metric, and may have what is not to be told.
func errorTypeOf(e webhooks.End) string {
	for _, s := range sentinels {
		if errors.Is(e.Err, s.err) {
			return s.name
		}
	}
	if api, ok := errors.AsType[*webhooks.APIError](e.Err); ok {
		return strconv.Itoa(api.StatusCode)
	}
	if timeout, ok := errors.AsType[net.Error](e.Err); ok && timeout.Timeout() {
		return "timeout"
	}
	if _, ok := errors.AsType[*net.OpError](e.Err); ok {
		return "network"
	}
	if e.Status >= 400 {
		return strconv.Itoa(e.Status)
	}
	return "_OTHER"
}
