package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/softwareheritage/webhooks/internal/timeline"
	"github.com/softwareheritage/webhooks/internal/transport"
)

// A Page is one part of a long list, as servers give it.
type Page[T any] struct {
	// Data are the items, in the order of the list.
	Data []T
	// Iterator says where the next page begins; it counts only if Done is false.
	Iterator *string
	// Done is true on the last page.
	Done bool
}

// Paginate returns the items of a paged list, page after page: list is called with a nil iterator
// first, then with the iterator of the page before, until a page says that it is the last one. An
// empty page alone does not end the list. A page is asked for only when its first item is wanted,
// so breaking out of the loop stops the requests.
//
// The sequence may be ranged more than once and starts at the first page each time. An error is its
// last pair, with the zero T:
//   - the one that list returned,
//   - ctx.Err() if ctx was done before a page was asked for,
//   - an error of its own if the list would never end: a page that is not the last has no iterator,
//     iterators come round again, or ten pages in a row are empty.
func Paginate[T any](
	ctx context.Context, list func(ctx context.Context, iterator *string) (Page[T], error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		var iterator *string
		var loop cycle
		var idle timeline.Idle
		for {
			if err := ctx.Err(); err != nil {
				yield(zero, fmt.Errorf("webhooks: %w", err))
				return
			}
			page, err := list(ctx, iterator)
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page.Data {
				if !yield(item, nil) {
					return
				}
			}
			if page.Done {
				return
			}
			if err := errors.Join(loop.next(page.Iterator), idle.Check(len(page.Data), false)); err != nil {
				yield(zero, err)
				return
			}
			iterator = page.Iterator
		}
	}
}

// Collect returns the items of a sequence as a slice, up to the first error,
// which it returns too. The slice is nil when there is no item.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var items []T
	for item, err := range seq {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// A cycle notices when iterators come round again. It keeps one of them, moved
// on at each power of two (R. P. Brent's method), so that its size does not
// grow with the list.
type cycle struct {
	mark  string
	steps int
}

func (c *cycle) next(iterator *string) error {
	if iterator == nil || *iterator == "" {
		return timeline.ErrNoIterator
	}
	if *iterator == c.mark {
		return fmt.Errorf("webhooks: the server repeats the page at %q for ever", *iterator)
	}
	c.steps++
	if c.steps&(c.steps-1) == 0 {
		c.mark = *iterator
	}
	return nil
}

// errorSeq returns the sequence that holds only an error.
func errorSeq[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

// limited returns the first items of a sequence; a limit of 0 means all of them.
func limited[T any](limit int, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	if limit == 0 {
		return seq
	}
	return func(yield func(T, error) bool) {
		left := limit
		for item, err := range seq {
			if left--; !yield(item, err) || left == 0 {
				return
			}
		}
	}
}

// chunks returns the items of a sequence in slices of a size; the last one, also before an error,
// may be shorter.
func chunks[T any](seq iter.Seq2[T, error], size int) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var chunk []T
		for item, err := range seq {
			if err != nil {
				_ = (len(chunk) == 0 || yield(chunk, nil)) && yield(nil, err)
				return
			}
			if chunk = append(chunk, item); len(chunk) == size {
				if !yield(chunk, nil) {
					return
				}
				chunk = nil
			}
		}
		if len(chunk) > 0 {
			yield(chunk, nil)
		}
	}
}

// pageSize is the most that the server gives at once (parameter limit).
const pageSize = 250

// firstPage is how many items are asked for at first, so that no more come than may be needed: as
// many as the limit, if there is one.
func firstPage(limit int) uint64 {
	if limit == 0 {
		return pageSize
	}
	return uint64(min(pageSize, limit)) //nolint:gosec // queries with a negative limit were refused
}

// A pageSizer is how many items the pages of one listing can have: fewer once a page was larger
// than an answer may be. The zero value is the server's limit.
type pageSizer struct{ most atomic.Uint64 }

func (s *pageSizer) atMost(limit uint64) uint64 {
	if most := s.most.Load(); most > 0 {
		return min(limit, most)
	}
	return limit
}

// tooLarge takes note of a page that was too large, and returns the size to try next.
func (s *pageSizer) tooLarge(limit uint64) uint64 {
	smaller := max(limit/4, 1)
	for most := s.most.Load(); most == 0 || smaller < most; most = s.most.Load() {
		if s.most.CompareAndSwap(most, smaller) {
			break
		}
	}
	return smaller
}

// A listed item has what every item of the server's lists has.
type listed interface {
	answerBody
	Key() string // its id, by which the list is sorted
}

// A pageBody is a page of a listing ("ListResponse...").
type pageBody[T listed] struct {
	Data     *itemBodies[T] `json:"data"`
	Iterator *string        `json:"iterator"`
	Done     bool           `json:"done"`
}

func (p pageBody[T]) complete() bool { return p.Data != nil && p.Data.isList }

// itemBodies are the items of a page. Those that are not what they should be are left out, since
// the others must not be lost for them.
type itemBodies[T listed] struct {
	items   []T
	isList  bool
	leftOut int
	tooMany bool // more than a page can have; the rest was not read
}

// UnmarshalJSON reads the items one by one, so that a few bytes for each cannot become a lot of
// memory.
func (b *itemBodies[T]) UnmarshalJSON(text []byte) error {
	*b = itemBodies[T]{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if first, err := decoder.Token(); err != nil || first != json.Delim('[') {
		return err
	}
	b.isList = true
	for decoder.More() {
		if b.tooMany = len(b.items)+b.leftOut == pageSize; b.tooMany {
			break
		}
		var item T
		if err := tolerate(decoder.Decode(&item)); err != nil {
			return err
		}
		if item.complete() {
			b.items = append(b.items, item)
		} else {
			b.leftOut++
		}
	}
	return nil
}

// A pageRequest says which page of a listing is wanted.
type pageRequest struct {
	op        string
	iterator  *string
	limit     uint64
	ascending bool       // by id; most lists are the other way round
	sizer     *pageSizer // of the listing; may be nil

	ahead *time.Duration // gets by how much the server's clock is ahead, or less; may be nil
}

// listPage asks for a page of at most limit items; if such a page is larger than an answer may be,
// for fewer. It refuses a page that does not lie wholly behind the iterator: a listing with such
// pages would never end.
func listPage[T listed](
	ctx context.Context, c *Client, r pageRequest, request func(ctx context.Context, limit *uint64) error,
) (Page[T], error) {
	if r.sizer == nil {
		r.sizer = &pageSizer{}
	}
	limit := r.sizer.atMost(r.limit)
	for {
		page, err := traced(ctx, c.tracer, Span{Kind: SpanList, Op: r.op}, func(ctx context.Context) (Page[T], error) {
			return getPage[T](ctx, c, r, limit, request)
		})
		if errors.Is(err, transport.ErrAnswerTooLarge) && limit > 1 {
			limit = r.sizer.tooLarge(limit)
			continue
		}
		return page, err
	}
}

func getPage[T listed](
	ctx context.Context, c *Client, r pageRequest, limit uint64,
	request func(ctx context.Context, limit *uint64) error,
) (Page[T], error) {
	answer, err := c.do(ctx, r.op, func(ctx context.Context) error { return request(ctx, &limit) })
	if err != nil {
		return Page[T]{}, err
	}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil && r.ahead != nil {
		*r.ahead = time.Until(date)
	}
	body, err := readBody[pageBody[T]](r.op, answer)
	if err != nil {
		return Page[T]{}, err
	}
	if left := body.Data.leftOut; left > 0 {
		c.logger.DebugContext(ctx, "left out of a listing what is not an object with an id", "op", r.op, "items", left)
	}
	if wrong := checkPage(r, body, limit); wrong != "" {
		return Page[T]{}, &APIError{Op: r.op, StatusCode: answer.Status, Detail: wrong}
	}
	return Page[T]{Data: body.Data.items, Iterator: body.Iterator, Done: body.Done}, nil
}

// checkPage says what is wrong with a page, if anything is.
func checkPage[T listed](r pageRequest, page pageBody[T], limit uint64) string {
	behind := func(id string) bool { return r.iterator == nil || timeline.Behind(*r.iterator, id, r.ascending) }
	switch {
	case page.Data.tooMany, len(page.Data.items)+page.Data.leftOut > int(limit): //nolint:gosec // at most pageSize
		return fmt.Sprintf("a page of more items than the %d that were asked for", limit)
	case slices.ContainsFunc(page.Data.items, func(item T) bool { return !behind(item.Key()) }),
		!page.Done && page.Iterator != nil && *page.Iterator != "" && !behind(*page.Iterator):
		return "a page that repeats what was listed before it"
	}
	return ""
}
