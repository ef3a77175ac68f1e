package svixmock

import (
	"net/http"
	"strings"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// The routes have few shapes: a request is about an organization, an application or something in
// it, it reads or writes, and it may have a query or a body. What comes before the work itself is
// the same for all of a shape, in the order of section 1.5 of the contract: the query, the token,
// the application, the body, then the object under the lock.

// shape is the way of a request about a T, with a query Q and a body B, to its work.
type shape[T, Q, B any] struct {
	query  func(serde.Query) (Q, error) // nil: none
	about  subject[T]
	body   func(*call) (B, error) // nil: none
	writes bool
	do     func(c *call, about T, q Q, in B) (answer, error)
}

// none is a query or a body that a shape does not have.
type none = struct{}

// subject is what requests are about.
type subject[T any] struct {
	admit func(*Server, *call) error // checks the token and finds the application
	find  func(*call) (T, error)     // with Server.mu held
}

func (sh shape[T, Q, B]) handler(s *Server) handler {
	return func(c *call) (answer, error) {
		var q Q
		var in B
		var err error
		if sh.query != nil {
			if q, err = sh.query(c.query); err != nil {
				return answer{}, err
			}
		}
		if err = sh.about.admit(s, c); err != nil {
			return answer{}, err
		}
		if sh.body != nil {
			if in, err = sh.body(c); err != nil {
				return answer{}, err
			}
		}
		if sh.writes {
			s.mu.Lock()
			defer s.mu.Unlock()
		} else {
			s.mu.RLock()
			defer s.mu.RUnlock()
		}
		about, err := sh.about.find(c)
		if err != nil {
			return answer{}, err
		}
		return sh.do(c, about, q, in)
	}
}

// reads is the shape of a GET of one object.
func reads[T any](about subject[T], do func(*call, T) (answer, error)) shaped {
	return shape[T, none, none]{
		about: about,
		do:    func(c *call, on T, _, _ none) (answer, error) { return do(c, on) },
	}
}

// lists is the shape of a GET with a query.
func lists[T, Q any](
	query func(serde.Query) (Q, error),
	about subject[T],
	do func(*call, T, Q) (answer, error),
) shaped {
	return shape[T, Q, none]{query: query, about: about, do: func(c *call, on T, q Q, _ none) (answer, error) {
		return do(c, on, q)
	}}
}

// acts is the shape of a change without a body.
func acts[T any](about subject[T], do func(*call, T) (answer, error)) shaped {
	return shape[T, none, none]{about: about, writes: true, do: func(c *call, on T, _, _ none) (answer, error) {
		return do(c, on)
	}}
}

// takes is the shape of a change with a body.
func takes[T, B any](
	about subject[T],
	body func(*call) (B, error),
	do func(*call, T, B) (answer, error),
) shaped {
	return shape[T, none, B]{
		about:  about,
		body:   body,
		writes: true,
		do: func(c *call, on T, _ none, in B) (answer, error) {
			return do(c, on, in)
		},
	}
}

// shaped is any shape.
type shaped interface{ handler(s *Server) handler }

// What requests are about. With "own" only the organization's token will do.
var (
	visibleOrg  = subject[*org]{admitAnybody, findOrg}
	ownOrg      = subject[*org]{admitOrg, findOrg}
	ownType     = subject[*eventType]{admitOrg, findEventType}
	anApp       = subject[*app]{admitApp, findApp}
	ownApp      = subject[*app]{admitOwnApp, findApp}
	anEndpoint  = subject[*endpoint]{admitApp, findEndpoint}
	ownEndpoint = subject[*endpoint]{admitOwnApp, findEndpoint}
	aMessage    = subject[*message]{admitApp, findMessage}
	ownMessage  = subject[*message]{admitOwnApp, findMessage}
)

func findOrg(c *call) (*org, error) { return c.org, nil }

func findApp(c *call) (*app, error) { return c.app, nil }

func findEventType(c *call) (*eventType, error) {
	name, err := c.param(0)
	if err != nil {
		return nil, err
	}
	if t := c.org.eventType(name); t != nil {
		return t, nil
	}
	return nil, notFound()
}

func findEndpoint(c *call) (*endpoint, error) { return c.endpoint(1) }

// endpoint finds the endpoint that a segment of the path names.
func (c *call) endpoint(segment int) (*endpoint, error) {
	ref, err := c.param(segment)
	if err != nil {
		return nil, err
	}
	ep := c.app.endpoint(ref)
	if ep == nil {
		return nil, notFound()
	}
	if ep.settings.poisoned {
		panic(http.ErrAbortHandler)
	}
	return ep, nil
}

func findMessage(c *call) (*message, error) {
	ref, err := c.param(1)
	if err != nil {
		return nil, err
	}
	if m := c.app.message(ref); m != nil {
		return m, nil
	}
	return nil, notFound()
}

// attempt finds the attempt at a message that the path names third; missing is the error if there
// is none.
func (c *call) attempt(m *message, missing error) (*attempt, error) {
	ref, err := c.param(2)
	if err != nil {
		return nil, err
	}
	if at, ok := parseID(attemptPrefix, ref); ok {
		if t := findByID(m.attempts, at, attemptKey); t != nil {
			return t, nil
		}
	}
	return nil, missing
}

// param is a variable segment of the path, as a text that the server's database can look up.
func (c *call) param(segment int) (string, error) {
	if strings.ContainsRune(c.params[segment], 0) {
		return "", errDatabase
	}
	return c.params[segment], nil
}
