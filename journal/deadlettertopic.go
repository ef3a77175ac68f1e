package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of a dead letter in a topic.
const (
	headerTopic     = "swh-topic"
	headerTopicID   = "swh-topic-id"
	headerPartition = "swh-partition"
	headerOffset    = "swh-offset"
	headerTimestamp = "swh-timestamp"
	headerEventID   = "swh-event-id"
	headerClass     = "swh-class"
	headerError     = "swh-error"
	headerGroup     = "swh-group"
)

// topicDeadLetters are records of a topic with the key and the value that they had, and headers.
type topicDeadLetters struct {
	client *kgo.Client
	topic  string
	group  string
}

// Store produces a dead letter and waits until all in-sync replicas have it.
func (d topicDeadLetters) Store(ctx context.Context, l DeadLetter) error {
	r := &kgo.Record{Topic: d.topic, Key: l.Key, Value: l.Value, Headers: l.headers(d.group)}
	return d.client.ProduceSync(ctx, r).FirstErr()
}

func (l DeadLetter) headers(group string) []kgo.RecordHeader {
	headers := []kgo.RecordHeader{
		{Key: headerTopic, Value: []byte(l.Topic)},
		{Key: headerPartition, Value: strconv.AppendInt(nil, int64(l.Partition), 10)},
		{Key: headerOffset, Value: strconv.AppendInt(nil, l.Offset, 10)},
		{Key: headerTimestamp, Value: []byte(formatTime(l.Timestamp))},
		{Key: headerClass, Value: []byte(l.Class)},
		{Key: headerError, Value: []byte(l.Reason)},
		{Key: headerGroup, Value: []byte(group)},
	}
	if l.TopicID != [16]byte{} {
		headers = append(headers, kgo.RecordHeader{Key: headerTopicID, Value: []byte(hex.EncodeToString(l.TopicID[:]))})
	}
	if l.EventID != "" {
		headers = append(headers, kgo.RecordHeader{Key: headerEventID, Value: []byte(l.EventID)})
	}
	return headers
}

// deadLetter reads what Store wrote.
func deadLetter(r *kgo.Record) (DeadLetter, error) {
	header := map[string]string{}
	for _, h := range r.Headers {
		header[h.Key] = string(h.Value)
	}
	l := DeadLetter{EventID: header[headerEventID], Class: header[headerClass], Reason: header[headerError]}
	l.Topic, l.Key, l.Value = header[headerTopic], r.Key, r.Value
	partition, errPartition := strconv.ParseInt(header[headerPartition], 10, 32)
	offset, errOffset := strconv.ParseInt(header[headerOffset], 10, 64)
	timestamp, errTimestamp := parseTime(header[headerTimestamp])
	topicID, errTopicID := parseTopicID(header[headerTopicID])
	l.Partition, l.Offset, l.Timestamp, l.TopicID = int32(partition), offset, timestamp, topicID
	if err := errors.Join(errPartition, errOffset, errTimestamp, errTopicID); err != nil {
		return DeadLetter{}, fmt.Errorf("journal: %s/%d/%d is not a dead letter: %w",
			r.Topic, r.Partition, r.Offset, err)
	}
	return l, nil
}

// ReadDeadLetterTopic yields the dead letters of a topic, as it is when the reading begins. Of the
// configuration only Brokers and Kafka count. A record that is no dead letter yields an error, and
// reading goes on. If the brokers fail or ctx ends, that error is the last pair.
func ReadDeadLetterTopic(ctx context.Context, cfg Config, topic string, opts ...kgo.Opt) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		err := readTopic(ctx, cfg.withDefaults(), topic, opts, func(r *kgo.Record) bool { return yield(deadLetter(r)) })
		if err != nil {
			yield(DeadLetter{}, fmt.Errorf("journal: %w", err))
		}
	}
}

// readTopic calls take for the records of a topic until it has all or take returns false.
func readTopic(ctx context.Context, cfg Config, topic string, callers []kgo.Opt, take func(*kgo.Record) bool) error {
	opts, err := cfg.connection(callers, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return err
	}
	defer client.Close()
	left, err := unread(ctx, kadm.NewClient(client), topic)
	for err == nil && len(left) > 0 {
		fetches := client.PollFetches(ctx)
		err = fetches.Err0()
		for _, r := range fetches.Records() {
			if !r.Attrs.IsControl() && !take(r) {
				return nil
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	return err
}

// unread returns the ends of the partitions of a topic that hold records.
func unread(ctx context.Context, admin *kadm.Client, topic string) (map[int32]int64, error) {
	if err := checkTopics(ctx, admin, startTimeout, false, topic); err != nil {
		return nil, err
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	left := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, end.Partition); ok && start.Offset < end.Offset {
			left[end.Partition] = end.Offset
		}
	})
	return left, errors.Join(starts.Error(), ends.Error())
}
