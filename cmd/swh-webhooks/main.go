// Command swh-webhooks manages Software Heritage webhooks on a Svix server: event types, endpoints,
// events and what became of them. Its commands, arguments and options are those of "swh webhooks",
// the command line of the Python module. "swh-webhooks --help" lists them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signalContext()
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) //nolint:gocritic // all is done
}

// A signalError is the cause of a context that a signal has ended.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return e.signal.String() }

// signalContext returns a context that the first interrupt or request to terminate ends. A second
// one ends the program at once.
func signalContext() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		received, _ := (<-signals).(syscall.Signal)
		signal.Stop(signals)
		cancel(signalError{received})
	}()
	return ctx, func() { signal.Stop(signals) }
}

// run carries out one command line, in the environment of the process, and returns the exit status.
// It writes at most one line of error.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &settings{}
	root := newRootCommandWith(s) //nolint:contextcheck // its commands get it with ExecuteContext
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	s.end(context.WithoutCancel(ctx))
	if err = s.lateness(misused(cmd, err)); err != nil {
		_, _ = fmt.Fprintln(stderr, red(stderr, "Error:"), errorLine(err))
	}
	return exitStatusAfter(ctx, err)
}
