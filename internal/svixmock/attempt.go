package svixmock

import (
	"net/http"
	"slices"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// attempt is one delivery of a message to an endpoint. It is guarded by Server.mu; only response
// and next ever change.
type attempt struct {
	id       id
	message  *message
	endpoint *endpoint
	url      string
	response string
	at       time.Time
	took     time.Duration
	next     time.Time // of the planned retry; zero: none
	code     int       // 0: no HTTP response
	failed   bool
	manual   bool
}

// The values of an attempt's status and trigger.
const (
	statusSuccess = 0
	statusFail    = 2

	triggerScheduled = 0
	triggerManual    = 1
)

func (t *attempt) status() int {
	if t.failed {
		return statusFail
	}
	return statusSuccess
}

// attemptOut is an attempt in an answer.
type attemptOut struct {
	URL        string `json:"url"`
	Response   string `json:"response"`
	Code       int    `json:"responseStatusCode"`
	DurationMs int64  `json:"responseDurationMs"`
	Status     int    `json:"status"`
	StatusText string `json:"statusText"`
	Trigger    int    `json:"triggerType"`
	MessageID  string `json:"msgId"`
	EndpointID string `json:"endpointId"`
	ID         string `json:"id"`
	Timestamp  string `json:"timestamp"`
}

func (t *attempt) out(withContent bool) attemptOut {
	out := attemptOut{
		URL:        t.url,
		Response:   "{}",
		Code:       t.code,
		DurationMs: t.took.Milliseconds(),
		Status:     t.status(),
		StatusText: "success",
		Trigger:    triggerScheduled,
		MessageID:  t.message.id.text(messagePrefix),
		EndpointID: t.endpoint.id,
		ID:         t.id.text(attemptPrefix),
		Timestamp:  timeText(t.at),
	}
	if withContent {
		out.Response = t.response
	}
	if t.failed {
		out.StatusText = "fail"
	}
	if t.manual {
		out.Trigger = triggerManual
	}
	return out
}

// store adds the attempt to its message and its endpoint.
func (t *attempt) store() {
	if t.message.newestAttempt(t.endpoint) == nil {
		t.endpoint.messages = insert(t.endpoint.messages, t.message, messageKey)
	}
	t.message.attempts = insert(t.message.attempts, t, attemptKey)
	t.endpoint.attempts = insert(t.endpoint.attempts, t, attemptKey)
	if t.failed {
		t.endpoint.failures = insert(t.endpoint.failures, t, attemptKey)
	}
}

// forget takes back what store did.
func (t *attempt) forget() {
	without := func(attempts []*attempt) []*attempt {
		return slices.DeleteFunc(attempts, func(o *attempt) bool { return o == t })
	}
	t.message.attempts = without(t.message.attempts)
	t.endpoint.attempts = without(t.endpoint.attempts)
	t.endpoint.failures = without(t.endpoint.failures)
	if t.message.newestAttempt(t.endpoint) == nil {
		t.endpoint.messages = slices.DeleteFunc(
			t.endpoint.messages,
			func(m *message) bool { return m == t.message },
		)
	}
}

// newestAttempt is the newest attempt at an endpoint, nil if there is none.
func (m *message) newestAttempt(ep *endpoint) *attempt {
	for _, t := range slices.Backward(m.attempts) {
		if t.endpoint == ep {
			return t
		}
	}
	return nil
}

func attemptFilter(q serde.Query) (*filter, error) {
	return parseAttemptFilter(q, filtersStatus|filtersClass|filtersContent)
}

func attemptByMessageFilter(q serde.Query) (*filter, error) {
	return parseAttemptFilter(q, filtersEndpoint|filtersStatus|filtersClass|filtersContent)
}

func parseAttemptFilter(q serde.Query, has filters) (*filter, error) {
	f, err := parseFilter(q, attemptPrefix, has)
	if err != nil {
		return nil, err
	}
	return f, f.parseEventTypes()
}

func listAttemptsByEndpoint(c *call, ep *endpoint, f *filter) (answer, error) {
	return f.attemptPage(ep.attempts, f.keepsAttempt, c.now), nil
}

func listAttemptsByMessage(c *call, m *message, f *filter) (answer, error) {
	keep := f.keepsAttempt
	if f.endpoint.Set {
		ep := c.app.endpoint(f.endpoint.Value)
		if ep == nil {
			return answer{}, notFound()
		}
		keep = f.keepsAttemptAt(ep)
	}
	return f.attemptPage(m.attempts, keep, c.now), nil
}

func (f *filter) keepsAttemptAt(ep *endpoint) func(*attempt) bool {
	return func(t *attempt) bool { return t.endpoint == ep && f.keepsAttempt(t) }
}

func (f *filter) attemptPage(attempts []*attempt, keep func(*attempt) bool, now time.Time) answer {
	f.resolve(attemptPrefix)
	page, done := timePage(attempts, attemptKey, keep, &f.timePaging, now)
	return listAnswer(page, done, func(t *attempt) (attemptOut, string) {
		out := t.out(f.withContent)
		return out, out.ID
	})
}

func getAttempt(c *call, m *message) (answer, error) {
	t, err := c.attempt(m, notFound())
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, t.out(true)), nil
}

// expungeAttempt forgets the response of an attempt.
func expungeAttempt(c *call, m *message) (answer, error) {
	t, err := c.attempt(m, failWith(http.StatusNotFound, "", "Message attempt not found"))
	if err != nil {
		return answer{}, err
	}
	t.response = "EXPUNGED"
	return noContent, nil
}

// resend queues one manual attempt. A disabled endpoint gets none, and nobody is told.
func resend(c *call, m *message) (answer, error) {
	if _, err := serde.Canonical(m.body(c.now)); err != nil {
		return answer{}, failWith(http.StatusBadRequest, "missing_payload",
			"Unable to resend message. Payload is missing (probably expired).")
	}
	ep, err := c.endpoint(2)
	if err != nil {
		return answer{}, err
	}
	c.tasks = append(c.tasks, task{app: c.app, message: m, endpoint: ep, manual: true})
	return jsonAnswer(http.StatusAccepted, struct{}{}), nil
}
