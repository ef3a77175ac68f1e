package svixmock

import (
	"errors"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
)

const (
	defaultLimit = 50
	maxLimit     = 250

	// queryWindow is how far a time-limited list reaches, futureLimit how far into the future any of them does.
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
}

// parsePaging reads limit and iterator. rule gives the complaints about an iterator.
func parsePaging(q query, rule func(string) []string) (paging, error) {
	limit, err := parseParam(q, "limit", unsignedValue)
	if err != nil {
		return paging{}, err
	}
	iterator, err := parseParam(q, "iterator", textValue)
	if err != nil {
		return paging{}, err
	}
	return newPaging(limit, iterator, rule)
}

// parseOrderedPaging reads limit, iterator and order, and reports whether the list ascends.
func parseOrderedPaging(q query, rule func(string) []string, ascending bool) (paging, bool, error) {
	order, err := parseParam(q, "order", orderValue)
	if err != nil {
		return paging{}, false, err
	}
	p, err := parsePaging(q, rule)
	return p, order.or(ascending), err
}

func orderValue(s string) (ascending bool, err error) {
	if s != "ascending" && s != "descending" {
		return false, errors.New("unknown variant `" + s + "`, expected `ascending` or `descending`")
	}
	return s == "ascending", nil
}

// newPaging validates the parameters.
func newPaging(limit opt[uint64], iterator opt[string], rule func(string) []string) (paging, error) {
	p := problems{root: "query"}
	if limit.or(defaultLimit) > maxLimit {
		p.add("Given limit must not exceed 250", "limit", "limit")
	}
	text, prev := strings.CutPrefix(iterator.value, "-")
	if iterator.set {
		p.addAll(rule(text), "iterator")
	}
	return paging{
		limit:    int(min(limit.or(defaultLimit), maxLimit)),
		iterator: text,
		given:    iterator.set,
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

// simplePage cuts a page out of items, which are sorted by key. keep selects the items that the list shows at all.
func simplePage[T any](items []T, key func(T) string, keep func(T) bool, p paging, ascending bool) ([]T, bool) {
	up := ascending != p.prev
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
	before, after opt[time.Time]
}

// parseTimes reads before and after, which follow the paging parameters in the order of checks.
func (p *timePaging) parseTimes(q query) (err error) {
	if p.before, err = parseParam(q, "before", timestamp); err != nil {
		return err
	}
	p.after, err = parseParam(q, "after", timestamp)
	return err
}

// resolve decodes the iterator. Where it is not an id the server's handler dies, and so does this one.
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
	if p.before.set {
		below(firstID(p.before.value))
		above(firstID(p.before.value.Add(-queryWindow)))
		limited = true
	}
	if p.after.set {
		above(firstID(p.after.value))
		if !limited {
			below(lastID(p.after.value.Add(queryWindow)))
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

// timePage cuts a page out of items, which are sorted by id; it is always newest first. Only where the page lies
// depends on the direction: the oldest rows for a previous-iterator and for a lone after.
func timePage[T any](items []T, key func(T) id, keep func(T) bool, p *timePaging, now time.Time) ([]T, bool) {
	low, high := p.bounds(now)
	from := sort.Search(len(items), func(i int) bool { return key(items[i]).compare(low) > 0 })
	to := sort.Search(len(items), func(i int) bool { return key(items[i]).compare(high) >= 0 })
	if from >= to {
		return nil, true
	}
	up := p.prev || !p.given && !p.before.set && p.after.set
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
