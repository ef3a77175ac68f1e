// Package replay remembers which messages were received.
package replay

import (
	"context"
	"sync"
)

// Memory remembers the last messages that were received, up to a limit. It is
// safe for concurrent use.
type Memory struct {
	limit int

	mu       sync.Mutex
	running  map[string]chan struct{} // closed when the call ends
	received map[string]struct{}
	order    []string // of received, a ring once it is full
	oldest   int      // where the next message goes in the full ring
}

// NewMemory returns a Memory of at most limit messages; limit is positive.
func NewMemory(limit int) *Memory {
	return &Memory{
		limit:    limit,
		running:  make(map[string]chan struct{}),
		received: make(map[string]struct{}),
	}
}

// Once calls receive unless it returned nil for this message before. While
// another call for the message runs it waits for the outcome: either that one
// received the message, or this call tries in its turn. Waiting ends with ctx.
//
// A receive that returns an error, panics or exits its goroutine leaves the
// message as one that was not received.
func (m *Memory) Once(ctx context.Context, messageID string, receive func(ctx context.Context) error) error {
	for {
		begun, other := m.begin(messageID)
		if begun {
			return m.run(ctx, messageID, receive)
		}
		if other == nil {
			return nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin claims a message that was not received. Otherwise it returns the end of
// the call that is receiving it, nil if it was received.
func (m *Memory) begin(messageID string) (begun bool, other <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.received[messageID]; ok {
		return false, nil
	}
	if other, ok := m.running[messageID]; ok {
		return false, other
	}
	m.running[messageID] = make(chan struct{})
	return true, nil
}

func (m *Memory) run(ctx context.Context, messageID string, receive func(ctx context.Context) error) (err error) {
	received := false
	defer func() { m.end(messageID, received) }()
	err = receive(ctx)
	received = err == nil
	return err
}

func (m *Memory) end(messageID string, received bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.running[messageID])
	delete(m.running, messageID)
	if received {
		m.remember(messageID)
	}
}

func (m *Memory) remember(messageID string) {
	m.received[messageID] = struct{}{}
	if len(m.order) < m.limit {
		m.order = append(m.order, messageID)
		return
	}
	delete(m.received, m.order[m.oldest])
	m.order[m.oldest] = messageID
	m.oldest = (m.oldest + 1) % len(m.order)
}
