package svixmock

import (
	"net/http"
	"slices"
	"sync"
)

// Request is a request of the API and its answer.
type Request struct {
	Method       string
	Path         string // escaped, as it was sent
	RawQuery     string
	Header       http.Header
	Body         []byte
	Status       int // 0: the connection broke without an answer
	AnswerHeader http.Header
	Answer       []byte
}

func newRequest(r *http.Request, body *requestBody, out outcome) Request {
	data, _ := body.bytes() // as much as came
	logged := Request{
		Method:   r.Method,
		Path:     r.URL.EscapedPath(),
		RawQuery: r.URL.RawQuery,
		Header:   r.Header.Clone(),
		Body:     data,
	}
	if !out.dropped && !out.reset {
		logged.Status = out.status
		logged.AnswerHeader = out.headers()
		logged.Answer = out.body
	}
	return logged
}

// ring keeps the newest items. Its zero value keeps none.
type ring[T any] struct {
	size int

	mu    sync.Mutex
	items []T
	next  int // where the oldest item is once the ring is full
}

// add keeps the item that newest makes.
func (r *ring[T]) add(newest func() T) {
	if r.size <= 0 {
		return
	}
	item := newest()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.items) < r.size {
		r.items = append(r.items, item)
		return
	}
	r.items[r.next] = item
	r.next = (r.next + 1) % r.size
}

// all are the items, oldest first.
func (r *ring[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.items[r.next:], r.items[:r.next])
}
