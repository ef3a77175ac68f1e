package dashboard

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks"
)

const (
	maxAttempts = 1000 // that latencies are taken from
	maxRecent   = 12   // that an endpoint's page lists
)

type endpointData struct {
	webhooks.Endpoint

	Window  window
	Totals  webhooks.EndpointStats
	Chart   barChart
	Latency latency
	Recent  []webhooks.SentEvent
}

// endpoint shows one endpoint: what it received, and how fast it answered.
func (d *Dashboard) endpoint(ctx context.Context, r *http.Request) (view, error) {
	ep, err := d.client.GetEndpoint(ctx, webhooks.Endpoint{EventType: r.FormValue("type"), ID: r.FormValue("id")})
	if err != nil {
		return view{}, err
	}
	data := endpointData{Endpoint: ep, Window: windowOf(r)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.count(ctx, &data) })
	g.Go(func() error { return d.measure(ctx, &data) })
	if err := g.Wait(); err != nil {
		return view{}, err
	}
	return view{
		Template: "endpoint", Title: "Endpoint", Place: "endpoints", Type: ep.EventType,
		Refresh: 10, Data: data,
	}, nil
}

// count asks for the statistics of each bar of the chart.
func (d *Dashboard) count(ctx context.Context, data *endpointData) error {
	counts := make([]webhooks.EndpointStats, data.Window.bars)
	step := data.Window.Length / time.Duration(len(counts))
	now := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range counts {
		since, until := now.Add(-step*time.Duration(len(counts)-i)), now.Add(-step*time.Duration(len(counts)-i-1))
		if i == len(counts)-1 {
			until = time.Time{} // now, by the server's clock
		}
		g.Go(func() error {
			stats, err := d.client.GetEndpointStats(ctx, data.Endpoint, since, until)
			counts[i] = stats
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, s := range counts {
		data.Totals.Succeeded += s.Succeeded
		data.Totals.Failed += s.Failed
		data.Totals.Pending += s.Pending
		data.Totals.Sending += s.Sending
	}
	data.Chart = newBarChart(counts, now, data.Window)
	return nil
}

// measure goes through the newest attempts, as far as a glance allows, and keeps little of each.
func (d *Dashboard) measure(ctx context.Context, data *endpointData) error {
	var durations []time.Duration
	failed := 0
	var oldest time.Time
	began := time.Now()
	query := webhooks.SentEventQuery{Limit: maxAttempts}
	for ev, err := range d.client.ListSentEventsForEndpoint(ctx, data.Endpoint, query) {
		if err != nil {
			return err
		}
		durations = append(durations, ev.Duration)
		oldest = ev.Timestamp
		if ev.Status == webhooks.DeliveryFailed {
			failed++
		}
		if len(data.Recent) < maxRecent {
			data.Recent = append(data.Recent, ev)
		}
		if time.Since(began) > glance {
			break
		}
	}
	data.Latency = newLatency(durations)
	data.Latency.Failed, data.Latency.Oldest = failed, oldest
	return nil
}
