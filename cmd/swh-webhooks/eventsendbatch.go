package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newEventSendBatchCommand(s *settings) *cobra.Command {
	var id, failedPath string
	concurrency := 64
	output := formatText
	cmd := &cobra.Command{
		Use:   "send-batch FILE",
		Short: "Send many events, one per line of a file, each only once",
		Long: `Send many events. Each line of FILE ("-" is standard input) is a JSON object
with the members type, payload and, if wanted, channel and id:

  {"type": "origin.create", "payload": {"origin_url": "https://a.org"}}

No event is sent twice, however often the command is repeated: an event without
an id gets one made of its line's text and number, so that the same file sends
the same events, under any name. Lines can be appended to a file or corrected
in it; if lines are inserted or removed, those that follow count as new. A line
that equals the one with the same number in a file sent before is taken for the
same event: to send it once more, give a --batch-id, which goes into the ids.

To go on after whatever ended it, repeat the same command. Lines that it has
dealt with are passed over: events.failed.ndjson.state keeps how many, until
all are. An interrupt (Ctrl-C) lets the events on their way arrive; a second
one ends at once, which loses nothing either.

Lines that fail are written to another file (of events.ndjson to
events.failed.ndjson) with an id and an error; sending goes on, unless the
server cannot be reached or refuses everything. Once the causes are gone,
repeat the same command, which tries the failed lines again; or send the file
of failed lines as it is. A line that is no event stands there as the member
"text": correct it there, or in FILE.

With -o json the summary is an object with the members events (dealt with now),
skipped (lines dealt with by an earlier run), sent, repeated (those of them that
the server had already), unheard (no endpoint listens, so they were not sent),
failed, failed_file (null: none), complete (false: it ended early) and seconds.`,
		Example: `  swh-webhooks event send-batch events.ndjson

  # make the lines from a file that has a payload on each
  sed 's/.*/{"type": "origin.create", "payload": &}/' origins.ndjson |
    swh-webhooks event send-batch -

  # once the causes are gone
  swh-webhooks event send-batch events.failed.ndjson`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := s.resolve(cmd)
			if err != nil {
				return err
			}
			client, err := s.clientFor(cmd, r)
			if err != nil {
				return err
			}
			in, closeInput, err := openInput(cmd, "FILE", args[0])
			if err != nil {
				return err
			}
			defer closeInput()
			if failedPath == "" {
				failedPath = failedName(args[0])
			}
			b := &batch{
				client: client, target: target(r.Svix), id: id,
				concurrency: min(concurrency, maxInFlight),
			}
			if err := b.open(in, args[0], failedPath); err != nil {
				return err
			}
			b.progress = newProgress(cmd.ErrOrStderr(), in)
			err = b.verdict(b.send(cmd.Context()), commandLine(cmd, args))
			if output != formatText {
				printed := output.print(cmd.OutOrStdout(), b.summary)
				return errors.Join(err, unprinted(b.summary.String(), printed))
			}
			return errors.Join(err, confirm(cmd, "%s", b.summary))
		},
	}
	flags := cmd.Flags()
	flags.Var(count{&concurrency}, "concurrency", "`N` events at most are on their way at once")
	flags.StringVar(&id, "batch-id", "",
		"`TEXT` that goes into the ids made for events that have none")
	flags.StringVar(&failedPath, "failed", "",
		"`FILE` to append failed lines to (default: FILE.failed.ndjson)")
	addFormat(cmd, &output)
	return cmd
}

// A summary is what became of a batch, in the documented form.
type summary struct {
	Events     int     `json:"events"`
	Skipped    int     `json:"skipped"`
	Sent       int     `json:"sent"`
	Repeated   int     `json:"repeated"`
	Unheard    int     `json:"unheard"`
	Failed     int     `json:"failed"`
	FailedFile *string `json:"failed_file"`
	Complete   bool    `json:"complete"`
	Seconds    float64 `json:"seconds"`
}

func (s summary) String() string {
	rate := float64(s.Events) / max(s.Seconds, 1e-3)
	text := fmt.Sprintf("%d events in %.1f s (%.0f/s): %d sent, %d without listener, %d failed",
		s.Events, s.Seconds, rate, s.Sent, s.Unheard, s.Failed)
	if s.Repeated > 0 {
		text += fmt.Sprintf("; %d were sent before", s.Repeated)
	}
	if s.Skipped > 0 {
		text += fmt.Sprintf("; %d lines were dealt with before", s.Skipped)
	}
	return text
}

// verdict returns the error that the command ends with: that of ending early, or that lines failed.
func (b *batch) verdict(err error, command string) error {
	var failed string
	if b.summary.Failed > 0 {
		failed = "; lines that failed are in " + shellQuoted(b.failed.path)
	}
	switch {
	case err != nil:
		return namedError{inOneLine(err) + failed + "; to go on, repeat: " + command, err}
	case b.worst != nil:
		return namedError{fmt.Sprintf(
			"%d of %d events failed, such as: %s%s; once the causes are gone, repeat: %s",
			b.summary.Failed, b.summary.Events, inOneLine(b.worst), failed, command), b.worst}
	}
	return nil
}
