package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// Exit statuses.
const (
	exitSuccess = 0
	exitFailure = 1   // the server, the network or this machine; may succeed later
	exitWrong   = 2   // wrong use or wrong input; will fail again
	exitSignal  = 128 // and the number of the signal
)

// An inputError is wrong use or wrong input that the library has not seen.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

// A namedError is an error of the library about an event type or endpoint, in words of the command
// line.
type namedError struct {
	text string
	err  error
}

func (e namedError) Error() string { return e.text }

func (e namedError) Unwrap() error { return e.err }

// explain puts an error about an event type or an endpoint into words, with their names as the user
// gave them. Other errors it returns as they are.
func explain(err error, ep webhooks.Endpoint) error {
	switch {
	case errors.Is(err, webhooks.ErrEventTypeNotFound):
		return namedError{"Event type " + ep.EventType +
			" does not exist (see: swh-webhooks event-type list)", err}
	case errors.Is(err, webhooks.ErrEventTypeArchived):
		return namedError{"Event type " + ep.EventType +
			" is archived (to revive it: swh-webhooks event-type add)", err}
	case errors.Is(err, webhooks.ErrEndpointNotFound):
		return namedError{"Endpoint " + describe(ep) +
			" does not exist (see: swh-webhooks endpoint list -o json " + ep.EventType + ")", err}
	case errors.Is(err, webhooks.ErrSecretRotationLimit):
		return namedError{"the secret of the endpoint " + describe(ep) +
			" was changed ten times within 24 hours: the server refuses to change it again " +
			"before that time is over", err}
	}
	return err
}

func describe(ep webhooks.Endpoint) string {
	text := "with url " + foreign.Quote(ep.URL)
	if ep.URL == "" {
		text = "with id " + ep.ID
	}
	if ep.Channel != "" {
		text += " and channel " + ep.Channel
	}
	return text + " for event type " + ep.EventType
}

// exitStatus returns the status with which the program ends after err.
func exitStatus(err error) int {
	var api *webhooks.APIError
	var input inputError
	switch {
	case err == nil:
		return exitSuccess
	case errors.Is(err, context.Canceled), errors.Is(err, webhooks.ErrSecretRotationLimit):
		return exitFailure
	case errors.As(err, &input), isWrongInput(err):
		return exitWrong
	case errors.As(err, &api) && refusesForGood(api.StatusCode):
		return exitWrong
	}
	return exitFailure
}

// exitStatusAfter is exitStatus, but that of a shell's convention if a signal cut work short.
func exitStatusAfter(ctx context.Context, err error) int {
	var ended signalError
	if err != nil && errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &ended) {
		return exitSignal + int(ended.signal)
	}
	return exitStatus(err)
}

// isWrongInput tells whether the library blames what it was given.
func isWrongInput(err error) bool {
	return slices.ContainsFunc([]error{
		webhooks.ErrInvalidConfig, webhooks.ErrInvalidEventTypeName, webhooks.ErrInvalidSchema,
		webhooks.ErrInvalidPayload,
		webhooks.ErrInvalidEvent, webhooks.ErrInvalidEndpoint, webhooks.ErrInvalidSecret,
		webhooks.ErrInvalidQuery,
		webhooks.ErrEventTypeNotFound, webhooks.ErrEventTypeArchived, webhooks.ErrEndpointNotFound,
		webhooks.ErrMessageNotFound,
		webhooks.ErrPayloadExpired,
	}, func(target error) bool { return errors.Is(err, target) })
}

// refusesForGood tells whether the server's answer blames the request, so that the same one will be
// refused again: a redirect, which a wrong URL gets, or a client error.
func refusesForGood(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly,
		http.StatusTooManyRequests:
		return false
	}
	return status >= 300 && status <= 499
}

// errorLine says in one line what is wrong and, if that is known, what to do.
func errorLine(err error) string {
	text := inOneLine(err)
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// inOneLine is errorLine as a part of a sentence.
func inOneLine(err error) string {
	return foreign.Printable(strings.ReplaceAll(describeError(err), "\n", "; "))
}

// describeError describes each of joined errors, and what is the same once.
func describeError(err error) string {
	var texts []string
	for _, one := range joined(err) {
		if text := describeOne(one); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

// joined returns the errors that [errors.Join] put together, or the one that err is.
func joined(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(list.Unwrap()...).Error() != err.Error() {
		return []error{err} // one, or a text of its own that wraps several
	}
	var all []error
	for _, one := range list.Unwrap() {
		all = append(all, joined(one)...)
	}
	return all
}

func describeOne(err error) string {
	var (
		named   namedError
		send    *webhooks.SendError
		payload *webhooks.PayloadError
		api     *webhooks.APIError
		network *url.Error
		file    *fs.PathError
	)
	switch {
	case errors.As(err, &named):
		return named.text
	case errors.As(err, &send):
		return describeOne(send.Err) + whetherSent(send)
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &payload):
		return describePayload(payload)
	case errors.As(err, &api):
		return describeAnswer(api)
	case errors.As(err, &network):
		return fmt.Sprintf("the Svix server at %s cannot be reached: %v "+
			"(is the URL right, and does the server run?)", host(network.URL), network.Err)
	case errors.As(err, &file) && !errors.Is(err, webhooks.ErrInvalidConfig):
		return file.Error()
	}
	return withoutPackage(err.Error())
}

// whetherSent says whether an event was sent all the same, and what to do about it.
func whetherSent(err *webhooks.SendError) string {
	if !err.MaybeSent {
		return "; the event was not sent"
	}
	return fmt.Sprintf("; the event may have been sent all the same, "+
		"and sending it again with the ID %q is safe", err.EventID)
}

// withoutPackage leaves out who says it, which the library says more than once if errors wrap
// others.
func withoutPackage(text string) string {
	return strings.NewReplacer("webhooks: ", "", "journal: invalid", "invalid").Replace(text)
}

// host is the part of a URL that says where to.
func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "this address"
	}
	return u.Host
}

func describePayload(err *webhooks.PayloadError) string {
	texts := make([]string, len(err.Violations))
	for i, v := range err.Violations {
		texts[i] = v.String()
	}
	return fmt.Sprintf(
		"Payload validation against JSON schema failed: %s (see: swh-webhooks event-type get %s)",
		strings.Join(texts, "; "), err.EventType)
}

func describeAnswer(err *webhooks.APIError) string {
	text := fmt.Sprintf("Svix server returned error '%s' with detail '%s'", err.Code, err.Detail)
	if err.Code == "" {
		text = fmt.Sprintf("Svix server answered %d %s", err.StatusCode,
			http.StatusText(err.StatusCode))
		if err.Detail != "" {
			text += ": " + err.Detail
		}
	}
	switch {
	case err.StatusCode == http.StatusUnauthorized, err.StatusCode == http.StatusForbidden:
		text += " (is it the right token for this server?)"
	case err.StatusCode >= 400 && !refusesForGood(err.StatusCode):
		text += " (try again later)"
	}
	return text
}
