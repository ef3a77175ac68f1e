package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gatherTime is how long the feed waits for more places to become free before it takes few records:
// each turn costs something.
const gatherTime = 5 * time.Millisecond

// Run sends events until ctx is done, or StopAfterObjects or StopAtEnd are fulfilled, and returns
// nil then. Before it returns, what is on its way has ShutdownTimeout to arrive, and the offsets of
// what has are committed. It can be called once.
//
// Run returns
//   - an error that wraps [ErrStopped] if the server refuses the token or an event type at the
//     start, a record cannot be sent and there is no place for dead letters, Kafka refuses the
//     member for good, or the registered schemas are wrong (MaxDeadInARow),
//   - any other error if the brokers cannot be reached at the start or a topic is missing.
func (f *Feed) Run(ctx context.Context) error {
	if f.ran.Swap(true) {
		return errors.New("journal: a feed runs once")
	}
	opts, err := f.cfg.connection(f.kafka, f.log)
	if err != nil {
		return configError([]error{err})
	}
	client, err := kgo.NewClient(opts...) // for everything but consuming
	if err != nil {
		return configError([]error{err})
	}
	defer client.Close()
	if err := f.prepare(ctx, client); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	f.sends, f.endSends = context.WithCancel(context.WithoutCancel(ctx))
	defer f.endSends()
	f.consumer, err = kgo.NewClient(append(append(opts, f.cfg.consumer()...),
		kgo.OnPartitionsAssigned(f.assigned),
		kgo.OnPartitionsRevoked(f.revoked),
		kgo.OnPartitionsLost(f.lost),
		kgo.AdjustFetchOffsetsFn(f.fetched),
	)...)
	if err != nil {
		return configError([]error{err})
	}
	return f.run(ctx, kadm.NewClient(client))
}

// prepare finds out what would make the feed useless.
func (f *Feed) prepare(ctx context.Context, client *kgo.Client) error {
	topics := f.cfg.topics()
	if f.cfg.DeadLetter.Topic != "" && f.dead == nil {
		topics = append(topics, f.cfg.DeadLetter.Topic)
	}
	if err := checkTopics(ctx, kadm.NewClient(client), f.startTimeout, f.cfg.CreateTopics, topics...); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if f.dead == nil {
		var err error
		if f.dead, err = f.cfg.DeadLetter.open(client, f.cfg.GroupID); err != nil {
			return fmt.Errorf("journal: dead letters: %w", err)
		}
	}
	return f.preflight(ctx)
}

func (f *Feed) run(ctx context.Context, admin *kadm.Client) error {
	defer f.consumer.CloseAllowingRebalance()
	var senders, others sync.WaitGroup
	for range f.cfg.Concurrency {
		senders.Go(f.send)
	}
	over, cancel := context.WithCancel(context.WithoutCancel(ctx))
	others.Go(func() { f.commitRegularly(over) })
	if f.cfg.StopAtEnd {
		others.Go(func() { f.findEnds(over, admin) })
	}
	unwatch := context.AfterFunc(ctx, f.stop)

	f.poll(ctx)

	unwatch()
	f.drain(f.assignment(), f.cfg.ShutdownTimeout)
	f.commit(over, f.cfg.ShutdownTimeout)
	f.remove(f.assignment())
	f.end()
	cancel()
	senders.Wait()
	others.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

// stop makes the feed take no more records.
func (f *Feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopping = true
	f.wakePoll()
}

// fail makes the feed stop with an error. Only the first counts.
func (f *Feed) fail(err error) {
	f.mu.Lock()
	if f.failure == nil {
		f.failure = err
	}
	f.mu.Unlock()
	f.stop()
}

// end makes the senders return.
func (f *Feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.endSends()
	if f.timer != nil {
		f.timer.Stop()
	}
	f.workers.Broadcast()
}

// wakePoll lets the loop of polls look at the state again. f.mu is held.
func (f *Feed) wakePoll() {
	f.room.Broadcast()
	f.idle.Broadcast()
	if f.endPoll != nil {
		f.endPoll()
	}
}

// poll takes records until the end. The group can rebalance except while they are handed over.
func (f *Feed) poll(ctx context.Context) {
	for {
		polling, n, ok := f.awaitRoom(ctx)
		if !ok {
			return
		}
		fetches := f.consumer.PollRecords(polling, n)
		f.take(fetches)
		f.readOn()
		f.consumer.AllowRebalance()
	}
}

// awaitRoom waits until records can be taken, and returns how many, with the context of the poll;
// false at the end.
func (f *Feed) awaitRoom(ctx context.Context) (context.Context, int, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.endPoll != nil {
		f.endPoll()
	}
	gathered := false
	for {
		n := min(f.window.Free(), f.cfg.BatchSize, f.remaining())
		switch {
		case f.stopping, f.finished():
			return nil, 0, false
		case f.wantsToReadOn():
			polling, cancel := context.WithCancel(ctx)
			cancel() // it takes nothing, and keeps rebalances away
			return polling, 1, true
		case n == 0:
			if f.window.Free() == 0 {
				f.parkFailing()
			}
			f.room.Wait()
		case n < min(f.cfg.BatchSize, f.cfg.MaxInFlight/8, f.remaining()) && !gathered:
			gathered = true
			f.mu.Unlock()
			time.Sleep(gatherTime)
			f.mu.Lock()
		default:
			polling, cancel := context.WithCancel(ctx)
			f.endPoll = cancel
			return polling, n, true
		}
	}
}

// remaining returns how many more records are to be taken.
func (f *Feed) remaining() int {
	if f.cfg.StopAfterObjects == 0 {
		return f.cfg.BatchSize
	}
	return f.cfg.StopAfterObjects - f.taken
}

// finished tells whether the feed has done what was asked for.
func (f *Feed) finished() bool {
	if f.remaining() == 0 && f.window.Used() == 0 {
		return true
	}
	return f.cfg.StopAtEnd && f.joined && f.atEnd()
}

// take hands the records of a poll over.
func (f *Feed) take(fetches kgo.Fetches) {
	for _, fetch := range fetches {
		for _, topic := range fetch.Topics {
			for _, partition := range topic.Partitions {
				if partition.Err != nil {
					f.fetchFailed(topic.Topic, partition.Partition, partition.Err)
				}
				if len(partition.Records) > 0 {
					f.takePartition(topic, partition)
				}
			}
		}
	}
}

func (f *Feed) takePartition(topic kgo.FetchTopic, fetched kgo.FetchPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.partitions[partitionKey{topic.Topic, fetched.Partition}]
	if p == nil || p.leaving || p.parked {
		return
	}
	p = f.current(p, topic.TopicID, fetched)
	p.highWatermark = fetched.HighWatermark
	for _, r := range fetched.Records {
		f.add(p, r)
	}
	f.workers.Broadcast()
}

// fetchFailed decides whether an error of the Kafka client is of any consequence: most are mended
// by what it does itself.
func (f *Feed) fetchFailed(topic string, partition int32, err error) {
	session, ofGroup := errors.AsType[*kgo.ErrGroupSession](err)
	_, isLoss := errors.AsType[*kgo.ErrDataLoss](err)
	refused, ofBroker := errors.AsType[*kerr.Error](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
	case isLoss:
		f.lostData(topic, partition, err)
	case errors.Is(err, kerr.UnknownTopicID):
		f.fail(stopped("topic %s was deleted: if it is there again, a new start reads it from its beginning: %w",
			topic, err))
	case ofBroker && !refused.Retriable && endsTheFeed(refused):
		f.fail(stopped("kafka refuses this member: %w", err))
	case ofGroup:
		f.log.Warn("the consumer group has trouble; trying again", "error", session.Err)
	default:
		f.log.Warn("cannot read a partition; trying again", "topic", topic, "partition", partition, "error", err)
	}
}

// endsTheFeed tells the errors that the Kafka client mends by joining the group again.
func endsTheFeed(err *kerr.Error) bool {
	return !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.IllegalGeneration) &&
		!errors.Is(err, kerr.OffsetOutOfRange) && !errors.Is(err, kerr.MemberIDRequired)
}

func (f *Feed) lostData(topic string, partition int32, err error) {
	f.mu.Lock()
	f.counts.dataLoss++
	f.mu.Unlock()
	f.log.Error("records are gone that were not read", "topic", topic, "partition", partition, "error", err)
}
