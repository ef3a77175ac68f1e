package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

func newListenCommand(s *settings) *cobra.Command {
	f := &forwarder{settings: s, output: formatText}
	var secret string
	var after time.Time
	cmd := &cobra.Command{
		Use:   "listen [EVENT_TYPE_NAME...]",
		Short: "Forward events to a program on this machine, for developers",
		Long: `Forward events of the types, or of all types there are now if none is named, to
a program on this machine: without a tunnel and without an endpoint, until
Ctrl-C. It follows the messages that the server stores, whether or not there
are endpoints for them ("event send" stores none if there are none, "trigger"
does), and posts them in order, signed like those of the server with a secret
that is printed and stays the same.

What the program refuses to receive or answers with 5xx is sent again, after a
pause that grows to 30 seconds; other answers are shown, and that was it.

With -o json or jsonl each answer is one line, an object with the members
msg_id, event_type_name, response_status_code and duration_ms.

` + timeHelp,
		Example: `  swh-webhooks listen origin.create --forward-to http://localhost:3000/hook &
  swh-webhooks trigger origin.create`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (completions, directive) {
			return s.complete(cmd, eventTypeNames)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireOptions(cmd, "forward-to"); err != nil {
				return err
			}
			if err := f.checkTarget(); err != nil {
				return err
			}
			r, err := s.resolve(cmd)
			if err != nil {
				return err
			}
			if f.client, err = s.clientFor(cmd, r); err != nil {
				return err
			}
			if f.secret, err = givenSecret(cmd, secret); err != nil {
				return err
			}
			if f.secret == "" {
				f.secret = ownSecret(r.Svix)
			}
			types, err := followedTypes(cmd.Context(), f.client, args)
			if err == nil {
				err = f.run(cmd, types, after)
			}
			return untilToldToEnd(cmd, err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.target, "forward-to", "", "`URL` of the program")
	addSecret(cmd, &secret)
	flags.VarP(pointInTime{&after}, "after", "a", "begin with messages after this `TIME` (default: now)")
	flags.StringVarP(&f.channel, "channel", "c", "", "only events sent on `CHANNEL`")
	flags.StringVar(&f.filter, "filter", "", "only events whose payload contains `TEXT`")
	flags.BoolVar(&f.print, "print", false, "print the payloads, too")
	addLimit(cmd, &f.left, 0)
	addFormat(cmd, &f.output)
	return cmd
}

// ownSecret is always the same for a server and token, and says nothing about the token.
func ownSecret(cfg webhooks.SvixConfig) string {
	mac := hmac.New(sha256.New, []byte(cfg.AuthToken))
	_, _ = fmt.Fprintf(mac, "swh-webhooks listen %s", cfg.ServerURL) // a hash takes anything
	return "whsec_" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// A forwarder posts stored messages to a program, in order.
type forwarder struct {
	settings *settings
	client   *webhooks.Client
	target   string
	secret   string
	channel  string
	filter   string
	print    bool
	output   format
	left     int // to be forwarded; 0: without limit
}

func (f *forwarder) checkTarget() error {
	u, err := url.Parse(f.target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return unusable("--forward-to", f.target, errors.New("want an http or https URL"))
	}
	return nil
}

// answerJSON is the documented form of an answer to a forwarded message.
type answerJSON struct {
	MessageID  string `json:"msg_id"`
	EventType  string `json:"event_type_name"`
	StatusCode int    `json:"response_status_code"`
	DurationMS int64  `json:"duration_ms"`
}

func (f *forwarder) run(cmd *cobra.Command, types []string, after time.Time) error {
	notes := cmd.OutOrStdout()
	if f.output != formatText {
		notes = cmd.ErrOrStderr()
	}
	_, err := fmt.Fprintf(notes, "Forwarding %s to %s\nSigned with %s; Ctrl-C ends it\n",
		foreign.Printable(strings.Join(types, ", ")), foreign.Printable(f.target), foreign.Printable(f.secret))
	if err != nil {
		return err
	}
	for message, err := range followMessages(cmd.Context(), f.client, types, f.channel, after) {
		if err != nil {
			return err
		}
		if !strings.Contains(string(message.Payload), f.filter) {
			continue
		}
		if err := f.forward(cmd, message); err != nil {
			return err
		}
		if f.left--; f.left == 0 {
			return nil
		}
	}
	return nil
}

const (
	firstPause  = 250 * time.Millisecond
	longestWait = 30 * time.Second // of a pause, and for an answer
)

// forward posts a message until it gets an answer other than 5xx.
func (f *forwarder) forward(cmd *cobra.Command, message webhooks.SentMessage) error {
	ctx := cmd.Context()
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		start := time.Now()
		status, err := f.post(ctx, message)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		again := err != nil || status >= http.StatusInternalServerError
		if err := f.show(cmd, message, status, time.Since(start), note(err, again, pause)); err != nil {
			return err
		}
		if !again {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func note(err error, again bool, pause time.Duration) string {
	switch {
	case err != nil:
		return fmt.Sprintf("%s; again in %s", inOneLine(err), pause)
	case again:
		return fmt.Sprintf("again in %s", pause)
	}
	return ""
}

var forwardClient = &http.Client{
	Timeout:       longestWait,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post sends a message once, as a Svix server does.
func (f *forwarder) post(ctx context.Context, message webhooks.SentMessage) (status int, err error) {
	body := strings.NewReader(string(message.Payload))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.target, body)
	if err != nil {
		return 0, err
	}
	headers, err := signedHeaders(f.secret, message.ID, time.Now(), message.Payload)
	if err != nil {
		return 0, err
	}
	req.Header = headers
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Swh-Event", message.EventType)
	resp, err := forwardClient.Do(req)
	if err != nil {
		if network, ok := errors.AsType[*url.Error](err); ok {
			err = network.Err
		}
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

var forwardColumns = []column{
	{title: "TIME"},
	{title: "ANSWER"},
	{title: "TOOK", spare: true},
	{title: "TYPE", spare: true},
	{title: "MESSAGE"},
	{title: "NOTE", least: 8},
}

func (f *forwarder) show(
	cmd *cobra.Command, message webhooks.SentMessage, status int, duration time.Duration, note string,
) error {
	w := cmd.OutOrStdout()
	if f.output != formatText {
		return printJSONLine(w, answerJSON{
			message.ID, message.EventType, status, duration.Milliseconds(),
		})
	}
	err := printRow(w, forwardColumns, []string{
		f.settings.tableTime(w, time.Now()), answer(webhooks.SentEvent{ResponseStatusCode: status}),
		took(duration), foreign.Printable(message.EventType), foreign.Printable(message.ID), note,
	})
	if err != nil || !f.print {
		return err
	}
	text, err := appendJSON(nil, message.Payload, "")
	if err != nil {
		return err
	}
	return printLine(w, indented(string(text)))
}
