package endpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// ErrSeveral says that more than one endpoint is as described.
var ErrSeveral = errors.New("the server has several such endpoints, which only their IDs tell apart")

// An OtherError says that an id is that of another endpoint than the described one.
type OtherError struct{ other Description }

func (e *OtherError) Error() string {
	return fmt.Sprintf("the server has another endpoint under the same id, %s", e.other)
}

// A Server is where endpoints are looked for.
type Server struct {
	// Get returns the endpoint with an id or uid.
	Get func(ctx context.Context, address string) (Stored, error)
	// List returns all endpoints.
	List func(ctx context.Context) iter.Seq2[Stored, error]
	// NotFound reports whether an error of Get says that there is none.
	NotFound func(err error) bool
}

// At returns the described endpoint if it is the one with an id or uid: else the error of Get, or
// an [*OtherError].
func (s Server) At(ctx context.Context, d Description, address string) (Stored, error) {
	stored, err := s.Get(ctx, address)
	if err == nil && !d.Is(stored) {
		return Stored{}, &OtherError{Description{
			EventType: d.EventType, URL: stored.URL,
			Channel: stored.ChannelName(),
		}}
	}
	return stored, err
}

// Find returns the described endpoint, under its uid, under that of its URL's other spelling, or
// from the list. If it is nowhere, it returns the error for its uid.
func (s Server) Find(ctx context.Context, d Description) (Stored, error) {
	found, errUID := s.At(ctx, d, d.UID())
	if !s.notThere(errUID) {
		return found, errUID
	}
	if uid, ok := d.OtherUID(); ok {
		if found, err := s.At(ctx, d, uid); !s.notThere(err) {
			return found, err
		}
	}
	for stored, err := range s.List(ctx) {
		switch {
		case err != nil:
			return Stored{}, err
		case !d.Is(stored):
			continue
		case found.ID != "":
			return Stored{}, ErrSeveral
		}
		found = stored
	}
	if found.ID == "" {
		return Stored{}, errUID
	}
	return found, nil
}

func (s Server) notThere(err error) bool {
	_, isOther := errors.AsType[*OtherError](err)
	return isOther || err != nil && s.NotFound(err)
}

// Place returns the described endpoint, from under its uid or that of its URL's other spelling, or
// calls create. If create finds its uid taken, which conflict tells, somebody else was quicker.
func (s Server) Place(
	ctx context.Context, d Description, create func(ctx context.Context) (Stored, error), conflict func(err error) bool,
) (found Stored, isNew bool, err error) {
	if uid, ok := d.OtherUID(); ok {
		if found, err := s.At(ctx, d, uid); !s.notThere(err) {
			return found, false, err
		}
	}
	found, err = create(ctx)
	if err != nil && conflict(err) {
		found, err = s.At(ctx, d, d.UID())
		return found, false, err
	}
	return found, true, err
}
