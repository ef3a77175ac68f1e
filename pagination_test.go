package webhooks_test

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
)

var errPage = errors.New("the page cannot be had")

// A pageServer gives the pages it has; the iterator of each is the number of the next.
type pageServer struct {
	pages  []webhooks.Page[int]
	errAt  int // the page that fails; 0: none does
	asked  []string
	cancel context.CancelFunc // called with the second page, where it is set
}

func (s *pageServer) list(_ context.Context, iterator *string) (webhooks.Page[int], error) {
	which := 0
	s.asked = append(s.asked, "first")
	if iterator != nil {
		which, _ = strconv.Atoi(*iterator)
		s.asked[len(s.asked)-1] = *iterator
	}
	if s.cancel != nil && which == 1 {
		s.cancel()
	}
	if which > 0 && which == s.errAt {
		return webhooks.Page[int]{}, errPage
	}
	page := s.pages[which]
	if page.Iterator == nil {
		next := strconv.Itoa(which + 1)
		page.Iterator = &next
	}
	return page, nil
}

func TestPaginate(t *testing.T) {
	t.Parallel()
	page := func(numbers ...int) webhooks.Page[int] { return webhooks.Page[int]{Data: numbers} }
	last := func(numbers ...int) webhooks.Page[int] { return webhooks.Page[int]{Data: numbers, Done: true} }
	back := func(iterator string) webhooks.Page[int] {
		return webhooks.Page[int]{Data: []int{0}, Iterator: &iterator}
	}
	tests := map[string]struct {
		server  pageServer
		want    []int
		asked   string
		wantErr string // part of its text
	}{
		"one page":                    {server: pageServer{pages: []webhooks.Page[int]{last(1, 2)}}, want: []int{1, 2}, asked: "first"},
		"nothing":                     {server: pageServer{pages: []webhooks.Page[int]{last()}}, asked: "first"},
		"several pages":               {server: pageServer{pages: []webhooks.Page[int]{page(1, 2), page(3), last(4)}}, want: []int{1, 2, 3, 4}, asked: "first 1 2"},
		"last page empty":             {server: pageServer{pages: []webhooks.Page[int]{page(1), last()}}, want: []int{1}, asked: "first 1"},
		"empty pages do not end it":   {server: pageServer{pages: []webhooks.Page[int]{page(), page(), last(1)}}, want: []int{1}, asked: "first 1 2"},
		"first page fails":            {server: pageServer{pages: []webhooks.Page[int]{back("1")}, errAt: 1}, want: []int{0}, asked: "first 1", wantErr: errPage.Error()},
		"page in the middle fails":    {server: pageServer{pages: []webhooks.Page[int]{page(1), page(2), last(3)}, errAt: 2}, want: []int{1, 2}, asked: "first 1 2", wantErr: errPage.Error()},
		"not done, no iterator":       {server: pageServer{pages: []webhooks.Page[int]{back("")}}, want: []int{0}, asked: "first", wantErr: "does not say where to go on"},
		"a page repeats itself":       {server: pageServer{pages: []webhooks.Page[int]{page(1), back("1")}}, want: []int{1, 0}, asked: "first 1", wantErr: "repeats"},
		"pages go round in a circle":  {server: pageServer{pages: []webhooks.Page[int]{page(1), page(2), page(3), back("1")}}, wantErr: "repeats"},
		"back to the very first page": {server: pageServer{pages: []webhooks.Page[int]{page(1), back("0")}}, wantErr: "repeats"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := webhooks.Collect(webhooks.Paginate(t.Context(), tt.server.list))
			if tt.asked != "" { // where it is a circle, how soon that is noticed is free
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("items (-want +got):\n%s", diff)
				}
				if asked := strings.Join(tt.server.asked, " "); asked != tt.asked {
					t.Errorf("asked for the pages %q, want %q", asked, tt.asked)
				}
			}
			switch {
			case tt.wantErr == "" && err != nil:
				t.Errorf("got the error %v, want none", err)
			case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
				t.Errorf("got the error %v, want one that says %q", err, tt.wantErr)
			case tt.wantErr == errPage.Error() && !errors.Is(err, errPage):
				t.Errorf("got the error %v, want the one of the page", err)
			}
		})
	}
}

func TestPaginateAsksNoEarlierThanNeeded(t *testing.T) {
	t.Parallel()
	server := pageServer{pages: []webhooks.Page[int]{{Data: []int{1, 2}}, {Data: []int{3}}, {Data: []int{4}, Done: true}}}
	seq := webhooks.Paginate(t.Context(), server.list)
	if len(server.asked) != 0 {
		t.Error("asked for a page before the first item was wanted")
	}
	for item, err := range seq {
		if err != nil || item == 2 {
			break
		}
	}
	if got := strings.Join(server.asked, " "); got != "first" {
		t.Errorf("asked for %q until the break, want only the first page", got)
	}
	got, err := webhooks.Collect(seq)
	if diff := cmp.Diff([]int{1, 2, 3, 4}, got); diff != "" || err != nil {
		t.Errorf("ranged again: error %v, items (-want +got):\n%s", err, diff)
	}
}

func TestPaginateStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := pageServer{pages: []webhooks.Page[int]{{Data: []int{1}}, {Data: []int{2, 3}}, {Data: []int{4}, Done: true}}, cancel: cancel}
	got, err := webhooks.Collect(webhooks.Paginate(ctx, server.list))
	if diff := cmp.Diff([]int{1, 2, 3}, got); diff != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v, want context.Canceled; items (-want +got):\n%s", err, diff)
	}
	if _, err := webhooks.Collect(webhooks.Paginate(ctx, server.list)); !errors.Is(err, context.Canceled) || len(server.asked) != 2 {
		t.Errorf("with a cancelled context: error %v after %d pages, want context.Canceled and no page more than 2", err, len(server.asked))
	}
}

// pairs returns the items and the errors of a sequence, to the end.
func pairs[T any](seq iter.Seq2[T, error]) (items []T, errs []error) {
	for item, err := range seq {
		items, errs = append(items, item), append(errs, err)
	}
	return items, errs
}

func TestPaginateGivesAnErrorOnce(t *testing.T) {
	t.Parallel()
	server := pageServer{pages: []webhooks.Page[int]{{Data: []int{7}}, {}}, errAt: 1}
	items, errs := pairs(webhooks.Paginate(t.Context(), server.list))
	if diff := cmp.Diff([]int{7, 0}, items); diff != "" || len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], errPage) {
		t.Errorf("got the errors %v, want the page's as that of the last pair; items (-want +got):\n%s", errs, diff)
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	seq := func(yield func(string, error) bool) {
		_ = yield("a", nil) && yield("b", nil) && yield("", errPage) && yield("c", nil)
	}
	got, err := webhooks.Collect(seq)
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" || !errors.Is(err, errPage) {
		t.Errorf("got the error %v, want the sequence's; items (-want +got):\n%s", err, diff)
	}
	none, err := webhooks.Collect(func(func(string, error) bool) {})
	if none != nil || err != nil {
		t.Errorf("of an empty sequence: got %v, %v; want nil, nil", none, err)
	}
}
