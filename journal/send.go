package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/softwareheritage/webhooks"
)

// triesUntilStuck is how often a record fails while others succeed before it is called stuck.
const triesUntilStuck = 20

// send deals with one record after the other until the end.
func (f *Feed) send() {
	for {
		e := f.nextRecord()
		if e == nil {
			return
		}
		f.deal(e)
	}
}

// nextRecord waits for a record; nil at the end.
func (f *Feed) nextRecord() *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.ended {
		e, at := f.schedule.Next(time.Now())
		if e != nil {
			e.Record.partition.inFlight++
			return e
		}
		if !at.IsZero() {
			f.wakeAt(at)
		}
		f.workers.Wait()
	}
	return nil
}

// wakeAt lets the senders look for a record again.
func (f *Feed) wakeAt(at time.Time) {
	wait := time.Until(at)
	if f.timer == nil {
		f.timer = time.AfterFunc(wait, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.workers.Broadcast()
		})
		return
	}
	f.timer.Reset(wait)
}

// deal decodes a record and sends its event.
func (f *Feed) deal(e *entry) {
	t := e.Record
	if t.dead != nil {
		f.bury(e)
		return
	}
	ev, err := Decode(t.record, f.cfg.decodeOptions())
	broken, isBroken := errors.AsType[*RecordError](err)
	switch {
	case errors.Is(err, ErrSkip):
		f.settle(e, outcomeSkipped)
	case f.forced[t.record.Position()]:
		t.dead = newDeadLetter(t.record, ev.ID, ClassForced, errors.New("the configuration says so"))
		f.bury(e)
	case isBroken:
		t.dead = newDeadLetter(t.record, "", broken.Class, err)
		f.bury(e)
	default:
		f.sendEvent(e, ev)
	}
}

func (f *Feed) sendEvent(e *entry, ev webhooks.Event) {
	began := time.Now()
	message, err := f.to.SendEvent(e.Record.partition.ctx, ev)
	switch class, fault := judge(err); {
	case err == nil && message.IsZero():
		f.settle(e, outcomeUnheard)
	case err == nil:
		f.sent(e, ev.Type, time.Since(began))
	case e.Record.partition.ctx.Err() != nil:
		f.drop(e)
	case fault:
		f.refused(e, ev, class, err)
	default:
		f.failed(e, class, err)
	}
}

func (f *Feed) sent(e *entry, eventType string, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.send(took)
	f.deadInARow[eventType] = 0
	f.settleLocked(e, outcomeSent)
}

func (f *Feed) settle(e *entry, o outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settleLocked(e, o)
}

// settleLocked notes what became of a record. Its place and those behind it may become free.
func (f *Feed) settleLocked(e *entry, o outcome) {
	t := e.Record
	t.partition.inFlight--
	switch {
	case o == outcomeSent || o == outcomeUnheard || t.dead != nil && t.dead.Class == ClassRejected:
		f.schedule.Succeeded(e)
		f.gateChanged(nil)
	default:
		f.schedule.Done(e)
	}
	if !e.Forgotten() {
		f.counts.outcome(t.record.Topic, o)
	}
	if t.partition.tracker.Settle(e) {
		f.room.Signal()
		if t.partition.parked || f.cfg.StopAtEnd && t.partition.tracker.Len() == 0 {
			f.wakePoll()
		}
	}
	f.idle.Broadcast()
	f.workers.Signal()
}

// drop notes that the send of a record was ended because it is another member's now.
func (f *Feed) drop(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.Record.partition.inFlight--
	f.schedule.Done(e)
	f.idle.Broadcast()
	f.workers.Signal()
}

// failed schedules a record again.
func (f *Feed) failed(e *entry, class string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.Record.partition.inFlight--
	f.counts.retries[class]++
	f.schedule.Failed(e, time.Now(), retryAfter(err))
	f.gateChanged(err)
	if e.Lonely() == triesUntilStuck {
		f.log.Error("a record is stuck: the server fails it and takes others; it is tried on",
			"position", e.Record.record.Position(), "error", err)
	}
	if f.window.Free() == 0 {
		f.parkFailing()
		f.room.Signal()
	}
	f.idle.Broadcast()
	f.workers.Signal()
}

// gateChanged logs when an outage begins and ends, and once a minute while it lasts.
func (f *Feed) gateChanged(err error) {
	now := time.Now()
	switch closed := f.schedule.Closed(); {
	case closed && f.gateSince.IsZero():
		f.gateSince, f.gateLogged = now, now
		f.log.Warn("sending fails; one event at a time is tried until one is taken", "error", err)
	case closed && now.Sub(f.gateLogged) >= time.Minute:
		f.gateLogged = now
		f.log.Warn("sending still fails", "since", f.gateSince, "error", err)
	case !closed && !f.gateSince.IsZero():
		f.log.Info("sending works again", "after", now.Sub(f.gateSince))
		f.gateSince = time.Time{}
		f.workers.Broadcast()
	}
}

// refused makes a dead letter of a record whose event cannot be sent, unless something is wrong
// with the schemas that are registered.
func (f *Feed) refused(e *entry, ev webhooks.Event, class string, err error) {
	e.Record.dead = newDeadLetter(e.Record.record, ev.ID, class, err)
	if f.schemas.allow(e.Record.partition.ctx, ev) {
		f.mu.Lock()
		f.deadInARow[ev.Type]++
		inARow := f.deadInARow[ev.Type]
		f.mu.Unlock()
		if inARow >= f.cfg.MaxDeadInARow {
			f.fail(stopped("%d %s events in a row were refused although the archive's own schema allows them: "+
				"is the right one registered (swh-webhooks event-type register-defaults)? the last one, %s: %w",
				inARow, ev.Type, e.Record.record.Position(), err))
			f.drop(e)
			return
		}
	}
	f.bury(e)
}

// bury stores a dead letter. If that fails the record is tried again.
func (f *Feed) bury(e *entry) {
	t := e.Record
	if f.dead == nil {
		f.fail(stopped("the record %s cannot be sent and there is no place for dead letters "+
			"(dead_letter.topic, dead_letter.file): %s", t.record.Position(), t.dead.Reason))
		f.drop(e)
		return
	}
	err := f.dead.Store(t.partition.ctx, *t.dead)
	if err == nil {
		f.log.Warn("dead letter", "position", t.record.Position(), "class", t.dead.Class)
		f.settle(e, outcomeDead)
		return
	}
	if t.partition.ctx.Err() != nil {
		f.drop(e)
		return
	}
	f.log.Error("a dead letter cannot be stored; trying again", "position", t.record.Position(), "error", err)
	f.mu.Lock()
	defer f.mu.Unlock()
	t.partition.inFlight--
	f.counts.retries[classDeadLetter]++
	f.schedule.Postponed(e, time.Now())
	f.idle.Broadcast()
	f.workers.Signal()
}

// preflight asks for what every send needs: a server that accepts the token and knows the event
// types. It waits for a server that is down, and returns an error if one refuses.
func (f *Feed) preflight(ctx context.Context) error {
	for _, name := range f.cfg.eventTypes() {
		for tries := 1; ; tries++ {
			_, err := f.to.GetEventType(ctx, name)
			if err == nil {
				break
			}
			if hint := refusal(err, name); hint != "" {
				return stopped("%s: %w", hint, err)
			}
			wait := max(f.backoff.After(tries), retryAfter(err))
			f.log.Warn("the server does not answer; trying again", "in", wait, "error", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return fmt.Errorf("journal: %w", ctx.Err())
			}
		}
	}
	return nil
}
