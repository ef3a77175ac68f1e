package main

import (
	"context"
	"io"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks"
)

func newEventFollowCommand(s *settings) *cobra.Command {
	output := formatText
	var query webhooks.SentEventQuery
	cmd := &cobra.Command{
		Use:   "follow [EVENT_TYPE_NAME...]",
		Short: "Show the attempts to deliver events as they are made",
		Long: `Show the attempts to deliver events of the types, or of all types that there are
now if none is named, as they are made, until Ctrl-C: at most a few seconds
after they are over. It waits for a server that is down, and goes on.

With -o json or jsonl each attempt is one line, an object with the members
` + sentEventHelp + `.

` + timeHelp,
		Example: `  # what fails, beside other work in the same shell
  swh-webhooks event follow origin.create --failed &`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (completions, directive) {
			return s.complete(cmd, eventTypeNames)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			types, err := followedTypes(cmd.Context(), client, args)
			if err != nil {
				return untilToldToEnd(cmd, err)
			}
			f := &follower{
				w: cmd.OutOrStdout(), output: output, settings: s, several: len(types) > 1, left: query.Limit,
			}
			return untilToldToEnd(cmd, f.follow(cmd.Context(), client, types, query))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&query.Channel, "channel", "c", "", "only events sent on `CHANNEL`")
	s.completeEndpointOption(cmd, "channel", endpointChannel)
	flags.VarP(pointInTime{&query.After}, "after", "a", "begin with attempts after this `TIME` (default: now)")
	addStatus(cmd, &query.Status)
	addLimit(cmd, &query.Limit, 0)
	addFormat(cmd, &output)
	return cmd
}

// untilToldToEnd is the error of a command that runs until it is told to end, which is none.
func untilToldToEnd(cmd *cobra.Command, err error) error {
	if cmd.Context().Err() != nil {
		return nil //nolint:nilerr // that is what it was to do
	}
	return err
}

// followedTypes are the names given, or those of all event types.
func followedTypes(
	ctx context.Context, client *webhooks.Client, names []string,
) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	types, err := webhooks.Collect(client.ListEventTypes(ctx))
	for _, et := range types {
		names = append(names, et.Name)
	}
	return names, err
}

// A follower prints attempts of several event types as they come.
type follower struct {
	w        io.Writer
	output   format
	settings *settings
	several  bool

	mu    sync.Mutex
	left  int // to be printed; 0: without limit
	ended bool
}

func (f *follower) follow(
	ctx context.Context, client *webhooks.Client, types []string, query webhooks.SentEventQuery,
) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	for _, eventType := range types {
		group.Go(func() error {
			for ev, err := range client.FollowSentEvents(ctx, eventType, query) {
				if err == nil {
					err = f.print(ev, stop)
				}
				if err != nil && !f.over() {
					return explain(err, webhooks.Endpoint{EventType: eventType})
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (f *follower) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// print prints an attempt, and calls stop after the last that is wanted.
func (f *follower) print(ev webhooks.SentEvent, stop func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil
	}
	if f.left--; f.left == 0 {
		f.ended = true
		defer stop()
	}
	if f.output != formatText {
		return printJSONLine(f.w, newSentEventJSON(ev))
	}
	return printRow(f.w, sentEventColumns, f.settings.sentEventRow(f.w, ev, f.several))
}
