package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

func newEventSendBatchCommand(s *settings) *cobra.Command {
	b := batch{concurrency: 64, firstLine: 1}
	output := formatText
	cmd := &cobra.Command{
		Use:   "send-batch FILE",
		Short: "Send many events, one per line of a file, each only once",
		Long: `Send many events. Each line of FILE ("-" is standard input) is a JSON object with the members type, payload and, if
wanted, channel and id:

  {"type": "origin.create", "channel": "https://a.org", "payload": {"origin_url": "https://a.org"}}

No event is sent twice, however often the command is repeated: an event without an id gets one made of its line's text
and number, so that the same file sends the same events, under any name. Lines can be appended to a file or corrected in
it; where lines are inserted or removed, those that follow count as new. On the other hand, a line that equals the one
with the same number in a file sent before is taken for the same event: to send it once more, give a --batch-id, which
goes into the ids.

Lines that fail go to another file (of events.ndjson to events.failed.ndjson) with their ids and errors, and can be sent
from there as they are. Sending goes on, unless the server cannot be reached or refuses everything. An interrupt (Ctrl-C) lets the events on their way
arrive, says how to go on and ends with status 1; a second one ends at once, which loses nothing either.

With -o json the summary is an object with the members events, sent (now or earlier), unheard (no endpoint listens, so
they were not sent), failed, failed_file (null: none), next_line (the first that was not dealt with) and seconds.`,
		Example: `  swh-webhooks event send-batch events.ndjson

  # make the lines from a file that has a payload on each
  sed 's/.*/{"type": "origin.create", "payload": &}/' origins.ndjson | swh-webhooks event send-batch -

  # once the causes are gone
  swh-webhooks event send-batch events.failed.ndjson`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if b.client, err = s.client(cmd); err != nil {
				return err
			}
			in, closeInput, err := openInput(cmd, "FILE", args[0])
			if err != nil {
				return err
			}
			defer closeInput()
			if err := b.prepare(args[0], in); err != nil {
				return err
			}
			b.progress = newProgress(cmd.ErrOrStderr(), in)
			summary, err := b.send(cmd.Context(), in)
			if output == formatJSON {
				return errors.Join(err, printJSON(cmd.OutOrStdout(), summary))
			}
			return errors.Join(err, printSummary(cmd.OutOrStdout(), summary))
		},
	}
	flags := cmd.Flags()
	flags.Var(count{&b.concurrency}, "concurrency", "`N` events at most are on their way at once")
	flags.StringVar(&b.id, "batch-id", "",
		"`TEXT` that goes into the ids made for events that have none")
	flags.Var(count{&b.firstLine}, "from-line", "begin with line `N`")
	flags.StringVar(&b.failed.path, "failed", "",
		"`FILE` to append failed lines to (default: FILE.failed.ndjson)")
	addFormat(cmd, &output)
	return cmd
}

// maxFailures is how many lines in a row may fail because of the server or the network before the
// batch ends.
const maxFailures = 100

// A batch sends the events of one input.
type batch struct {
	client      *webhooks.Client
	source      string
	id          string
	concurrency int
	firstLine   int
	failed      failedLines
	progress    *progressbar.ProgressBar

	inFlight chan line // those whose results are to come, in this order
	summary  summary
	failures int   // of the server or network, in a row
	worst    error // of the lines that failed, one that may succeed later if there is any
}

// A summary is what became of a batch, in the documented form.
type summary struct {
	Events     int     `json:"events"`
	Sent       int     `json:"sent"`
	Unheard    int     `json:"unheard"`
	Failed     int     `json:"failed"`
	FailedFile *string `json:"failed_file"`
	NextLine   int     `json:"next_line"`
	Seconds    float64 `json:"seconds"`
}

func (b *batch) prepare(source string, in io.Reader) error {
	b.source = source
	if b.failed.path == "" {
		b.failed.path = failedName(source)
	}
	input, ok := in.(*os.File)
	if !ok {
		return nil
	}
	inputInfo, errInput := input.Stat()
	failedInfo, errFailed := os.Stat(b.failed.path)
	if errInput == nil && errFailed == nil && os.SameFile(inputInfo, failedInfo) {
		return unusable("--failed", b.failed.path, errors.New("is the input itself"))
	}
	return nil
}

// send sends the events until the input or ctx ends or it is no use to go on.
func (b *batch) send(ctx context.Context, in io.Reader) (summary, error) {
	start := time.Now()
	b.summary.NextLine = b.firstLine
	b.inFlight = make(chan line, b.concurrency)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(ctx, func() { b.progress.Describe("interrupted, finishing") })()
	reader := newLineReader(in, b.id)
	events := b.events(reading, reader.from(reading, b.firstLine))
	err := b.sendAll(context.WithoutCancel(ctx), events, stop)
	if ctx.Err() == nil && err == nil {
		err = reader.err
	}
	_ = b.progress.Clear()
	b.summary.Seconds = time.Since(start).Seconds()
	if b.summary.Failed > 0 {
		b.summary.FailedFile = &b.failed.path
	}
	return b.summary, errors.Join(b.verdict(ctx, err), b.failed.close())
}

// events yields the events of lines and notes which line comes next. A line without event yields
// one that is refused without a request.
func (b *batch) events(ctx context.Context, lines <-chan line) iter.Seq[webhooks.Event] {
	return func(yield func(webhooks.Event) bool) {
		for {
			select {
			case l, ok := <-lines:
				if !ok {
					return
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

// sendAll returns an error where it is no use to go on. It calls stop then, which has to end the
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

// note counts a result.
func (b *batch) note(l line, result webhooks.SendResult) error {
	err := l.err
	if err == nil && result.Err != nil {
		err = explain(result.Err, webhooks.Endpoint{EventType: l.event.Type})
	}
	if err != nil && refusesEverybody(err) {
		return err
	}
	b.summary.Events++
	b.summary.NextLine = l.number + 1
	_ = b.progress.Set64(l.end)
	switch {
	case err != nil:
		return b.noteFailure(l, err)
	case result.Message.IsZero():
		b.summary.Unheard++
	default:
		b.summary.Sent++
	}
	b.failures = 0
	return nil
}

func (b *batch) noteFailure(l line, err error) error {
	b.summary.Failed++
	if b.worst == nil || exitStatus(b.worst) == exitWrong && exitStatus(err) != exitWrong {
		b.worst = err
	}
	if err := b.failed.add(l, err); err != nil {
		return err
	}
	if exitStatus(err) == exitWrong {
		b.failures = 0
	} else if b.failures++; b.failures == maxFailures {
		return namedError{fmt.Sprintf("%d events in a row failed, the last one: %s", maxFailures,
			inOneLine(err)), err}
	}
	return nil
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

// verdict returns the error that the command ends with: that of ending early, or that lines failed.
func (b *batch) verdict(ctx context.Context, err error) error {
	goOn := fmt.Sprintf("to go on: swh-webhooks event send-batch --from-line %d %s",
		b.summary.NextLine, b.source)
	if b.summary.Failed > 0 {
		goOn += "; lines that failed are in " + b.failed.path
	}
	switch {
	case err != nil:
		return namedError{inOneLine(err) + "; " + goOn, err}
	case ctx.Err() != nil:
		return namedError{"interrupted; " + goOn, ctx.Err()}
	case b.worst != nil:
		return namedError{fmt.Sprintf("%d of %d events failed, such as: %s; once the causes are gone: swh-webhooks event send-batch %s",
			b.summary.Failed, b.summary.Events, inOneLine(b.worst), b.failed.path), b.worst}
	}
	return nil
}

func printSummary(w io.Writer, s summary) error {
	rate := float64(s.Events) / max(s.Seconds, 1e-3)
	_, err := fmt.Fprintf(w,
		"%d events in %.1f s (%.0f/s): %d sent, %d without listener, %d failed\n",
		s.Events, s.Seconds, rate, s.Sent, s.Unheard, s.Failed)
	return err
}

// newProgress returns a progress bar for a terminal, and an invisible one for anything else.
func newProgress(w io.Writer, in io.Reader) *progressbar.ProgressBar {
	size := int64(-1)
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(isTerminal(w)),
		progressbar.OptionSetDescription("sending"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}
