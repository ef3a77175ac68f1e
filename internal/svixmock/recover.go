package svixmock

import (
	"maps"
	"net/http"
	"slices"
	"sort"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// recoverWindow is how far back a recovery may reach.
const recoverWindow = 14*24*time.Hour + 5*time.Minute

// recoverOut says that a recovery began.
type recoverOut struct {
	ID        string `json:"id"`
	Status    string `json:"status"`
	Task      string `json:"task"`
	UpdatedAt string `json:"updatedAt"`
}

// recovery is the body of a request for one.
type recovery struct{ since, until time.Time }

func decodeRecovery(c *call) (recovery, error) {
	var since, until serde.Opt[time.Time]
	err := c.decode(serde.Struct{Name: "RecoverIn", Members: []serde.Member{
		serde.Required("since", &since, serde.Date), serde.Nullable("until", &until, serde.Date),
	}})
	if err != nil {
		return recovery{}, err
	}
	in := recovery{since.Value, until.Or(c.now)}
	p := problems{root: "body"}
	if in.since.Before(in.until.Add(-recoverWindow)) {
		p.add("Cannot recover more than 14 days of messages", "since")
	}
	return in, p.err()
}

// recoverFailed resends to an endpoint, as manual attempts, the messages that failed in a time
// window and did not succeed in it.
func recoverFailed(c *call, ep *endpoint, in recovery) (answer, error) {
	for _, m := range ep.failedBetween(in.since, in.until) {
		c.tasks = append(c.tasks, task{app: c.app, message: m, endpoint: ep, manual: true})
	}
	taskID := newID(c.now)
	return jsonAnswer(http.StatusAccepted, recoverOut{
		ID:        taskID.text(taskPrefix),
		Status:    "running",
		Task:      "endpoint.recover",
		UpdatedAt: timeText(taskID.time()),
	}), nil
}

// failedBetween are the messages, oldest first, with failed and without successful attempts in a
// time window.
func (ep *endpoint) failedBetween(since, until time.Time) []*message {
	failed := map[*message]bool{}
	for _, t := range between(ep.failures, since, until) {
		failed[t.message] = true
	}
	messages := slices.Collect(maps.Keys(failed))
	messages = slices.DeleteFunc(messages, func(m *message) bool {
		return slices.ContainsFunc(between(m.attempts, since, until), func(t *attempt) bool {
			return t.endpoint == ep && !t.failed
		})
	})
	slices.SortFunc(messages, func(a, b *message) int { return a.id.compare(b.id) })
	return messages
}

// between are the attempts from the slot of since to before that of until.
func between(attempts []*attempt, since, until time.Time) []*attempt {
	index := func(t time.Time) int {
		first := firstID(t)
		return sort.Search(len(attempts), func(i int) bool { return attempts[i].id.compare(first) >= 0 })
	}
	from := index(since)
	return attempts[from:max(from, index(until))]
}
