package svixmock

import (
	"net/http"
	"slices"
	"time"
)

// attempt is one delivery of a message to an endpoint. It is guarded by Server.mu; only response and next ever change.
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
	t.message.attempts = insert(t.message.attempts, t, attemptKey)
	t.endpoint.attempts = insert(t.endpoint.attempts, t, attemptKey)
}

// newestAttempt is the newest attempt at an endpoint, nil where there is none.
func (m *message) newestAttempt(ep *endpoint) *attempt {
	for _, t := range slices.Backward(m.attempts) {
		if t.endpoint == ep {
			return t
		}
	}
	return nil
}

func (s *Server) listAttemptsByEndpoint(c *call) (answer, error) {
	f, err := parseFilter(c.query, attemptPrefix, false)
	if err != nil {
		return answer{}, err
	}
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	f.resolve(attemptPrefix)
	return f.attemptPage(ep.attempts, f.keepsAttempt, c.now), nil
}

func (s *Server) listAttemptsByMessage(c *call) (answer, error) {
	f, err := parseFilter(c.query, attemptPrefix, true)
	if err != nil {
		return answer{}, err
	}
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := messageOf(a, c)
	if err != nil {
		return answer{}, err
	}
	keep := f.keepsAttempt
	if f.endpoint.set {
		ep := a.endpoint(f.endpoint.value)
		if ep == nil {
			return answer{}, notFound()
		}
		keep = func(t *attempt) bool { return t.endpoint == ep && f.keepsAttempt(t) }
	}
	f.resolve(attemptPrefix)
	return f.attemptPage(m.attempts, keep, c.now), nil
}

func (f *filter) attemptPage(attempts []*attempt, keep func(*attempt) bool, now time.Time) answer {
	page, done := timePage(attempts, attemptKey, keep, &f.timePaging, now)
	return listAnswer(page, done, func(t *attempt) (attemptOut, string) {
		out := t.out(f.withContent)
		return out, out.ID
	})
}

// attemptOf finds the attempt that the path names; the lock must be held.
func attemptOf(m *message, c *call) *attempt {
	at, ok := parseID(attemptPrefix, c.params[2])
	if !ok {
		return nil
	}
	return findByID(m.attempts, at, attemptKey)
}

func (s *Server) getAttempt(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := messageOf(a, c)
	if err != nil {
		return answer{}, err
	}
	t := attemptOf(m, c)
	if t == nil {
		return answer{}, notFound()
	}
	return jsonAnswer(http.StatusOK, t.out(true)), nil
}

// expungeAttempt forgets the response of an attempt.
func (s *Server) expungeAttempt(c *call) (answer, error) {
	a, err := s.organizationApplication(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := a.message(c.params[1])
	if m == nil {
		return answer{}, failWith(http.StatusNotFound, "", "Message not found")
	}
	t := attemptOf(m, c)
	if t == nil {
		return answer{}, failWith(http.StatusNotFound, "", "Message attempt not found")
	}
	t.response = "EXPUNGED"
	return noContent, nil
}

// resend queues one manual attempt. A disabled endpoint gets none, and nobody is told.
func (s *Server) resend(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := messageOf(a, c)
	if err != nil {
		return answer{}, err
	}
	if _, err := canonical(m.body(c.now)); err != nil {
		return answer{}, failWith(http.StatusBadRequest, "missing_payload",
			"Unable to resend message. Payload is missing (probably expired).")
	}
	ep := a.endpoint(c.params[2])
	if ep == nil {
		return answer{}, notFound()
	}
	c.tasks = append(c.tasks, task{app: a, message: m, endpoint: ep, manual: true})
	return jsonAnswer(http.StatusAccepted, struct{}{}), nil
}
