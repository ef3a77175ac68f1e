package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// stopTimeout is how long requests that are being answered have when the mock
// server stops.
const stopTimeout = 5 * time.Second

func newMockServerCommand() *cobra.Command {
	var m mockServer
	cmd := &cobra.Command{
		Use:   "mock-server",
		Short: "Run a Svix server in memory, for tests in any language",
		Long: `Run a Svix server in memory, for tests in any language.

It answers like a real server, delivers signed webhooks and tries again when
that fails. What it stores is gone when it stops, on Ctrl-C or SIGTERM. A client
that goes away before the answer leaves its message stored and never delivered,
as on a real server.

When requests are answered three lines are on standard output, the first two
under the names that the other commands read from the environment:

  SVIX_URL=http://127.0.0.1:8071
  SVIX_TOKEN=<token>
  ready

Port 0 stands for any free port. Addresses that other machines can reach are
refused without --allow-remote: whoever has the token can make this machine
send requests to any address that it reaches. Every web page can send requests
to the server, as to a real one, and needs nothing but the token.

With --jwt-secret it accepts the tokens of any organization that are signed with
that secret by HS256, as a real server does, and prints one.`,
		Example: `  swh-webhooks mock-server --listen 127.0.0.1:0 > server.env &
  until grep -q '^ready$' server.env; do sleep 0.1; done
  export $(grep '^SVIX_' server.env)
  swh-webhooks event-type register-defaults`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := m.configure(cmd); err != nil {
				return err
			}
			return m.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&m.listen, "listen", "127.0.0.1:8071", "listen on this `ADDRESS`")
	flags.BoolVar(&m.allowRemote, "allow-remote", false, "allow an address that other machines reach")
	flags.StringVar(
		&m.config.Token,
		"token",
		"",
		"accept this `TOKEN`, a text without blanks (default: a new one)",
	)
	flags.StringVar(
		&m.config.Secret,
		"jwt-secret",
		"",
		"accept the tokens that are signed with this `SECRET` (default: a new one)",
	)
	flags.Var((*schedule)(&m.config.RetrySchedule), "retry-schedule",
		"wait so long before each further attempt at a delivery, such as 1s,5s;\n"+
			"an empty text: no further attempts (default: as a real server, 5s,5m,30m,2h,5h,10h,10h)")
	flags.BoolVar(&m.whiteLabel, "whitelabel", true, "send webhook-* headers")
	flags.BoolVar(&m.config.SvixHeaders, "svix-headers", false, "send svix-* headers instead")
	flags.BoolVar(&m.config.HTTPSOnly, "endpoint-https-only", false, "refuse endpoints whose URL is not https")
	flags.BoolVar(&m.dashboard, "dashboard", false,
		"show what it does as web pages, on a port of their own; the line\nDASHBOARD_URL=... has their address")
	flags.BoolVar(&m.log, "log", false, "log requests and deliveries to standard error")
	return cmd
}

// A mockServer is a mock Svix server as a process. It keeps no log in memory,
// since it may run for long.
type mockServer struct {
	listen      string
	allowRemote bool
	whiteLabel  bool
	log         bool
	dashboard   bool
	config      svixmock.Config
}

// shortSecret is how long a text is that nobody guesses.
const shortSecret = 16

// configure checks the options and completes the configuration.
func (m *mockServer) configure(cmd *cobra.Command) error {
	if flags := cmd.Flags(); flags.Changed("whitelabel") && flags.Changed("svix-headers") {
		return usageError(cmd, errors.New("--whitelabel and --svix-headers say the same in two ways: give one"))
	}
	for flag, text := range map[string]string{"--token": m.config.Token, "--jwt-secret": m.config.Secret} {
		switch {
		case flag == "--token" && !isToken(text):
			return usageError(cmd, errors.New("--token: only visible ASCII characters can be sent as a token"))
		case text != "" && len(text) < shortSecret:
			fmt.Fprintf(
				cmd.ErrOrStderr(),
				"Warning: %s has fewer than %d characters: web pages, which may send requests to "+
					"this server, could guess it\n",
				flag,
				shortSecret,
			)
		}
	}
	m.config.SvixHeaders = m.config.SvixHeaders || !m.whiteLabel
	if m.log {
		m.config.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	} else {
		// What a real server could not digest is told in any case.
		m.config.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
	}
	return nil
}

// run serves until ctx is done, which is no error.
func (m *mockServer) run(ctx context.Context, out io.Writer) error {
	listener, err := listenOn(ctx, m.listen, m.allowRemote)
	if err != nil {
		return err
	}
	mock := svixmock.New(m.config)
	defer mock.Close()
	server := &http.Server{Handler: mock, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	lines := fmt.Sprintf("SVIX_URL=%s\nSVIX_TOKEN=%s\n", clientURL(listener.Addr()), mock.Token())
	if m.dashboard {
		address, end, err := startDashboard(ctx, clientURL(listener.Addr()), mock.Token())
		if err != nil {
			return err
		}
		defer end()
		lines += "DASHBOARD_URL=" + address + "\n"
	}
	if _, err := fmt.Fprint(out, lines+"ready\n"); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		mock.Close() // lets go of the requests that hang
		return shutDown(ctx, server)
	}
}

// shutDown ends a server, after ctx is done: the requests that are being
// answered have some time left.
func shutDown(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // they had their time
	}
	return err
}

// clientURL is where a client on this machine reaches a listener.
func clientURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return "http://" + addr.String()
	}
	return fmt.Sprintf("http://127.0.0.1:%d", tcp.Port)
}

// A schedule is an option of delays separated by commas. An empty text makes it
// empty, while one that is not given leaves it nil.
type schedule []time.Duration

func (s *schedule) Set(text string) error {
	*s = schedule{}
	if text == "" {
		return nil
	}
	for item := range strings.SplitSeq(text, ",") {
		delay, err := time.ParseDuration(item)
		switch {
		case err != nil:
			return err
		case delay < 0:
			return fmt.Errorf("the delay %s is negative", delay)
		}
		*s = append(*s, delay)
	}
	return nil
}

func (s *schedule) String() string {
	texts := make([]string, len(*s))
	for i, delay := range *s {
		texts[i] = delay.String()
	}
	return strings.Join(texts, ",")
}

func (s *schedule) Type() string { return "DELAYS" }

// isToken reports whether a text can stand in the header Authorization, as one
// word. The empty text stands for a token that is still to be made.
func isToken(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
