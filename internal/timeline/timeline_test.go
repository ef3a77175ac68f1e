package timeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/timeline"
)

const day = 24 * time.Hour

// TestWindowsCoverTheRange without a gap or an overlap, in whole seconds, and none is longer than
// the server looks.
func TestWindowsCoverTheRange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 9, 30, 0, 500, time.UTC)))
		now := time.Now()
		for _, r := range []timeline.Range{
			{After: now.Add(-time.Minute)},
			{After: now.Add(-1000 * day)},
			{After: now.Add(-1000 * day), Before: now.Add(-300*day - time.Nanosecond)},
			{After: now.Add(-90 * day), Before: now},
			{After: now.Add(-time.Nanosecond), Before: now},
			{After: time.Date(-500, 1, 1, 0, 0, 0, 0, time.UTC)},
		} {
			windows := slices.Collect(r.Windows())
			if len(windows) == 0 {
				t.Fatalf("%+v has no window", r)
			}
			newest, oldest := *windows[0].Before, *windows[len(windows)-1].After
			if !r.Before.IsZero() && newest.Before(r.Before) || r.Before.IsZero() && newest.Before(now.Add(time.Hour)) {
				t.Errorf("%+v begins at %v", r, newest)
			}
			if oldest.After(r.After) && oldest.Year() > 2014 || oldest.Year() < 2014 {
				t.Errorf("%+v ends at %v", r, oldest)
			}
			for i, w := range windows {
				inSeconds := w.Before.Nanosecond() == 0 && w.After.Nanosecond() == 0
				if !w.Before.Equal(newest.Add(-time.Duration(i)*timeline.Window)) || !inSeconds {
					t.Errorf("%+v has the window %v to %v as number %d", r, w.After, w.Before, i)
				}
			}
			if last := windows[len(windows)-1].Before.Add(-timeline.Window); last.After(oldest) {
				t.Errorf("%+v is looked at back to %v only", r, last)
			}
		}
	})
}

// TestNoWindowWhereNothingCanBe: before the time in which the server can count, and in the future.
func TestNoWindowWhereNothingCanBe(t *testing.T) {
	t.Parallel()
	for _, r := range []timeline.Range{
		{Before: time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Before: time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC), After: time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)},
		{After: time.Now().Add(1000 * day)},
	} {
		if windows := slices.Collect(r.Windows()); len(windows) != 0 {
			t.Errorf("%+v has the windows %v, want none", r, windows)
		}
	}
}

func TestBehind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		iterator, key string
		ascending     bool
		want          bool
	}{
		{"atmpt_2", "atmpt_1", false, true},
		{"atmpt_2", "atmpt_2", false, false},
		{"atmpt_2", "atmpt_3", false, false},
		{"-atmpt_2", "atmpt_3", false, true},
		{"-atmpt_2", "atmpt_2", false, false},
		{"b.b", "c.c", true, true},
		{"b.b", "a.a", true, false},
		{"-.", "-a.a", true, true},
		{"--b.b", "-a.a", true, true},
		{"--b.b", "-c.c", true, false},
	} {
		if got := timeline.Behind(tt.iterator, tt.key, tt.ascending); got != tt.want {
			t.Errorf("%q behind %q, ascending %v: got %v", tt.key, tt.iterator, tt.ascending, got)
		}
	}
}

// A row is an item whose key has its time.
type row struct{ at time.Time }

func (r row) Key() string   { return r.at.UTC().Format("row_20060102150405.000") }
func (r row) At() time.Time { return r.at }

// TestPagerGoesOnBehindAnItem that was given back.
func TestPagerGoesOnBehindAnItem(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	for _, upwards := range []bool{false, true} {
		var asked []int
		pager := timeline.Pager[row]{
			Upwards: upwards, First: 2, Most: 4,
			List: func(_ context.Context, r timeline.Request) (timeline.Page[row], error) {
				limit := int(r.Limit) //nolint:gosec // as First and Most
				asked = append(asked, limit)
				var page timeline.Page[row]
				for i := range 10 {
					at := row{begin.Add(-time.Duration(i) * time.Second)}
					if r.Iterator == nil || timeline.Behind(*r.Iterator, at.Key(), false) {
						page.Data = append(page.Data, at)
					}
				}
				page.Done = len(page.Data) <= limit
				if !page.Done && (upwards || r.Iterator != nil && (*r.Iterator)[0] == '-') {
					page.Data = page.Data[len(page.Data)-limit:]
				}
				page.Data = page.Data[:min(len(page.Data), limit)]
				iterator := "row_"
				page.Iterator = &iterator
				return page, nil
			},
		}
		var got []time.Time
		for {
			items, err := pager.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(items) == 0 {
				break
			}
			got = append(got, items[0].at)
			pager.GoOnBehind(items[0])
		}
		if len(got) != 10 || !slices.IsSortedFunc(got, func(a, b time.Time) int {
			if upwards {
				return a.Compare(b)
			}
			return b.Compare(a)
		}) {
			t.Errorf("upwards %v: got %v after the pages of %v", upwards, got, asked)
		}
	}
}

func TestPagerStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pager := timeline.Pager[row]{List: func(context.Context, timeline.Request) (timeline.Page[row], error) {
		t.Error("a page was asked for")
		return timeline.Page[row]{Done: true}, nil
	}}
	if _, err := pager.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v, want %v", err, context.Canceled)
	}
}
