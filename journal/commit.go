package journal

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitTimeout is how long the group's coordinator may take.
const commitTimeout = 10 * time.Second

func (f *Feed) commitRegularly(ctx context.Context) {
	ticker := time.NewTicker(f.cfg.CommitInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.commit(ctx, commitTimeout)
		case <-ctx.Done():
			return
		}
	}
}

type offsets = map[string]map[int32]kgo.EpochOffset

// commit tells Kafka how far each partition is, if that has changed. What fails is tried the next
// time.
func (f *Feed) commit(ctx context.Context, timeout time.Duration) {
	f.commits.Lock()
	defer f.commits.Unlock()
	heads := f.heads()
	if len(heads) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	f.consumer.CommitOffsetsSync(ctx, heads,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
			f.committed(heads, answer, err)
		})
}

// heads returns the offsets that are to be committed. Those of one partition only grow.
func (f *Feed) heads() offsets {
	f.mu.Lock()
	defer f.mu.Unlock()
	heads := offsets{}
	for _, p := range f.partitions {
		head, ok := p.tracker.Head()
		if !ok || head.Next <= p.committed {
			continue
		}
		if heads[p.topic] == nil {
			heads[p.topic] = map[int32]kgo.EpochOffset{}
		}
		heads[p.topic][p.partition] = kgo.EpochOffset{Epoch: head.Epoch, Offset: head.Next}
	}
	return heads
}

// committed notes what the coordinator answered.
func (f *Feed) committed(heads offsets, answer *kmsg.OffsetCommitResponse, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if answer != nil {
		for _, topic := range answer.Topics {
			for _, number := range topic.Partitions {
				if refused := kerr.ErrorForCode(number.ErrorCode); refused != nil {
					err = refused
				} else if p := f.partitions[partitionKey{topic.Topic, number.Partition}]; p != nil {
					p.committed = heads[topic.Topic][number.Partition].Offset
				}
			}
		}
	}
	if err != nil {
		f.counts.commitsFailed++
		f.log.Warn("offsets could not be committed; trying again", "error", err)
		return
	}
	f.counts.commits++
}

// findEnds lists, for partitions that this member gets, the offsets at which it may stop.
func (f *Feed) findEnds(ctx context.Context, admin *kadm.Client) {
	for {
		var again <-chan time.Time
		if err := f.listEnds(ctx, admin); err != nil && ctx.Err() == nil {
			f.log.Warn("cannot list the ends of partitions; trying again", "error", err)
			again = time.After(time.Second)
		}
		select {
		case <-f.positions:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

func (f *Feed) listEnds(ctx context.Context, admin *kadm.Client) error {
	starts, err := admin.ListStartOffsets(ctx, f.cfg.topics()...)
	if err != nil {
		return err
	}
	ends, err := admin.ListCommittedOffsets(ctx, f.cfg.topics()...)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.partitions {
		start, okStart := starts.Lookup(p.topic, p.partition)
		end, okEnd := ends.Lookup(p.topic, p.partition)
		if !p.positioned || p.end >= 0 || !okStart || !okEnd {
			continue
		}
		if start.Err != nil || end.Err != nil {
			err = end.Err
			continue
		}
		p.end = end.Offset
		if nothing := p.next < 0 && f.cfg.FromLatest; nothing || start.Offset >= end.Offset {
			p.end = 0
		}
	}
	f.wakePoll()
	return err
}

// atEnd tells whether all that was there when this member got its partitions is dealt with.
func (f *Feed) atEnd() bool {
	for _, p := range f.partitions {
		if p.end < 0 || p.tracker.Len() > 0 || p.end > 0 && p.next < p.end {
			return false
		}
	}
	return true
}
