package merge_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/softwareheritage/webhooks/internal/merge"
)

// A pagedList gives its numbers in pages.
type pagedList struct {
	numbers []int
	page    int
	failAt  int // the read that fails; 0: none does
	reads   *atomic.Int64
	own     int
}

var errRead = errors.New("cannot be read")

func (l *pagedList) Next(ctx context.Context) ([]int, error) {
	l.reads.Add(1)
	if l.own++; l.own == l.failAt {
		return nil, errRead
	}
	n := min(l.page, len(l.numbers))
	page := l.numbers[:n]
	l.numbers = l.numbers[n:]
	return page, ctx.Err()
}

func TestSortedGivesAllInOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // reproducible
	for range 200 {
		var all []int
		var reads atomic.Int64
		sources := make([]merge.Source[int], random.IntN(8))
		for i := range sources {
			own := make([]int, random.IntN(30))
			for j := range own {
				own[j] = random.IntN(100)
			}
			slices.Sort(own)
			all = append(all, own...)
			sources[i] = &pagedList{numbers: own, page: 1 + random.IntN(7), reads: &reads}
		}
		slices.Sort(all)
		var got []int
		for number, err := range merge.Sorted(t.Context(), sources, 1+random.IntN(3), cmp.Less[int]) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, number)
		}
		if !slices.Equal(all, got) {
			t.Fatalf("got %v, want %v", got, all)
		}
	}
}

func TestSortedReadsNoEarlierThanNeeded(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	sources := []merge.Source[int]{
		&pagedList{numbers: []int{1, 2, 3, 4}, page: 2, reads: &reads},
		&pagedList{numbers: []int{9, 10}, page: 1, reads: &reads},
	}
	seq := merge.Sorted(t.Context(), sources, 2, cmp.Less[int])
	if reads.Load() != 0 {
		t.Error("read before anything was wanted")
	}
	for number, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		if number == 2 {
			break
		}
	}
	if n := reads.Load(); n != 2 {
		t.Errorf("read %d pages for what two have", n)
	}
}

func TestSortedEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	for failAt, want := range map[int][]int{1: nil, 2: {1, 2}} {
		var reads atomic.Int64
		sources := []merge.Source[int]{
			&pagedList{numbers: []int{1, 2, 3}, page: 2, failAt: failAt, reads: &reads},
			&pagedList{numbers: []int{5}, page: 1, reads: &reads},
		}
		var got []int
		var last error
		for number, err := range merge.Sorted(t.Context(), sources, 2, cmp.Less[int]) {
			if last = err; err == nil {
				got = append(got, number)
			}
		}
		if !slices.Equal(want, got) || !errors.Is(last, errRead) {
			t.Errorf("read %d fails: got %v and the last error %v, want %v and %v", failAt, got, last, want, errRead)
		}
	}
}

// A page of a bookList is read again behind an item that is given back.
type bookList struct {
	pagedList

	given []int
}

func (l *bookList) Next(ctx context.Context) ([]int, error) {
	page, err := l.pagedList.Next(ctx)
	l.given = page
	return page, err
}

func (l *bookList) GoOnBehind(item int) {
	i := slices.Index(l.given, item) + 1
	l.numbers = append(slices.Clone(l.given[i:]), l.numbers...)
}

// TestBoundedSourcesLoseNothing: what there is no room for is read again, and what waits has room.
func TestBoundedSourcesLoseNothing(t *testing.T) {
	t.Parallel()
	const each, page = 40, 10
	for most, wantReads := range map[int64]int{1: 4 * each, 30: 30, 100: 4 * (each/page + 1)} {
		var reads atomic.Int64
		room := merge.Room{Most: most}
		var all []int
		sources := make([]merge.Source[int], 4)
		for i := range sources {
			own := make([]int, each)
			for j := range own {
				own[j] = 4*j + i
			}
			all = append(all, own...)
			list := &bookList{pagedList: pagedList{numbers: own, page: page, reads: &reads}}
			sources[i] = merge.Bounded(list, &room, func(int) int64 { return 1 })
		}
		slices.Sort(all)
		var got []int
		for number, err := range merge.Sorted(t.Context(), sources, 1, cmp.Less[int]) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, number)
		}
		if !slices.Equal(all, got) {
			t.Errorf("room for %d: got %v, want %v", most, got, all)
		}
		if n := int(reads.Load()); n < wantReads {
			t.Errorf("room for %d: read %d pages, want %d at least, since not all can wait", most, n, wantReads)
		}
	}
}
