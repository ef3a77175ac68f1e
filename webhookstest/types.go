package webhookstest

import (
	"net/http"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// A Message is a message that was sent to the server.
type Message struct {
	ID        string // of the server, msg_...
	AppID     string // of the application, app_...
	AppUID    string // of the application; empty: it has none
	EventID   string // given by the sender; empty: none
	EventType string
	Channels  []string  // sorted; nil: none
	Payload   []byte    // exactly as it is delivered; nil: expired or deleted
	Timestamp time.Time // of its creation, in UTC
}

// A Delivery is one attempt to deliver a message. An identical request that is repeated at once
// after a transport error belongs to the same attempt.
type Delivery struct {
	AttemptID  string // atmpt_...
	MessageID  string
	EndpointID string      // ep_...
	URL        string      // of the endpoint at that time
	Header     http.Header // as a Go receiver sees it
	Body       []byte
	Timestamp  time.Time // start of the attempt, in UTC; the signature is of the same second
	Manual     bool      // a resend
	Status     int       // of the receiver's answer; 0: there was none
	Response   string    // the answer's body as it is stored, or what went wrong
}

// A Request is a request of the API and the answer to it.
type Request struct {
	Method       string
	Path         string // escaped, as it was sent
	RawQuery     string // without the question mark
	Header       http.Header
	Body         []byte
	Status       int         // of the answer; 0: the connection broke without one
	AnswerHeader http.Header // nil: no answer
	Answer       []byte      // the answer's body
}

// A Fault is something that goes wrong with a request. What its fields say happens in this order:
// Delay or Hang, then Status or Reset, then Truncate or SlowBody. With AfterActing or GoAway the
// server acts before all that. Fields that are zero do not go wrong.
type Fault struct {
	// Status is answered instead of the server's own answer, with Header and Body. Zero: it is not.
	// Without a Content-Type in Header the body is sent as application/json.
	Status int
	Header http.Header
	Body   string
	// Reset breaks the connection without an answer. In memory the request's error is then a
	// connection reset.
	Reset bool
	// Hang gives no answer until the request's context ends or the server is closed.
	Hang bool
	// Delay is how long the answer is held back, at most until the request's context ends.
	Delay time.Duration
	// AfterActing lets the server act on the request before Status, Reset, Hang or Delay. Without
	// it a request that meets Status, Reset or Hang has no effect.
	AfterActing bool
	// GoAway drops the request's handler as if the client had gone away, and says how far it came.
	// There is no answer, except one that Status gives.
	GoAway GoAway
	// Truncate sends half of the answer's body under the Content-Length of all of it.
	Truncate bool
	// SlowBody is a pause between the halves of the answer's body.
	SlowBody time.Duration
	// Only selects the requests that can meet the fault; nil: all. It must not keep the request.
	Only func(*http.Request) bool
}

// GoAway is how far the server comes with a request whose client goes away before the answer: a
// Svix server drops the request's handler where it stands. Whatever it is, the request's
// idempotency key then stays locked for minutes.
type GoAway int

const (
	// Stay is the zero value: the client waits for the answer. If it really goes away, because a
	// context ends while Delay or Hang with AfterActing hold the answer back, that is
	// StoredNotQueued.
	Stay GoAway = iota
	// NothingStored drops the handler before it has an effect.
	NothingStored
	// StoredNotQueued drops the handler once everything is stored: what it was to deliver never is.
	// The message is listed but has no attempts, and sending it again is a conflict. Only a resend
	// delivers it.
	StoredNotQueued
	// StoredAndQueued drops the handler when all is done but the answer.
	StoredAndQueued
)

// mock is the fault for the server behind this package.
func (f Fault) mock() svixmock.Fault {
	return svixmock.Fault{
		Status:      f.Status,
		Header:      f.Header,
		Body:        f.Body,
		Reset:       f.Reset,
		Hang:        f.Hang,
		Delay:       f.Delay,
		AfterActing: f.AfterActing,
		GoAway:      svixmock.GoAway(f.GoAway),
		Truncate:    f.Truncate,
		SlowBody:    f.SlowBody,
		Only:        f.Only,
	}
}

// convert gives the items as values of this package.
func convert[T, M any](items []M, of func(M) T) []T {
	var converted []T
	for _, item := range items {
		converted = append(converted, of(item))
	}
	return converted
}
