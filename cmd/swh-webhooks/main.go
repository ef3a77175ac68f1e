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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
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
	s.drain(context.WithoutCancel(ctx))
	if err = misused(cmd, err); err != nil {
		_, _ = fmt.Fprintln(stderr, red(stderr, "Error:"), errorLine(err))
	}
	return exitStatus(err)
}
