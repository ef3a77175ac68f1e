package svixmock

import (
	"net/http"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// statsWindow is how long a time range the statistics of an endpoint may cover.
const statsWindow = 28 * 24 * time.Hour

// clockDifference is by how much the client's clock may differ.
const clockDifference = 5 * time.Minute

// statsOut counts attempts by status.
type statsOut struct {
	Success  int `json:"success"`
	Pending  int `json:"pending"`
	Sending  int `json:"sending"`
	Fail     int `json:"fail"`
	Canceled int `json:"canceled"`
}

// statsRange is the time range of statistics.
type statsRange struct{ since, until serde.Opt[time.Time] }

// parseStats reads the range. This route alone answers with bare text if it cannot.
func parseStats(q serde.Query) (r statsRange, err error) {
	r.since, err = serde.Param(q, "since", serde.ParseDate)
	if err == nil {
		r.until, err = serde.Param(q, "until", serde.ParseDate)
	}
	if err != nil {
		return r, &failure{answer{
			status: http.StatusBadRequest,
			header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
			body:   []byte(err.Error()),
		}}
	}
	return r, nil
}

func checkStatsRange(since, until, now time.Time) error {
	if until.After(now) {
		return failWith(http.StatusBadRequest, "invalid_range", "'until' cannot be in the future")
	}
	if until.Sub(since) > statsWindow+clockDifference {
		return failWith(http.StatusBadRequest, "invalid_range",
			"'since' cannot be more than 28 days prior to "+spacedTime(until))
	}
	return nil
}

// endpointStats counts the attempts at an endpoint, by default those of the last 28 days.
func endpointStats(c *call, _ *app, r statsRange) (answer, error) {
	until := r.until.Or(c.now)
	since := r.since.Or(until.Add(-statsWindow))
	if err := checkStatsRange(since, until, c.now); err != nil {
		return answer{}, err
	}
	ep, err := findEndpoint(c)
	if err != nil {
		return answer{}, err
	}
	failed := len(between(ep.failures, since, until))
	return jsonAnswer(http.StatusOK, statsOut{
		Success: len(between(ep.attempts, since, until)) - failed,
		Fail:    failed,
	}), nil
}
