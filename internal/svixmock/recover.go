package svixmock

import (
	"net/http"
	"slices"
	"sort"
	"time"
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

// recoverFailed resends to an endpoint, as manual attempts, the messages that failed in a time window and did not succeed
// in it.
func (s *Server) recoverFailed(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	var since, until opt[time.Time]
	err = decodeBody(c, required("since", &since, parseTime), nullable("until", &until, parseTime))
	if err != nil {
		return answer{}, err
	}
	end := until.or(c.now)
	if since.value.Before(end.Add(-recoverWindow)) {
		p := problems{root: "body"}
		p.add("Cannot recover more than 14 days of messages", "since")
		return answer{}, p.err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	for _, m := range ep.failedBetween(since.value, end) {
		c.tasks = append(c.tasks, task{app: a, message: m, endpoint: ep, manual: true})
	}
	taskID := newID(c.now)
	return jsonAnswer(http.StatusAccepted, recoverOut{
		ID:        taskID.text(taskPrefix),
		Status:    "running",
		Task:      "endpoint.recover",
		UpdatedAt: timeText(taskID.time()),
	}), nil
}

// failedBetween are the messages, oldest first, with failed and without successful attempts in a time window.
func (ep *endpoint) failedBetween(since, until time.Time) []*message {
	failed := map[*message]bool{}
	for _, t := range ep.attemptsBetween(since, until) {
		earlier, known := failed[t.message]
		failed[t.message] = t.failed && (earlier || !known)
	}
	var messages []*message
	for m, yes := range failed {
		if yes {
			messages = append(messages, m)
		}
	}
	slices.SortFunc(messages, func(a, b *message) int { return a.id.compare(b.id) })
	return messages
}

// attemptsBetween are the attempts from the slot of since to before that of until.
func (ep *endpoint) attemptsBetween(since, until time.Time) []*attempt {
	index := func(t time.Time) int {
		first := firstID(t)
		return sort.Search(len(ep.attempts), func(i int) bool { return ep.attempts[i].id.compare(first) >= 0 })
	}
	from := index(since)
	return ep.attempts[from:max(from, index(until))]
}
