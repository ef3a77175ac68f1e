// Package demo shows the library at work, from the registration of event types to the list of what
// was delivered, on a Svix server and a receiver of its own. Nothing that it prints is taken for
// granted: all of it comes from what the library returned and from what the receiver was sent.
package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Options say how to show it.
type Options struct {
	Out   io.Writer
	Color bool // mark results with the colours of a terminal
	// Refuse is how many deliveries the receiver refuses. They are not tried again, so that Run
	// fails.
	Refuse uint
}

// Run shows everything, step by step. It returns an error unless each event was sent, each delivery
// that the events must cause arrived once and as it was sent, and the invalid payload was refused;
// also if ctx ends first or Out cannot be written to.
func Run(ctx context.Context, o Options) error {
	started := time.Now()
	events, err := SampleEvents()
	if err != nil {
		return err
	}
	d := &demo{printer: printer{out: o.Out, color: o.Color}, events: events}
	defer d.stop()
	if err := d.start(ctx, o.Refuse); err != nil {
		return err
	}
	if err := d.steps(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("the demonstration was interrupted: %w", err)
		}
		return err
	}
	return d.summary(time.Since(started))
}

// demo is what the steps of a run share.
type demo struct {
	printer

	events []webhooks.Event // to be sent
	client *webhooks.Client

	mock         *svixmock.Server
	server       *site // of the mock
	receiver     *receiver
	receiverSite *site

	subscriptions []*subscription
	began         time.Time // of sending

	sent     int // events
	verified int // deliveries
	listed   int // deliveries
	problems int // results that are not what they have to be
}

// start opens the server and the receiver. The server makes one attempt at each delivery, so that
// it is known how many there have to be.
func (d *demo) start(ctx context.Context, refuse uint) (err error) {
	d.mock = svixmock.New(svixmock.Config{RetrySchedule: []time.Duration{}})
	if d.server, err = open(ctx, d.mock); err != nil {
		return err
	}
	d.receiver = newReceiver(refuse)
	if d.receiverSite, err = open(ctx, d.receiver); err != nil {
		return err
	}
	d.client, err = webhooks.NewClient(
		webhooks.WithConfig(webhooks.Config{}), // no file is read
		webhooks.WithServerURL(d.server.url),
		webhooks.WithAuthToken(d.mock.Token()),
	)
	return err
}

// stop closes what was started, the mock first, since the sites wait for it.
func (d *demo) stop() {
	if d.mock != nil {
		d.mock.Close()
	}
	d.server.close()
	d.receiverSite.close()
}

func (d *demo) steps(ctx context.Context) error {
	steps := []struct {
		title string
		run   func(context.Context) error
	}{
		{"A Svix server and a receiver, both in this process", d.introduce},
		{"Register the event types", d.registerEventTypes},
		{"Create endpoints", d.createEndpoints},
		{"Send the sample origins and visits", d.sendEvents},
		{"Receive and verify the deliveries", d.verifyDeliveries},
		{"Try to send an invalid payload", d.sendInvalid},
		{"List what was sent", d.listSent},
	}
	d.title("Software Heritage webhooks, from the sender to the receiver")
	for i, step := range steps {
		d.heading(fmt.Sprintf("%d. %s", i+1, step.title))
		if d.err != nil {
			return d.err
		}
		if err := step.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// summary says how it went, and returns an error if not all was well.
func (d *demo) summary(took time.Duration) error {
	due := d.due()
	d.heading("Summary")
	d.table([][]string{
		{"events sent", fmt.Sprintf("%d of %d", d.sent, len(d.events))},
		{"deliveries verified", fmt.Sprintf("%d of %d", d.verified, due)},
		{"deliveries listed", fmt.Sprintf("%d of %d", d.listed, due)},
		{"time", took.Round(time.Millisecond).String()},
	})
	d.blank()
	if d.problems > 0 {
		d.mark(false, "Not all went well: see the lines marked so.")
		return fmt.Errorf("%d of %d events sent, %d of %d deliveries verified", d.sent,
			len(d.events), d.verified, due)
	}
	d.mark(true, "Every event was sent; every delivery arrived once, signed and unaltered.")
	return d.err
}

// result prints what came out and counts it among the problems if it is not ok.
func (d *demo) result(ok bool, format string, args ...any) {
	if !ok {
		d.problems++
	}
	d.mark(ok, format, args...)
}

func (d *demo) problem(format string, args ...any) { d.result(false, format, args...) }
