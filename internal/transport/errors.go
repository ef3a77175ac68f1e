package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// A timeoutError is a deadline that is not the caller's: it does not match
// [context.DeadlineExceeded].
type timeoutError struct{ text string }

func (e *timeoutError) Error() string { return e.text }

// Timeout reports true, for [net/url.Error] and its users.
func (e *timeoutError) Timeout() bool { return true }

// An endedError is a request that the caller's context ended.
type endedError struct {
	err   error // the context's Err
	cause error // the context's Cause
	last  error // what the last try before met; nil if there was none
}

// endedBy returns the error of a request that ctx has ended, after answer.
func endedBy(ctx context.Context, answer *Answer) error {
	last := answer.Err
	if last == nil && answer.Status != 0 {
		last = fmt.Errorf("server answered %d %s", answer.Status, http.StatusText(answer.Status))
	}
	return &endedError{err: ctx.Err(), cause: context.Cause(ctx), last: last}
}

func (e *endedError) Error() string {
	text := e.err.Error()
	if cause := e.cause.Error(); cause != text {
		text += ": " + cause
	}
	if e.last != nil {
		text += "; before that: " + e.last.Error()
	}
	return text
}

// Timeout reports whether it was a deadline, for [net/url.Error] and its users.
func (e *endedError) Timeout() bool { return errors.Is(e.err, context.DeadlineExceeded) }

// Unwrap returns the errors that there are. The context's own is one of them
// whatever the cause, which net/http would report in its place.
func (e *endedError) Unwrap() []error {
	errs := []error{e.err, e.cause}
	if e.last != nil {
		errs = append(errs, e.last)
	}
	return errs
}
