package confirm_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/confirm"
)

// message is one on a server whose clock is ahead of this machine's.
type message struct {
	stored    time.Time // by the server's clock
	ahead     time.Duration
	noDate    bool          // the answers do not tell the server's time
	queuedAt  time.Duration // since it was stored, that the first attempt is seen; 0: never
	receivers []string
	slow      time.Duration // to list them
	refuses   string        // a receiver to which it cannot be resent

	mu     sync.Mutex
	polls  []time.Duration // age at each
	pauses int             // begun and ended
	resent []string
	at     time.Duration // age at the first resend
	asked  time.Duration // the age with which the receivers were asked for
}

var errRefused = errors.New("refused")

func (m *message) now() time.Time     { return time.Now().Add(m.ahead) }
func (m *message) age() time.Duration { return m.now().Sub(m.stored) }

func (m *message) Queued(context.Context) (bool, time.Time, error) {
	m.polls = append(m.polls, m.age())
	now := m.now().Truncate(time.Second)
	if m.noDate {
		now = time.Time{}
	}
	return m.queuedAt != 0 && m.age() >= m.queuedAt, now, nil
}

func (m *message) Receivers(_ context.Context, age time.Duration) ([]string, error) {
	time.Sleep(m.slow)
	m.asked = age
	return m.receivers, nil
}

func (m *message) Waiting(context.Context) func() {
	m.pauses++
	return func() { m.pauses++ }
}

func (m *message) Resend(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id == m.refuses {
		return errRefused
	}
	m.resent = append(m.resent, id)
	m.at = m.age()
	return nil
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	two := []string{"ep_1", "ep_2"}
	const hour = time.Hour
	tests := map[string]struct {
		*message
		old    time.Duration // the message's age at the beginning
		polls  int           // at most
		resent []string
		err    error
	}{
		"queued and attempted": {
			message: &message{queuedAt: 1, receivers: two},
			old:     hour, polls: 1,
		},
		"never queued, old": {
			message: &message{receivers: two}, old: hour,
			polls: 1, resent: two,
		},
		"never queued, nobody should have it": {message: &message{}, old: 0, polls: 1},
		"never queued, new":                   {message: &message{receivers: two}, old: 0, polls: 11, resent: two},
		"never queued, new by an odd fraction": {
			message: &message{receivers: two},
			old:     4 * time.Millisecond, polls: 11, resent: two,
		},
		"never queued, half a minute old": {
			message: &message{receivers: two},
			old:     30 * time.Second, polls: 7, resent: two,
		},
		"never queued, server an hour ahead": {
			message: &message{receivers: two, ahead: hour},
			old:     0, polls: 11, resent: two,
		},
		"never queued, server an hour behind": {
			message: &message{receivers: two, ahead: -hour},
			old:     0, polls: 11, resent: two,
		},
		"never queued, no Date": {
			message: &message{receivers: two, noDate: true},
			old:     hour, polls: 11, resent: two,
		},
		"the first attempt ends with its time-out": {
			message: &message{receivers: two, queuedAt: 30 * time.Second},
			old:     0, polls: 10,
		},
		"it is attempted while receivers are listed": {
			message: &message{receivers: two, queuedAt: 30 * time.Second, slow: time.Minute}, old: 0, polls: 2,
		},
		"one receiver refuses": {
			message: &message{receivers: two, refuses: "ep_1"}, old: hour,
			polls: 1, resent: two[1:], err: errRefused,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := tt.message
				m.stored = m.now().Add(-tt.old)
				if err := confirm.Delivered(t.Context(), m, m.stored); !errors.Is(err, tt.err) {
					t.Fatalf("got %v, want %v", err, tt.err)
				}
				slices.Sort(m.resent)
				if diff := cmp.Diff(tt.resent, m.resent); diff != "" {
					t.Errorf("resent to (-want +got):\n%s", diff)
				}
				if len(m.polls) > tt.polls {
					t.Errorf("got %d polls, at the ages %v, want at most %d", len(m.polls), m.polls, tt.polls)
				}
				if m.pauses != 2*(len(m.polls)-1) {
					t.Errorf("told of the beginning or end of a pause %d times, for %d polls", m.pauses, len(m.polls))
				}
				if len(m.resent) > 0 && (m.at < confirm.Settled || m.polls[len(m.polls)-1] < confirm.Settled) {
					t.Errorf("resent at the age %v, after a look at %v", m.at, m.polls[len(m.polls)-1])
				}
				if m.at > confirm.Settled+2*time.Second && tt.old < confirm.Settled && !tt.noDate {
					t.Errorf("resent only at the age %v", m.at)
				}
				if m.asked > tt.old {
					t.Errorf("told that the message was %v old, which was %v", m.asked, tt.old)
				}
			})
		})
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &message{stored: time.Now(), receivers: []string{"ep_1"}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		err := confirm.Delivered(ctx, m, m.stored)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second || m.resent != nil {
			t.Errorf("got %v after %v, resent to %v; want the deadline after 10s and nothing resent",
				err, time.Since(start), m.resent)
		}
	})
}
