package svixmock

import (
	"errors"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

const (
	defaultLimit = 50
	maxLimit     = 250

	// queryWindow is how far a time-limited list reaches, futureLimit how far into the future any
	// of them does.
	queryWindow = 90 * 24 * time.Hour
	futureLimit = time.Hour
)

// listing is the envelope of a page.
type listing[T any] struct {
	Data         []T     `json:"data"`
	Iterator     *string `json:"iterator"`
	PrevIterator *string `json:"prevIterator,omitempty"`
	Done         bool    `json:"done"`
}

// listAnswer shows a page. show must give the item and the text that iterators refer to it by.
func listAnswer[T, O any](items []T, done bool, show func(T) (O, string)) answer {
	page := listing[O]{Data: make([]O, 0, len(items)), Done: done}
	for i, item := range items {
		out, iterator := show(item)
		page.Data = append(page.Data, out)
		page.Iterator = &iterator
		if i == 0 {
			prev := "-" + iterator
			page.PrevIterator = &prev
		}
	}
	return jsonAnswer(http.StatusOK, page)
}

// paging are the parameters that every list takes.
type paging struct {
	limit    int
	iterator string // without its sign
	given    bool   // there is an iterator
	prev     bool   // and it travels back
	up       bool   // the list ascends, if it has no order of its own
}

// parsePaging reads limit and iterator. rule gives the complaints about an iterator.
func parsePaging(q serde.Query, rule func(string) []string) (paging, error) {
	limit, err := serde.Param(q, "limit", serde.Unsigned)
	if err != nil {
		return paging{}, err
	}
	iterator, err := serde.Param(q, "iterator", serde.Text)
	if err != nil {
		return paging{}, err
	}
	return newPaging(limit, iterator, rule)
}

// parseOrderedPaging reads limit, iterator and order.
func parseOrderedPaging(q serde.Query, rule func(string) []string, ascending bool) (paging, error) {
	order, err := serde.Param(q, "order", orderValue)
	if err != nil {
		return paging{}, err
	}
	p, err := parsePaging(q, rule)
	p.up = order.Or(ascending)
	return p, err
}

func orderValue(s string) (ascending bool, err error) {
	if s != "ascending" && s != "descending" {
		return false, errors.New("unknown variant `" + s + "`, expected `ascending` or `descending`")
	}
	return s == "ascending", nil
}

// newPaging validates the parameters.
func newPaging(
	limit serde.Opt[uint64],
	iterator serde.Opt[string],
	rule func(string) []string,
) (paging, error) {
	p := problems{root: "query"}
	if limit.Or(defaultLimit) > maxLimit {
		p.add("Given limit must not exceed 250", "limit", "limit")
	}
	text, prev := strings.CutPrefix(iterator.Value, "-")
	if iterator.Set {
		p.addAll(rule(text), "iterator")
	}
	return paging{
		limit:    int(min(limit.Or(defaultLimit), maxLimit)),
		iterator: text,
		given:    iterator.Set,
		prev:     prev,
	}, p.err()
}

// idRule complains about iterators that are not of the kind with this prefix.
func idRule(prefix string) func(string) []string {
	return func(s string) []string {
		if strings.HasPrefix(s, prefix) {
			return nil
		}
		return []string{"Invalid id. Expected different prefix"}
	}
}

// simplePage cuts a page out of items, which are sorted by key. keep selects the items that the
// list shows at all.
func simplePage[T any](items []T, key func(T) string, keep func(T) bool, p paging) ([]T, bool) {
	up := p.up != p.prev
	low, high := 0, len(items)
	if p.given && up {
		low = sort.Search(high, func(i int) bool { return key(items[i]) > p.iterator })
	} else if p.given {
		high = sort.Search(high, func(i int) bool { return key(items[i]) >= p.iterator })
	}
	page, done := collect(items[low:high], keep, p.limit, up)
	if p.prev {
		slices.Reverse(page)
	}
	return page, done
}

// collect takes up to limit items in one direction and reports whether there are no more.
func collect[T any](items []T, keep func(T) bool, limit int, up bool) (page []T, done bool) {
	for n := range items {
		item := items[n]
		if !up {
			item = items[len(items)-1-n]
		}
		if !keep(item) {
			continue
		}
		if len(page) == limit {
			return page, false
		}
		page = append(page, item)
	}
	return page, true
}

// timePaging are the parameters of a list that is limited in time.
type timePaging struct {
	paging
	at            id // of the iterator
	before, after serde.Opt[time.Time]
}

// parseTimes reads before and after, which follow the paging parameters in the order of checks.
func (p *timePaging) parseTimes(q serde.Query) (err error) {
	if p.before, err = serde.Param(q, "before", serde.ParseDate); err != nil {
		return err
	}
	p.after, err = serde.Param(q, "after", serde.ParseDate)
	return err
}

// resolve decodes the iterator. Where it is not an id the server's handler dies, and so does this
// one.
func (p *timePaging) resolve(prefix string) {
	if !p.given {
		return
	}
	at, ok := parseID(prefix, p.iterator)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	p.at = at
}

// bounds are the ids between which, exclusively, the list lies.
func (p *timePaging) bounds(now time.Time) (low, high id) {
	high = firstID(now.Add(futureLimit))
	above := func(i id) { low = slices.MaxFunc([]id{low, i}, id.compare) }
	below := func(i id) { high = slices.MinFunc([]id{high, i}, id.compare) }
	limited := false
	if p.before.Set {
		below(firstID(p.before.Value))
		above(firstID(p.before.Value.Add(-queryWindow)))
		limited = true
	}
	if p.after.Set {
		above(firstID(p.after.Value))
		if !limited {
			below(lastID(p.after.Value.Add(queryWindow)))
		}
		limited = true
	}
	switch {
	case p.prev:
		above(p.at)
		if !limited {
			below(lastID(p.at.time().Add(queryWindow)))
		}
	case p.given:
		below(p.at)
		if !limited {
			above(firstID(p.at.time().Add(-queryWindow)))
		}
	case !limited:
		above(firstID(now.Add(-queryWindow)))
	}
	return low, high
}

// timePage cuts a page out of items, which are sorted by id; it is always newest first. Only where
// the page lies depends on the direction: the oldest rows for a previous-iterator and for a lone
// after.
func timePage[T any](items []T, key func(T) id, keep func(T) bool, p *timePaging, now time.Time) ([]T, bool) {
	low, high := p.bounds(now)
	from := sort.Search(len(items), func(i int) bool { return key(items[i]).compare(low) > 0 })
	to := sort.Search(len(items), func(i int) bool { return key(items[i]).compare(high) >= 0 })
	if from >= to {
		return nil, true
	}
	up := p.prev || !p.given && !p.before.Set && p.after.Set
	page, done := collect(items[from:to], keep, p.limit, up)
	if up {
		slices.Reverse(page)
	}
	return page, done
}

// insert puts item into items, which are sorted by id.
func insert[T any](items []T, item T, key func(T) id) []T {
	at := len(items)
	if at > 0 && key(items[at-1]).compare(key(item)) > 0 {
		at = sort.Search(at, func(i int) bool { return key(items[i]).compare(key(item)) > 0 })
	}
	return slices.Insert(items, at, item)
}
