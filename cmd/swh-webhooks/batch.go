package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/softwareheritage/webhooks"
)

const (
	// maxFailures is how many lines in a row may fail because of the server or the network before
	// the batch ends.
	maxFailures = 100

	// maxInFlight is how many events the library has on their way at most.
	maxInFlight = 1 << 16

	// saveEvery is how much work is done again, though to no effect, after a run was cut off.
	saveEvery = time.Second
)

// A batch sends the events of one input.
type batch struct {
	client      *webhooks.Client
	target      string
	id          string
	concurrency int

	in      io.Reader
	regular bool // whether in is a file that can be read again from its beginning
	failed  *failedLines
	file    *stateFile
	state   batchState // as it will be saved; until then lines may be dealt with again
	saved   time.Time

	inFlight chan line // those whose results are to come, in this order
	failures int       // of the server or network, in a row
	worst    error     // of the lines that failed, one that may succeed later if there is any
	progress *progress
	summary  summary
	skipped  atomic.Int64 // lines
}

// open opens and locks all files, before anything is sent, and finds out what an earlier run that
// did not come to its end has done.
func (b *batch) open(in io.Reader, argument, failedPath string) (err error) {
	b.in = in
	if err := b.lockInput(argument, failedPath); err != nil {
		return err
	}
	if b.failed, err = openFailedLines(failedPath); err != nil {
		return err
	}
	if b.file, err = openState(failedPath + ".state"); err != nil {
		return errors.Join(err, b.failed.close())
	}
	before := b.file.read()
	if err := b.failed.restore(before); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", failedPath, err), b.failed.close())
	}
	b.state = batchState{Target: b.target, BatchID: b.id, Running: true}
	if before.Target == b.target && before.BatchID == b.id {
		if err := b.resume(before); err != nil {
			return errors.Join(err, b.failed.close())
		}
	}
	if err := b.save(); err != nil {
		return errors.Join(err, b.failed.close())
	}
	return nil
}

// lockInput keeps other runs from the input if it is a file.
func (b *batch) lockInput(argument, failedPath string) error {
	file, ok := b.in.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // a pipe, say
	}
	b.regular = true
	if failed, err := os.Stat(failedPath); err == nil && os.SameFile(info, failed) {
		return unusable("--failed", failedPath, errors.New("is the input itself"))
	}
	if err := lock(file); err != nil {
		return fmt.Errorf("%s: %w", argument, err)
	}
	return nil
}

// resume takes over how far an earlier run has come, if the lines that it had dealt with are still
// the same. Of an input that cannot be read twice nobody can know that beforehand.
func (b *batch) resume(before batchState) error {
	if !b.regular || before.Lines == 0 {
		return nil
	}
	file, _ := b.in.(*os.File)
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	reader := newLineReader(file, b.id)
	for {
		l, err := reader.nextText()
		if errors.Is(err, io.EOF) || err == nil && l.Number > before.Lines {
			break
		}
		if err != nil {
			return err
		}
		if l.Number == before.Lines && fmt.Sprintf("%x", reader.sum) == before.Sum {
			b.state.Lines, b.state.Sum = before.Lines, before.Sum
			break
		}
	}
	_, err = file.Seek(start, io.SeekStart)
	return err
}

// send sends the events until the input or ctx ends or it is no use to go on.
func (b *batch) send(ctx context.Context) error {
	start := time.Now()
	b.saved = start
	b.inFlight = make(chan line, b.concurrency)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(ctx, b.progress.interrupt)()
	reader := newLineReader(b.in, b.id)
	events := b.events(reading, reader.all(reading))
	err := b.sendAll(context.WithoutCancel(ctx), events, stop)
	if err == nil {
		if err = ctx.Err(); err == nil {
			err = reader.err
		}
	}
	b.summary.Skipped = int(b.skipped.Load())
	b.summary.Seconds = time.Since(start).Seconds()
	if b.summary.Failed > 0 {
		b.summary.FailedFile = &b.failed.path
	}
	b.summary.Complete = err == nil
	b.progress.end()
	return errors.Join(err, b.close(err == nil))
}

// close leaves behind what the next run needs.
func (b *batch) close(complete bool) error {
	if complete {
		return errors.Join(b.failed.sync(), b.file.remove(), b.failed.close())
	}
	b.state.Running = false
	return errors.Join(b.save(), b.file.file.Close(), b.failed.close())
}

// events yields the events of lines that were not dealt with before, or failed then, and notes
// which line comes next. A line without event yields one that is refused without a request.
func (b *batch) events(ctx context.Context, lines <-chan line) iter.Seq[webhooks.Event] {
	done, failedBefore := b.state.Lines, maps.Clone(b.failed.known)
	return func(yield func(webhooks.Event) bool) {
		for {
			select {
			case l, ok := <-lines:
				if !ok {
					return
				}
				if l.Number <= done && !failedBefore[l.key()] {
					b.skipped.Add(1)
					continue
				}
				b.inFlight <- l
				if !yield(l.event) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// sendAll returns an error if it is no use to go on. It calls stop then, which has to end the
// events.
func (b *batch) sendAll(ctx context.Context, events iter.Seq[webhooks.Event], stop func()) error {
	for result := range b.client.SendEvents(ctx, events, b.concurrency) {
		if err := b.note(<-b.inFlight, result); err != nil {
			stop()
			return err
		}
	}
	return nil
}

// note counts a result. The line is dealt with only if no error is returned.
func (b *batch) note(l line, result webhooks.SendResult) error {
	err := l.err
	if err == nil && result.Err != nil {
		err = explain(result.Err, webhooks.Endpoint{EventType: l.event.Type})
	}
	switch {
	case err != nil && refusesEverybody(err):
		return err
	case err != nil:
		if err := b.failed.add(l, err); err != nil {
			return err
		}
		b.summary.Failed++
	case result.Message.IsZero():
		b.summary.Unheard++
	default:
		b.summary.Sent++
		if result.Message.Repeated {
			b.summary.Repeated++
		}
	}
	b.summary.Events++
	b.progress.update(l.End, b.summary)
	if l.Number > b.state.Lines { // else it failed in an earlier run
		b.state.Lines, b.state.Sum = l.Number, hex.EncodeToString(l.sum[:])
	}
	if time.Since(b.saved) > saveEvery {
		if err := b.save(); err != nil {
			return err
		}
	}
	return b.noteFailure(err)
}

// noteFailure ends a batch in which every event fails, for reasons that may pass.
func (b *batch) noteFailure(err error) error {
	if err == nil || exitStatus(err) == exitWrong {
		b.failures = 0
	} else {
		b.failures++
	}
	if b.worst == nil || exitStatus(b.worst) == exitWrong && exitStatus(err) == exitFailure {
		b.worst = err
	}
	if b.failures == maxFailures {
		return namedError{fmt.Sprintf("%d events in a row failed, the last one: %s",
			maxFailures, inOneLine(err)), err}
	}
	return nil
}

// save makes it durable how far the batch has come: first the records of lines that failed, then
// that these lines were dealt with.
func (b *batch) save() error {
	if err := b.failed.sync(); err != nil {
		return err
	}
	b.state.FailedLength, b.state.FailedSum = b.failed.length, hexSum(b.failed.sum)
	b.saved = time.Now()
	return b.file.write(b.state)
}

// refusesEverybody tells whether the server's answer would be the same for any event: the token or
// the URL is wrong.
func refusesEverybody(err error) bool {
	var api *webhooks.APIError
	if isWrongInput(err) || !errors.As(err, &api) {
		return false
	}
	switch api.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed:
		return true
	}
	return api.StatusCode >= 300 && api.StatusCode <= 399
}
