package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// Environment variables that stand for the options of the same name.
const (
	urlVariable   = "SVIX_URL"
	tokenVariable = "SVIX_TOKEN"
)

// settings are the options that all commands have, and what is to be ended after a command.
type settings struct {
	configFile string
	svixURL    string
	svixToken  string
	timeout    time.Duration
	verbose    bool
	utc        bool

	late    context.Context //nolint:containedctx // ends when the time is up; nil: it never is
	cancel  func()
	clients []*webhooks.Client // that commands made
}

func (s *settings) addTo(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVarP(&s.configFile, "config-file", "C", "",
		"configuration `FILE` ["+webhooks.ConfigFileVariable+"] (default: "+
			"$XDG_CONFIG_HOME/swh/webhooks.yml if it is there)")
	flags.StringVarP(&s.svixURL, "svix-url", "u", "", "`URL` of the Svix server ["+urlVariable+"]")
	flags.StringVarP(&s.svixToken, "svix-token", "t", "",
		"authentication `TOKEN` ["+tokenVariable+"]; other users of the machine "+
			"can see it here: prefer the variable or the file")
	flags.Var(duration{&s.timeout}, "timeout", "give up after so long, such as 30s")
	flags.BoolVar(&s.verbose, "verbose", false, "tell of requests and waits on standard error")
	flags.BoolVar(&s.utc, "utc", false, "show times in UTC, on a terminal too")
}

// begin is done before each command.
func (s *settings) begin(cmd *cobra.Command, args []string) error {
	if err := refuseEmpty(cmd, args); err != nil {
		return err
	}
	if s.timeout > 0 {
		s.late, s.cancel = context.WithTimeout(cmd.Context(), s.timeout)
		cmd.SetContext(s.late)
	}
	return nil
}

// end is done after each command. It waits for what the clients still send in the background, since
// the server may store an event and never deliver it if this process ends in the middle.
func (s *settings) end(ctx context.Context) {
	for _, client := range s.clients {
		_ = client.Drain(ctx) // what became of it is known to the command that sent
	}
}

// lateness adds to an error that the time was up.
func (s *settings) lateness(err error) error {
	if s.cancel != nil {
		defer s.cancel()
	}
	if err == nil || s.late == nil || !errors.Is(s.late.Err(), context.DeadlineExceeded) {
		return err
	}
	text := fmt.Sprintf("not done within %s (--timeout)", s.timeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		text += ": " + inOneLine(err)
	}
	return namedError{text, err}
}

// freeShorthandU leaves -u to an option of cmd's own; --svix-url stays.
func (s *settings) freeShorthandU(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.svixURL, "svix-url", "", "`URL` of the Svix server ["+urlVariable+"]")
}

// resolved is the configuration that a command works with, and where it comes from.
type resolved struct {
	webhooks.Config

	file      string // empty: none was read
	urlFrom   string
	tokenFrom string
}

// resolve makes one configuration of options, environment and file. Its error names what is
// missing.
func (s *settings) resolve(cmd *cobra.Command) (resolved, error) {
	r := resolved{file: s.configFile}
	if r.file == "" && os.Getenv(webhooks.ConfigFileVariable) == "" {
		r.file = defaultConfigFile()
	}
	if named := os.Getenv(webhooks.ConfigFileVariable); named != "" {
		if r.file != "" && r.file != named {
			cmd.PrintErrf("Warning: %s is set, so that %s is read and not %s\n",
				webhooks.ConfigFileVariable, foreign.Printable(named), foreign.Printable(r.file))
		}
		r.file = named
	}
	var err error
	if r.Config, err = webhooks.LoadConfig(r.file); err != nil {
		return r, err
	}
	var token string
	token, r.tokenFrom = choose(s.svixToken, "--svix-token", tokenVariable,
		string(r.Svix.AuthToken), r.file)
	r.Svix.AuthToken = webhooks.Secret(token)
	r.Svix.ServerURL, r.urlFrom = choose(s.svixURL, "--svix-url", urlVariable, r.Svix.ServerURL,
		r.file)
	return r, errors.Join(
		missing(token, "Svix authentication token", "--svix-token", tokenVariable, "auth_token"),
		missing(r.Svix.ServerURL, "Svix server URL", "--svix-url", urlVariable, "server_url"))
}

// defaultConfigFile is the user's own configuration, empty if there is none. Nothing is read from
// the working directory: a file in a downloaded folder must not send a token elsewhere.
func defaultConfigFile() string {
	folder := os.Getenv("XDG_CONFIG_HOME")
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		folder = filepath.Join(home, ".config")
	}
	path := filepath.Join(folder, "swh", "webhooks.yml")
	_, err := os.Stat(path) //nolint:gosec // the user's own
	if errors.Is(err, fs.ErrNotExist) || !filepath.IsAbs(path) {
		return ""
	}
	return path
}

// choose returns the first value that is not empty and where it comes from.
func choose(given, option, variable, configured, file string) (value, from string) {
	if given != "" {
		return given, option
	}
	if value := os.Getenv(variable); value != "" {
		return value, variable
	}
	return configured, file
}

func missing(value, what, option, variable, key string) error {
	if value != "" {
		return nil
	}
	return inputError{fmt.Errorf("%s is missing: set %s, use %s or write webhooks.svix.%s "+
		"into the configuration file", what, variable, option, key)}
}

// client returns the client that a command works with.
func (s *settings) client(
	cmd *cobra.Command, opts ...webhooks.Option,
) (*webhooks.Client, error) {
	r, err := s.resolve(cmd)
	if err != nil {
		return nil, err
	}
	return s.clientFor(cmd, r, opts...)
}

// clientFor returns a client with a configuration. Its error names the values by where they come
// from, since the library knows only keys of the file.
func (s *settings) clientFor(
	cmd *cobra.Command, r resolved, opts ...webhooks.Option,
) (*webhooks.Client, error) {
	client, err := webhooks.NewClient(append([]webhooks.Option{
		webhooks.WithConfig(r.Config), webhooks.WithTracer(s.newTeller(cmd.ErrOrStderr(), r)),
	}, opts...)...)
	if err == nil {
		s.clients = append(s.clients, client)
		return client, nil
	}
	names := strings.NewReplacer("svix.server_url", r.source(r.urlFrom, "svix.server_url"),
		"svix.auth_token", r.source(r.tokenFrom, "svix.auth_token"))
	return nil, namedError{withoutPackage(names.Replace(err.Error())), err}
}

// source is what a value is called that comes from a place, and has a key in the file.
func (r resolved) source(from, key string) string {
	if from == r.file {
		return r.file + ": " + key
	}
	return from
}
