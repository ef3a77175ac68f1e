package cache

import (
	"context"
	"time"
)

// A shared context is that of a load that several callers wait for. It ends with the last of
// theirs, with the same error.
type shared struct {
	values context.Context // that of the first caller, which ends nothing here
	done   chan struct{}
	err    error // set before done is closed
}

func newShared(first context.Context) *shared {
	return &shared{values: context.WithoutCancel(first), done: make(chan struct{})}
}

// end ends the context unless it has ended. It is called under the cache's lock.
func (s *shared) end(err error) {
	if s.Err() == nil {
		s.err = err
		close(s.done)
	}
}

// Deadline returns none: a caller that comes later may have more time.
func (s *shared) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done returns the channel that is closed at the end.
func (s *shared) Done() <-chan struct{} { return s.done }

// Err returns the error of the last caller's context once the context has ended.
func (s *shared) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Value returns what the first caller's context has under a key.
func (s *shared) Value(key any) any { return s.values.Value(key) }
