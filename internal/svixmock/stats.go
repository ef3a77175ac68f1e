package svixmock

import (
	"net/http"
	"time"
)

// statsWindow is how long a time range the statistics of an endpoint may cover.
const statsWindow = 28 * 24 * time.Hour

// statsOut counts attempts by status.
type statsOut struct {
	Success  int `json:"success"`
	Pending  int `json:"pending"`
	Sending  int `json:"sending"`
	Fail     int `json:"fail"`
	Canceled int `json:"canceled"`
}

// parseStatsRange reads since and until, by default the last 28 days.
func parseStatsRange(c *call) (since, until time.Time, err error) {
	from, err := parseParam(c.query, "since", timestamp)
	if err != nil {
		return since, until, err
	}
	to, err := parseParam(c.query, "until", timestamp)
	if err != nil {
		return since, until, err
	}
	until = to.or(c.now)
	return from.or(until.Add(-statsWindow)), until, nil
}

func checkStatsRange(since, until, now time.Time) error {
	if until.After(now) {
		return failWith(http.StatusBadRequest, "invalid_range", "'until' cannot be in the future")
	}
	if until.Sub(since) > statsWindow+5*time.Minute { // for clocks that differ
		return failWith(http.StatusBadRequest, "invalid_range",
			"'since' cannot be more than 28 days prior to "+spacedTime(until))
	}
	return nil
}

// endpointStats counts the attempts at an endpoint.
func (s *Server) endpointStats(c *call) (answer, error) {
	since, until, err := parseStatsRange(c)
	if err != nil {
		return answer{}, err
	}
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	if err := checkStatsRange(since, until, c.now); err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	var stats statsOut
	for _, t := range ep.attemptsBetween(since, until) {
		if t.failed {
			stats.Fail++
		} else {
			stats.Success++
		}
	}
	return jsonAnswer(http.StatusOK, stats), nil
}
