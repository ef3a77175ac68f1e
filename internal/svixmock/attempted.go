package svixmock

import (
	"net/http"
	"slices"
	"strings"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// statusSending is the status of a delivery of which a retry is planned. No attempt has it.
const statusSending = 3

var statusTexts = []string{statusSuccess: "success", 1: "pending", statusFail: "fail", statusSending: "sending"}

// attemptedMessageOut is a message in the list of those attempted to an endpoint.
type attemptedMessageOut struct {
	messageOut
	Status      int    `json:"status"`
	StatusText  string `json:"statusText"`
	NextAttempt string `json:"nextAttempt,omitempty"`
}

// parseMessageFilter reads the parameters of that list. Its event types are read after the token.
func parseMessageFilter(q serde.Query) (*filter, error) {
	return parseFilter(q, messagePrefix, filtersStatus|filtersContent)
}

func listAttemptedMessages(c *call, ep *endpoint, f *filter) (answer, error) {
	if err := f.parseEventTypes(); err != nil {
		return answer{}, err
	}
	f.resolve(messagePrefix)
	keep := func(m *message) bool {
		return f.keepsMessage(m) && (!f.status.Set || m.reached(ep, f.status.Value))
	}
	page, done := timePage(ep.messages, messageKey, keep, &f.timePaging, c.now)
	return listAnswer(page, done, func(m *message) (attemptedMessageOut, string) {
		out := attemptedMessageOut{messageOut: m.out(f.withContent, c.now)}
		shown := m.shownAttempt(ep, f.status)
		out.Status = shown.status()
		if !shown.next.IsZero() {
			out.Status = statusSending
			out.NextAttempt = timeText(shown.next)
		}
		out.StatusText = statusTexts[out.Status]
		return out, out.ID
	}), nil
}

// reached reports whether a message has a status at an endpoint: a success, a failure at last, or a
// planned retry.
func (m *message) reached(ep *endpoint, status int) bool {
	var succeeded, failed, planned bool
	for _, t := range m.attempts {
		if t.endpoint == ep {
			succeeded = succeeded || !t.failed
			failed = failed || t.failed && t.next.IsZero()
			planned = planned || !t.next.IsZero()
		}
	}
	switch status {
	case statusSuccess:
		return succeeded
	case statusFail:
		return failed && !succeeded
	case statusSending:
		return planned && !succeeded && !failed
	}
	return false
}

// shownAttempt is the attempt whose status a message shows: the newest one of the status that was
// asked for.
func (m *message) shownAttempt(ep *endpoint, status serde.Opt[int]) *attempt {
	newest := m.newestAttempt(ep)
	for _, t := range slices.Backward(m.attempts) {
		if t.endpoint == ep && status.Set && status.Value == t.status() {
			return t
		}
	}
	return newest
}

// destinationOut is an endpoint in the list of those that a message was attempted to.
type destinationOut struct {
	endpointOut
	Status      int     `json:"status"`
	StatusText  string  `json:"statusText"`
	NextAttempt *string `json:"nextAttempt"`

	Metadata *struct{} `json:"metadata,omitempty"` // hides that of endpointOut: these endpoints show none
}

func destinationPaging(q serde.Query) (paging, error) { return parsePaging(q, idRule(endpointPrefix)) }

// listDestinations lists endpoints in the order of their ids. On the server done is always true.
func listDestinations(_ *call, m *message, p paging) (answer, error) {
	var endpoints []*endpoint
	for _, t := range m.attempts {
		if !slices.Contains(endpoints, t.endpoint) {
			endpoints = append(endpoints, t.endpoint)
		}
	}
	slices.SortFunc(endpoints, func(a, b *endpoint) int { return strings.Compare(a.id, b.id) })
	p.up = true
	page, _ := simplePage(endpoints, endpointKey, everything, p)
	return listAnswer(page, true, func(ep *endpoint) (destinationOut, string) {
		newest := m.newestAttempt(ep)
		out := destinationOut{
			endpointOut: ep.out(),
			Status:      newest.status(),
			StatusText:  statusTexts[newest.status()],
		}
		if !newest.next.IsZero() {
			next := timeText(newest.next)
			out.NextAttempt = &next
		}
		return out, ep.id
	}), nil
}

// olderAttemptFilter reads the parameters of the older lists of attempts.
func olderAttemptFilter(q serde.Query) (*filter, error) {
	return parseAttemptFilter(q, filtersEndpoint|filtersStatus)
}

// listOlderByMessage lists the attempts at a message. The server's query names a table that it does
// not join.
func listOlderByMessage(c *call, m *message, f *filter) (answer, error) {
	if f.channel.Set || f.eventTypes != nil {
		return answer{}, errDatabase
	}
	return listAttemptsByMessage(c, m, f)
}

// listOlderByDestination lists the attempts at a message and an endpoint.
func listOlderByDestination(c *call, m *message, f *filter) (answer, error) {
	ep, err := c.endpoint(2)
	switch {
	case err != nil:
		return answer{}, err
	case f.channel.Set || f.eventTypes != nil:
		return answer{}, errDatabase
	}
	return f.attemptPage(m.attempts, f.keepsAttemptAt(ep), c.now), nil
}

// redrive takes up again what the server gave up to queue, which here is nothing.
func redrive(*call, *org) (answer, error) { return answer{status: http.StatusNoContent}, nil }
