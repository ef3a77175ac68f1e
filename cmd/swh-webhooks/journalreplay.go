package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/journal"
)

// topicSource is how an argument says that it is a topic, not a file.
const topicSource = "topic:"

func newReplayCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "replay SOURCE",
		Short: "Send the events of dead letters, once the cause is gone",
		Long: `Send the events of dead letters, once the cause is gone.

SOURCE is a file that journal-client wrote (--dead-letter-file), or topic:NAME
(--dead-letter-topic); "-" is standard input. The events have the ids that they
would have had, so that none is stored twice, however often this is repeated.
What still cannot be sent is told with its position and reason, and makes the
status 1. SOURCE itself is not changed.`,
		Example: `  swh-webhooks journal-client replay dead.ndjson`,
		Args:    arguments("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := journal.LoadConfig(s.configFile)
			if err != nil {
				return err
			}
			letters, err := deadLetters(cmd, cfg, args[0])
			if err != nil {
				return err
			}
			client, err := feedClient(cmd, s, 0)
			if err != nil {
				return err
			}
			ids := journal.DecodeOptions{Namespace: cfg.Namespace, ByPosition: cfg.ByPosition}
			return replay(cmd, client, ids, letters)
		},
	}
}

func deadLetters(cmd *cobra.Command, cfg journal.Config, source string) (iter.Seq2[journal.DeadLetter, error], error) {
	if topic, ok := strings.CutPrefix(source, topicSource); ok {
		if len(cfg.Brokers) == 0 {
			return nil, inputError{errors.New("the configuration names no brokers: set journal.brokers")}
		}
		return journal.ReadDeadLetterTopic(cmd.Context(), cfg, topic), nil
	}
	in, closeInput, err := openInput(cmd, "SOURCE", source)
	if err != nil {
		return nil, err
	}
	return func(yield func(journal.DeadLetter, error) bool) {
		defer closeInput()
		journal.ReadDeadLetters(in)(yield)
	}, nil
}

// replayConcurrency is how many events are on their way at once.
const replayConcurrency = 16

func replay(cmd *cobra.Command, client *webhooks.Client, o journal.DecodeOptions,
	letters iter.Seq2[journal.DeadLetter, error],
) error {
	var (
		mu     sync.Mutex
		sent   int
		failed []error
		group  errgroup.Group
	)
	note := func(position string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			sent++
			return
		}
		failed = append(failed, err)
		cmd.PrintErrf("%s: %s\n", foreign.Printable(position), inOneLine(err))
	}
	group.SetLimit(replayConcurrency)
	ctx := cmd.Context()
	for letter, err := range letters {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			note("not a dead letter", err)
			continue
		}
		group.Go(func() error {
			_, err := letter.Send(ctx, client, o)
			note(letter.Position(), err)
			return nil
		})
	}
	_ = group.Wait()
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%d sent, %d failed\n", sent, len(failed)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(failed) > 0 {
		last := inOneLine(failed[len(failed)-1])
		return namedError{fmt.Sprintf("%d dead letters were not sent, the last one: %s", len(failed), last), errNotSent}
	}
	return nil
}

// errNotSent: the cause of some dead letters is not gone, or comes again.
var errNotSent = errors.New("dead letters were not sent")
