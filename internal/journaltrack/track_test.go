package journaltrack_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks/internal/journaltrack"
)

type entry = journaltrack.Entry[int64]

// A model is a partition as one would keep it if memory and time cost nothing.
type model struct {
	held    []*entry
	settled map[*entry]bool
	head    int64 // 0: nothing settled
}

func (m *model) settle(e *entry) {
	if !slices.Contains(m.held, e) {
		return
	}
	m.settled[e] = true
	for len(m.held) > 0 && m.settled[m.held[0]] {
		m.head = m.held[0].Offset + 1
		m.held = m.held[1:]
	}
}

func TestTrackerCommitsNothingThatIsOpen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const places, size = 8, 10
		window := journaltrack.NewWindow(places, places*size-size/2)
		tracker := journaltrack.NewTracker[int64](window)
		m := &model{settled: map[*entry]bool{}}
		var all []*entry
		offset := int64(0)
		var forgotten []*entry
		forget := func(e *entry) { forgotten = append(forgotten, e) }
		cut := func(t *rapid.T, n int) {
			if want := m.held[n:]; !slices.Equal(forgotten, want) {
				t.Fatalf("forgot %d records, want %d", len(forgotten), len(want))
			}
			forgotten = nil
			m.held = slices.Clone(m.held[:n])
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if window.Free() == 0 {
					t.Skip("full")
				}
				offset += rapid.Int64Range(1, 3).Draw(t, "gap")
				e := &entry{Offset: offset, Epoch: 7}
				tracker.Add(e, size)
				all, m.held = append(all, e), append(m.held, e)
			},
			"settle": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("none")
				}
				e := rapid.SampledFrom(all).Draw(t, "record") // also one that is settled or forgotten
				before := m.head
				m.settle(e)
				if moved := tracker.Settle(e); moved != (m.head != before) {
					t.Fatalf("moved: %v", moved)
				}
			},
			"forget behind the first": func(t *rapid.T) {
				tracker.ForgetBehind(forget)
				cut(t, min(1, len(m.held)))
			},
			"forget what is not begun": func(t *rapid.T) {
				tracker.ForgetUnbegun(forget)
				n := len(m.held)
				for n > 0 && !m.settled[m.held[n-1]] {
					n--
				}
				cut(t, n)
			},
			"forget all": func(t *rapid.T) {
				tracker.Forget(forget)
				cut(t, 0)
			},
			"": func(t *rapid.T) {
				head, moved := tracker.Head()
				if moved != (m.head != 0) || head.Next != m.head || moved && head.Epoch != 7 {
					t.Fatalf("head %+v (moved: %v), want %d", head, moved, m.head)
				}
				if window.Used() != len(m.held) || tracker.Len() != len(m.held) {
					t.Fatalf("%d places are used, %d records held, want %d", window.Used(), tracker.Len(), len(m.held))
				}
				if first := tracker.First(); len(m.held) > 0 && first != m.held[0] || len(m.held) == 0 && first != nil {
					t.Fatalf("the first is %+v", first)
				}
			},
		})
	})
}

func TestWindowIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	window := journaltrack.NewWindow(100, 1000)
	tracker := journaltrack.NewTracker[int64](window)
	large := &entry{Offset: 1}
	tracker.Add(large, 5000)
	if free := window.Free(); free != 0 {
		t.Errorf("%d places are free beside a record larger than the window", free)
	}
	tracker.Settle(large)
	if free := window.Free(); free != 100 {
		t.Errorf("%d places are free, want 100", free)
	}
}
