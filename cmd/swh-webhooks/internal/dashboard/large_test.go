package dashboard_test

import (
	"flag"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard/dashboardtest"
)

var full = flag.Bool("full", false, "run tests that take long at their full size")

// A page asks for what is on the screen, whatever there is besides.
func TestPagesOfALargeServer(t *testing.T) {
	endpoints, messages := 500, 20_000
	if *full {
		endpoints, messages = 10_000, 1_000_000
	}
	s := dashboardtest.New(t)
	s.FillWith(endpoints, messages)
	v := visit(t, s)
	all := s.Endpoint(t, webhooks.TypeOriginVisit, "https://all.example.org/")
	deliveries := v.get("/deliveries?type=origin.visit", http.StatusOK)
	if answer := v.do(v.request(http.MethodGet,
		"/live?type=origin.visit&since="+time.Now().UTC().Format(time.RFC3339), nil),
		http.StatusNoContent); answer.text != "" {
		t.Errorf("all of many endpoints are followed: %s", answer.text)
	}
	message := regexp.MustCompile(`msg_[A-Za-z0-9]+`).FindString(deliveries)
	pages := map[string]struct {
		path     string
		requests int64 // at most
	}{
		"overview":             {"/?type=origin.visit&window=week", 60},
		"overview, fifth page": {"/?type=origin.visit&window=week&page=5", 60},
		"overview, last page":  {"/?type=origin.visit&window=week&page=200", int64(60 + endpoints/250)},
		"endpoint, hour":       {"/endpoint?type=origin.visit&window=hour&id=" + all.ID, 60},
		"endpoint, week":       {"/endpoint?type=origin.visit&window=week&id=" + all.ID, 60},
		"deliveries":           {"/deliveries?type=origin.visit", 140},
		"older deliveries": {"/deliveries?type=origin.visit&before=" +
			time.Now().Add(-72*time.Hour).UTC().Format(time.RFC3339), 140},
		"deliveries of an endpoint": {"/deliveries?type=origin.visit&endpoint=" + all.ID, 20},
		"deliveries, none of a status": {
			"/deliveries?type=origin.visit&status=bad&endpoint=" + all.ID,
			int64(messages),
		},
		"message": {"/message?type=origin.visit&id=" + message, 10},
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			v := visitor{t, v.url, v.client}
			before, began := s.Requests.Load(), time.Now()
			v.get(page.path, http.StatusOK)
			requests, took := s.Requests.Load()-before, time.Since(began)
			t.Logf("%v, %d requests", took.Round(time.Millisecond), requests)
			if requests > page.requests {
				t.Errorf("%d requests, want at most %d", requests, page.requests)
			}
			if *full && took > time.Second {
				t.Errorf("it takes %v, want at most a second", took)
			}
		})
	}
}
