package journal

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Stats is what a feed has done since it was made, and what it is doing.
type Stats struct {
	// Topics counts records by what became of them. One that is read again counts again.
	Topics map[string]Outcomes
	// Partitions are those that this member of the group has, in order.
	Partitions []PartitionStats
	// Retries counts failures after which a record was tried again, by class: network, timeout,
	// token, throttled, event_type, server, answer, dead_letter.
	Retries map[string]int
	// GateClosed: sending fails, so that one record at a time is tried.
	GateClosed bool
	// InFlight is the number of records that are held: those on their way and those that wait.
	InFlight int
	// Stuck is the number of partitions whose first record fails while others succeed.
	Stuck int
	// SendSeconds are the durations of sends that succeeded.
	SendSeconds Histogram
	// Commits and CommitsFailed count requests.
	Commits, CommitsFailed int
	// Rebalances counts changes of the assignment.
	Rebalances int
	// DataLoss counts how often records were gone that had not been read.
	DataLoss int
	// LastSuccess is when a record was last sent, zero if none was.
	LastSuccess time.Time
}

// Outcomes counts what became of records.
type Outcomes struct {
	Sent    int // now or earlier
	Unheard int // nobody listens, so that nothing was sent
	Skipped int // they stand for no event
	Dead    int // they are dead letters
}

// PartitionStats says how far a partition is.
type PartitionStats struct {
	Topic     string
	Partition int32
	// Committed is the offset that Kafka has, -1 if it has none.
	Committed int64
	// Lag is how many offsets the feed was behind when it last read from the partition, less what
	// it has dealt with since.
	Lag int64
	// OldestOpen is how long the first record that is not dealt with has been held; zero if there
	// is none.
	OldestOpen time.Duration
}

// A Histogram counts durations.
type Histogram struct {
	Bounds []float64 // upper bounds, in seconds, rising
	Counts []uint64  // of the durations up to each bound, those up to a lower one included
	Count  uint64    // of all
	Sum    float64   // of all, in seconds
}

// sendBounds reach from a server on the same machine to one that is about to be given up.
var sendBounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

type outcome int

const (
	outcomeSent outcome = iota
	outcomeUnheard
	outcomeSkipped
	outcomeDead
)

// counts are what only ever grows.
type counts struct {
	topics                 map[string]Outcomes
	retries                map[string]int
	sends                  Histogram
	commits, commitsFailed int
	rebalances             int
	dataLoss               int
	lastSuccess            time.Time
}

func newCounts() counts {
	return counts{
		topics:  map[string]Outcomes{},
		retries: map[string]int{},
		sends:   Histogram{Bounds: sendBounds, Counts: make([]uint64, len(sendBounds))},
	}
}

func (c *counts) outcome(topic string, o outcome) {
	n := c.topics[topic]
	switch o {
	case outcomeSent:
		n.Sent++
	case outcomeUnheard:
		n.Unheard++
	case outcomeSkipped:
		n.Skipped++
	case outcomeDead:
		n.Dead++
	}
	c.topics[topic] = n
}

func (c *counts) send(took time.Duration) {
	c.lastSuccess = time.Now()
	c.sends.Count++
	c.sends.Sum += took.Seconds()
	for i, bound := range c.sends.Bounds {
		if took.Seconds() <= bound {
			c.sends.Counts[i]++
		}
	}
}

// Stats returns a consistent snapshot. It may be called at any time, also before and after
// [Feed.Run].
func (f *Feed) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{
		Topics:        maps.Clone(f.counts.topics),
		Retries:       maps.Clone(f.counts.retries),
		GateClosed:    f.schedule.Closed(),
		InFlight:      f.window.Used(),
		SendSeconds:   f.counts.sends,
		Commits:       f.counts.commits,
		CommitsFailed: f.counts.commitsFailed,
		Rebalances:    f.counts.rebalances,
		DataLoss:      f.counts.dataLoss,
		LastSuccess:   f.counts.lastSuccess,
	}
	s.SendSeconds.Counts = slices.Clone(s.SendSeconds.Counts)
	now := time.Now()
	for _, p := range f.partitions {
		s.Partitions = append(s.Partitions, p.stats(now))
		if first := p.tracker.First(); first != nil && first.Lonely() >= triesUntilStuck {
			s.Stuck++
		}
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStats) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s
}

func (p *partition) stats(now time.Time) PartitionStats {
	s := PartitionStats{Topic: p.topic, Partition: p.partition, Committed: p.committed}
	at := p.committed
	if head, ok := p.tracker.Head(); ok {
		at = head.Next
	}
	s.Lag = max(p.highWatermark-max(at, 0), 0)
	if first := p.tracker.First(); first != nil {
		s.OldestOpen = now.Sub(first.Since)
	}
	return s
}
