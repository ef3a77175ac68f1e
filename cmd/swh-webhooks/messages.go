package main

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
)

const (
	// pollEvery is how often the server is asked for new messages.
	pollEvery = time.Second

	// lookBack is how much later than its time a message may appear.
	lookBack = time.Minute
)

// followMessages yields the messages of event types as they are stored, in the order of their
// times: those after a time, or those that are not there yet. It waits for a server that is down.
func followMessages(
	ctx context.Context, client *webhooks.Client, types []string, channel string, after time.Time,
) iter.Seq2[webhooks.SentMessage, error] {
	return func(yield func(webhooks.SentMessage, error) bool) {
		var queues []*messageQueue
		for _, name := range types {
			queue := &messageQueue{
				client: client, eventType: name, channel: channel, after: after, seen: map[string]time.Time{},
			}
			if err := queue.begin(ctx); err != nil {
				yield(webhooks.SentMessage{}, explain(err, webhooks.Endpoint{EventType: name}))
				return
			}
			queues = append(queues, queue)
		}
		for {
			news, err := newMessages(ctx, queues)
			if err != nil {
				yield(webhooks.SentMessage{}, err)
				return
			}
			for _, message := range news {
				if !yield(message, nil) {
					return
				}
			}
			select {
			case <-time.After(pollEvery):
			case <-ctx.Done():
				return
			}
		}
	}
}

// newMessages are those that none of the queues has given yet, oldest first. Errors that may pass
// are none.
func newMessages(ctx context.Context, queues []*messageQueue) ([]webhooks.SentMessage, error) {
	var all []webhooks.SentMessage
	for _, queue := range queues {
		news, err := queue.next(ctx)
		if err != nil && (ctx.Err() != nil || exitStatus(err) == exitWrong) {
			return nil, explain(err, webhooks.Endpoint{EventType: queue.eventType})
		}
		all = append(all, news...)
	}
	slices.SortFunc(all, func(a, b webhooks.SentMessage) int {
		if order := a.Timestamp.Compare(b.Timestamp); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, nil
}

// A messageQueue gives each message of an event type once. It goes by the server's clock.
type messageQueue struct {
	client    *webhooks.Client
	eventType string
	channel   string
	after     time.Time
	newest    time.Time
	seen      map[string]time.Time // the messages since lookBack before the newest
}

// begin passes over the messages that are there, unless it is to begin after some time.
func (q *messageQueue) begin(ctx context.Context) error {
	if !q.after.IsZero() {
		return nil
	}
	first := webhooks.MessageQuery{Channel: q.channel, Limit: 1}
	for message, err := range q.client.ListMessages(ctx, q.eventType, first) {
		if err != nil {
			return err
		}
		q.newest = message.Timestamp
	}
	_, err := q.next(ctx)
	return err
}

// next returns the messages that it has not returned before. After an error it has returned none.
func (q *messageQueue) next(ctx context.Context) ([]webhooks.SentMessage, error) {
	query := webhooks.MessageQuery{Channel: q.channel, After: q.after}
	if since := q.newest.Add(-lookBack); !q.newest.IsZero() && since.After(q.after) {
		query.After = since
	}
	listed, err := webhooks.Collect(q.client.ListMessages(ctx, q.eventType, query))
	if err != nil {
		return nil, err
	}
	var news []webhooks.SentMessage
	for _, message := range listed {
		if _, known := q.seen[message.ID]; known {
			continue
		}
		news = append(news, message)
		q.seen[message.ID] = message.Timestamp
		if message.Timestamp.After(q.newest) {
			q.newest = message.Timestamp
		}
	}
	for id, at := range q.seen {
		if at.Before(q.newest.Add(-2 * lookBack)) {
			delete(q.seen, id)
		}
	}
	return news, nil
}
