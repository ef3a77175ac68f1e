// Package replay remembers which messages were received.
package replay

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"
)

// maxWaiting is how many calls wait while a message is being received. Each of them holds its body.
const maxWaiting = 4

// ErrBusy says that enough calls wait for the outcome of a message already.
var ErrBusy = errors.New("the message is being received, and enough deliveries of it wait")

// Memory remembers the messages that were received: for a time, and so many of them at most. It is
// safe for concurrent use.
type Memory struct {
	limit int
	keep  time.Duration
	start time.Time // from which all times are counted

	mu       sync.Mutex
	running  map[string]*call
	received map[key]struct{}
	order    []entry // of received, by time; those before oldest are forgotten
	oldest   int
	dropped  int            // messages forgotten before their time and not yet told of
	told     *time.Duration // when Dropped last returned a number
}

// A call is one that receives a message.
type call struct {
	ended   chan struct{}
	waiting int
}

// A key stands for a message. It bounds what an id takes, and is nothing that the garbage collector
// has to look into.
type key [16]byte

type entry struct {
	key key
	at  time.Duration
}

// NewMemory returns a Memory that keeps a message for that long, and limit messages at most, of
// which the oldest go first. Both are positive.
func NewMemory(limit int, keep time.Duration) *Memory {
	return &Memory{
		limit:    limit,
		keep:     keep,
		start:    time.Now(),
		running:  make(map[string]*call),
		received: make(map[key]struct{}),
	}
}

// Once calls receive unless it returned nil for this message within the time that messages are
// kept. While another call for the message runs it waits for the outcome: either that one received
// the message, or this call tries in its turn. Waiting ends with ctx. If enough calls wait already
// it returns [ErrBusy].
//
// A receive that returns an error, panics or exits its goroutine leaves the message as one that was
// not received.
func (m *Memory) Once(ctx context.Context, messageID string, receive func(ctx context.Context) error) error {
	for {
		begun, other, err := m.begin(messageID)
		switch {
		case err != nil:
			return err
		case begun:
			return m.run(ctx, messageID, receive)
		case other == nil:
			return nil
		}
		select {
		case <-other.ended:
		case <-ctx.Done():
			m.leave(other)
			return ctx.Err()
		}
	}
}

// begin claims a message that was not received. Otherwise it returns the call to wait for, nil if
// the message was received.
func (m *Memory) begin(messageID string) (begun bool, other *call, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Since(m.start))
	if _, ok := m.received[keyOf(messageID)]; ok {
		return false, nil, nil
	}
	other, ok := m.running[messageID]
	switch {
	case !ok:
		m.running[messageID] = &call{ended: make(chan struct{})}
		return true, nil, nil
	case other.waiting == maxWaiting:
		return false, nil, ErrBusy
	}
	other.waiting++
	return false, other, nil
}

func (m *Memory) leave(other *call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	other.waiting--
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
	close(m.running[messageID].ended)
	delete(m.running, messageID)
	if received {
		m.remember(messageID, time.Since(m.start))
	}
}

func (m *Memory) remember(messageID string, now time.Duration) {
	m.forget(now)
	if len(m.received) == m.limit {
		m.forgetOldest()
		m.dropped++
	}
	k := keyOf(messageID)
	m.received[k] = struct{}{}
	m.order = append(m.order, entry{k, now})
}

// forget drops what has been kept long enough.
func (m *Memory) forget(now time.Duration) {
	for m.oldest < len(m.order) && now-m.order[m.oldest].at > m.keep {
		m.forgetOldest()
	}
}

func (m *Memory) forgetOldest() {
	delete(m.received, m.order[m.oldest].key)
	m.oldest++
	if m.oldest > len(m.order)/2 { // then moving the rest costs no more than what made it
		m.order = slices.Delete(m.order, 0, m.oldest)
		m.oldest = 0
	}
}

// Dropped returns how many messages were forgotten before their time, because there were too many,
// since it last returned that. It does so once in an interval at most, and else returns zero.
func (m *Memory) Dropped(interval time.Duration) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Since(m.start)
	if m.dropped == 0 || m.told != nil && now-*m.told < interval {
		return 0
	}
	dropped := m.dropped
	m.dropped, m.told = 0, &now
	return dropped
}

func keyOf(messageID string) key {
	sum := sha256.Sum256([]byte(messageID))
	return key(sum[:16])
}
