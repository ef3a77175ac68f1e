package journal

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks/internal/journaltrack"
)

// triesBeforeParking is how often the first record of a partition fails before what is behind it
// has to make room.
const triesBeforeParking = 8

type partitionKey struct {
	topic     string
	partition int32
}

// A partition is one that this member of the group has.
type partition struct {
	partitionKey

	topicID [16]byte
	tracker *journaltrack.Tracker[*task]
	ctx     context.Context //nolint:containedctx // of the sends of its records, which end with it
	cancel  context.CancelFunc

	next          int64 // offset that is expected; -1: unknown
	positioned    bool  // next is what the group knows
	committed     int64 // -1: nothing, as far as known
	highWatermark int64
	inFlight      int
	leaving       bool  // it is being given away
	parked        bool  // nothing is read until its first record is settled
	end           int64 // the feed may stop there; 0: there is nothing to read; -1: unknown
}

// A task is a record on its way to the server.
type task struct {
	partition *partition
	record    Record
	counts    bool        // for StopAfterObjects
	dead      *DeadLetter // where it has to go instead
}

type entry = journaltrack.Entry[*task]

func (f *Feed) newPartition(key partitionKey) *partition {
	p := &partition{partitionKey: key, next: -1, committed: -1, end: -1}
	p.tracker = journaltrack.NewTracker[*task](f.window)
	p.ctx, p.cancel = context.WithCancel(f.sends)
	return p
}

// assigned is called by the Kafka client when this member gets partitions.
func (f *Feed) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined = true
	f.counts.rebalances++
	for topic, numbers := range added {
		for _, number := range numbers {
			key := partitionKey{topic, number}
			f.partitions[key] = f.newPartition(key)
		}
	}
	if len(added) > 0 {
		f.log.Info("got partitions", "partitions", added)
	}
	f.wakePoll()
}

type startOffsets = map[string]map[int32]kgo.Offset

// fetched is called by the Kafka client with the offsets from which it is going to read.
func (f *Feed) fetched(_ context.Context, offsets startOffsets) (startOffsets, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for topic, numbers := range offsets {
		for number, offset := range numbers {
			p := f.partitions[partitionKey{topic, number}]
			if p == nil {
				continue
			}
			p.positioned = true
			if at := offset.EpochOffset().Offset; at >= 0 {
				p.next, p.committed = at, at
			}
		}
	}
	select {
	case f.positions <- struct{}{}:
	default: // it is to look anyway
	}
	return offsets, nil
}

// revoked is called by the Kafka client when this member has to give partitions away. It first lets
// what is on its way arrive, then commits: what comes after belongs to another member.
func (f *Feed) revoked(ctx context.Context, _ *kgo.Client, removed map[string][]int32) {
	partitions := f.pick(removed)
	if len(partitions) == 0 {
		return
	}
	f.log.Info("gives partitions away", "partitions", removed)
	f.drain(partitions, f.cfg.DrainTimeout)
	f.commit(ctx, f.cfg.DrainTimeout)
	f.remove(partitions)
}

// lost is called by the Kafka client when the partitions are another member's already.
func (f *Feed) lost(_ context.Context, _ *kgo.Client, removed map[string][]int32) {
	partitions := f.pick(removed)
	if len(partitions) == 0 {
		return
	}
	f.log.Warn("lost partitions", "partitions", removed)
	f.remove(partitions)
}

func (f *Feed) pick(numbers map[string][]int32) []*partition {
	f.mu.Lock()
	defer f.mu.Unlock()
	var picked []*partition
	for topic, numbers := range numbers {
		for _, number := range numbers {
			if p := f.partitions[partitionKey{topic, number}]; p != nil {
				picked = append(picked, p)
			}
		}
	}
	return picked
}

// assignment returns all partitions that this member has.
func (f *Feed) assignment() []*partition {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*partition, 0, len(f.partitions))
	for _, p := range f.partitions {
		all = append(all, p)
	}
	return all
}

// remove forgets partitions and ends the sends of their records. They are sent again by the member
// that has them now, under the same ids.
func (f *Feed) remove(partitions []*partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range partitions {
		p.cancel()
		p.tracker.Forget(f.forget)
		delete(f.partitions, p.partitionKey)
		if p.parked {
			f.consumer.ResumeFetchPartitions(p.asMap())
		}
	}
	f.schedule.Sweep()
	f.counts.rebalances++
	f.wakePoll()
}

// drain waits until the records of partitions that were begun are dealt with, and those before
// them, so that all of that can be committed. It leaves what is behind. While sending fails, or if
// the feed has, it waits only for what is on its way.
func (f *Feed) drain(partitions []*partition, timeout time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range partitions {
		p.leaving = true
		p.tracker.ForgetUnbegun(f.forget)
	}
	f.schedule.Sweep()
	late := false
	timer := time.AfterFunc(timeout, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		late = true
		f.idle.Broadcast()
	})
	defer timer.Stop()
	drained := func(p *partition) bool {
		return p.inFlight == 0 && (p.tracker.Len() == 0 || f.schedule.Closed() || f.failure != nil)
	}
	for !late {
		i := slices.IndexFunc(partitions, func(p *partition) bool { return !drained(p) })
		if i < 0 {
			return
		}
		f.idle.Wait()
	}
}

// forget notes that a record is no longer held.
func (f *Feed) forget(e *entry) {
	if e.Record.counts {
		f.taken--
	}
}

// current returns what the records belong to: the partition as it is known or, if the log was cut
// off, one that begins anew. What was taken of the former is sent all the same.
func (f *Feed) current(p *partition, topicID [16]byte, fetched kgo.FetchPartition) *partition {
	first := fetched.Records[0].Offset
	switch {
	case first < p.next:
		f.log.Error("the log of a partition was cut off: it is read again",
			"topic", p.topic, "partition", p.partition, "expected", p.next, "found", first)
		anew := f.newPartition(p.partitionKey)
		anew.end = p.end
		f.partitions[p.partitionKey] = anew
		p = anew
	case p.next >= 0 && p.next < fetched.LogStartOffset && first > p.next:
		f.counts.dataLoss++
		f.log.Error("records were deleted before they were read",
			"topic", p.topic, "partition", p.partition, "expected", p.next, "found", first)
	}
	p.topicID = topicID
	return p
}

// add begins to deal with a record.
func (f *Feed) add(p *partition, r *kgo.Record) {
	p.next = r.Offset + 1
	t := &task{partition: p, record: Record{
		Topic: r.Topic, TopicID: p.topicID, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
	}}
	e := &entry{Record: t, Since: time.Now(), Offset: r.Offset, Epoch: r.LeaderEpoch}
	p.tracker.Add(e, len(r.Key)+len(r.Value))
	switch {
	case r.Attrs.IsControl():
		p.tracker.Settle(e)
	case standsForNothing(r.Value):
		f.counts.outcome(p.topic, outcomeSkipped)
		p.tracker.Settle(e)
	default:
		t.counts = true
		f.taken++
		f.schedule.Add(e)
	}
}

// parkFailing makes room when there is none: a partition whose first record fails again and again
// keeps that record alone. What is behind it is read again later, and sent again under the same
// ids.
func (f *Feed) parkFailing() {
	for _, p := range f.partitions {
		first := p.tracker.First()
		if p.parked || p.leaving || p.tracker.Len() < 2 || first.Tries() < triesBeforeParking {
			continue
		}
		p.parked = true
		f.consumer.PauseFetchPartitions(p.asMap())
		p.tracker.ForgetBehind(f.forget)
		f.schedule.Sweep()
		f.log.Warn("a record fails again and again: its partition waits for it",
			"position", first.Record.record.Position(), "tries", first.Tries())
	}
}

// wantsToReadOn tells whether a parked partition lost its first record.
func (f *Feed) wantsToReadOn() bool {
	for _, p := range f.partitions {
		if p.parked && !p.leaving && p.tracker.Len() == 0 {
			return true
		}
	}
	return false
}

// readOn reads parked partitions from behind the record that held them up. Rebalances are kept
// away.
func (f *Feed) readOn() {
	for _, p := range f.unpark() {
		head, _ := p.tracker.Head()
		f.consumer.SetOffsets(map[string]map[int32]kgo.EpochOffset{
			p.topic: {p.partition: {Epoch: head.Epoch, Offset: head.Next}},
		})
		f.consumer.ResumeFetchPartitions(p.asMap())
		f.log.Info("a partition goes on", "topic", p.topic, "partition", p.partition, "offset", head.Next)
	}
}

func (f *Feed) unpark() []*partition {
	f.mu.Lock()
	defer f.mu.Unlock()
	var free []*partition
	for _, p := range f.partitions {
		if p.parked && !p.leaving && p.tracker.Len() == 0 {
			head, _ := p.tracker.Head()
			p.parked = false
			p.next = head.Next
			free = append(free, p)
		}
	}
	return free
}

func (p *partition) asMap() map[string][]int32 { return map[string][]int32{p.topic: {p.partition}} }
