// Package confirm sees to it that a message which a server has stored is delivered.
//
// A Svix server drops the handler of a request where it stands when the client goes away. A message
// may then be stored without being queued: the server refuses to create it again, since it is
// there, and never delivers it. Only a resend does. But a resend cancels the retries that are
// planned for a message that was queued, so there must be no doubt.
package confirm

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Settled is the age at which a message has an attempt if it was queued. An attempt is stored when
// it is over, which takes a server's time-out for receivers at most: 30 seconds.
const Settled = 35 * time.Second

const (
	firstPause  = 250 * time.Millisecond // between polls, doubled each time
	coarseness  = time.Second            // of the server's clock in the header Date
	resendLimit = 8                      // at once
)

// A Message is what a server can be asked of one message.
type Message interface {
	// Queued tells whether an attempt proves that the message was queued. now is the server's time
	// of the answer, zero if the answer does not tell it.
	Queued(ctx context.Context) (queued bool, now time.Time, err error)
	// Receivers are the endpoints that should have received the message. age is how old it is at
	// least: no answer may be older.
	Receivers(ctx context.Context, age time.Duration) (ids []string, err error)
	// Resend lets the server deliver the message to an endpoint, if that still can receive it.
	Resend(ctx context.Context, id string) error
	// Waiting is told of each pause; what it returns is called at its end.
	Waiting(ctx context.Context) (end func())
}

// Delivered returns nil once the message, which was stored at the given time of the server, is
// known to be queued or is resent to all that should receive it. Until it is old enough for that it
// asks for attempts again and again, with growing pauses: ten times at most.
func Delivered(ctx context.Context, m Message, stored time.Time) error {
	began := time.Now()
	look := func() (queued bool, age time.Duration, err error) {
		age = time.Since(began) // at least
		queued, now, err := m.Queued(ctx)
		if !now.IsZero() && !stored.IsZero() {
			age = max(age, now.Sub(stored))
		}
		return queued, age, err
	}
	queued, age, err := look()
	if err != nil || queued {
		return err
	}
	receivers, err := m.Receivers(ctx, age)
	if err != nil || len(receivers) == 0 {
		return err
	}
	for pause := firstPause; age < Settled; pause *= 2 {
		if err := wait(ctx, m, min(pause, max(Settled-age, coarseness))); err != nil {
			return err
		}
		queued, age, err = look()
		if err != nil || queued {
			return err
		}
	}
	return resend(ctx, m, receivers)
}

func wait(ctx context.Context, m Message, d time.Duration) error {
	defer m.Waiting(ctx)()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("webhooks: waiting for the first attempt to deliver the message: %w", ctx.Err())
	}
}

func resend(ctx context.Context, m Message, receivers []string) error {
	var group errgroup.Group // without a context: the failure of one is no reason to leave out others
	group.SetLimit(resendLimit)
	for _, id := range receivers {
		group.Go(func() error { return m.Resend(ctx, id) })
	}
	return group.Wait()
}
