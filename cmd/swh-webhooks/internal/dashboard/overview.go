package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks"
)

const (
	perPage  = 50
	maxTypes = 500 // that the menu has
	maxPage  = 10_000
)

// A window is a time up to now that statistics are shown of.
type window struct {
	Name   string
	Title  string
	Length time.Duration
	bars   int
	axis   string // format of the times below them
}

var windows = []window{
	{Name: "hour", Title: "last hour", Length: time.Hour, bars: 20, axis: "15:04"},
	{Name: "day", Title: "last 24 hours", Length: 24 * time.Hour, bars: 24, axis: "15:04"},
	{Name: "week", Title: "last 7 days", Length: 7 * 24 * time.Hour, bars: 28, axis: "Jan 2"},
}

// windowOf returns the window that a request names, or else the last day.
func windowOf(r *http.Request) window {
	for _, w := range windows {
		if w.Name == r.FormValue("window") {
			return w
		}
	}
	return windows[1]
}

type overviewData struct {
	Types     []webhooks.EventType
	Chosen    webhooks.EventType
	Window    window
	Channel   string
	Endpoints []endpointRow
	Totals    webhooks.EndpointStats
	Page      int
	First     int    // number of the first endpoint
	Newer     string // address of the page before; empty: none
	Older     string
}

type endpointRow struct {
	webhooks.Endpoint

	Stats *webhooks.EndpointStats // nil: they cannot be had
	Bar   []segment
}

// overview shows the event types, and the endpoints of one of them.
func (d *Dashboard) overview(ctx context.Context, r *http.Request) (view, error) {
	data := overviewData{Window: windowOf(r), Channel: r.FormValue("channel"), Page: 1}
	if n, err := strconv.Atoi(r.FormValue("page")); err == nil && n > 1 && n <= maxPage {
		data.Page = n
	}
	chosen := r.FormValue("type")
	for et, err := range d.client.ListEventTypes(ctx) {
		if err != nil {
			return view{}, err
		}
		if chosen == "" {
			chosen = et.Name
		}
		if et.Name == chosen {
			data.Chosen = et
		}
		if data.Types = append(data.Types, et); len(data.Types) == maxTypes {
			break
		}
	}
	v := view{Template: "overview", Title: "Endpoints", Place: "endpoints", Type: chosen, Refresh: 10}
	if chosen != "" {
		if err := d.listEndpoints(ctx, chosen, &data); err != nil {
			return view{}, err
		}
	}
	v.Data = data
	return v, nil
}

func (d *Dashboard) listEndpoints(ctx context.Context, eventType string, data *overviewData) error {
	before := (data.Page - 1) * perPage
	address := func(page int) string {
		return link("/", "type", eventType, "window", data.Window.Name, "channel", data.Channel,
			"page", strconv.Itoa(page))
	}
	if data.Page > 1 {
		data.Newer = address(data.Page - 1)
	}
	data.First = before + 1
	query := webhooks.EndpointQuery{Channel: data.Channel, Limit: before + perPage + 1}
	n := 0
	for ep, err := range d.client.ListEndpoints(ctx, eventType, query) {
		if err != nil {
			return err
		}
		if n++; n > before+perPage {
			data.Older = address(data.Page + 1)
			break
		}
		if n > before {
			data.Endpoints = append(data.Endpoints, endpointRow{Endpoint: ep})
		}
	}
	d.countAll(ctx, data)
	return nil
}

// countAll fills in the statistics of the endpoints. One that is deleted meanwhile has none.
func (d *Dashboard) countAll(ctx context.Context, data *overviewData) {
	since := time.Now().Add(-data.Window.Length)
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range data.Endpoints {
		g.Go(func() error {
			row := &data.Endpoints[i]
			if stats, err := d.client.GetEndpointStats(ctx, row.Endpoint, since, time.Time{}); err == nil {
				row.Stats = &stats
			}
			return nil
		})
	}
	_ = g.Wait() // there is no error
	most := 0
	for _, row := range data.Endpoints {
		if s := row.Stats; s != nil {
			most = max(most, total(*s))
			data.Totals.Succeeded += s.Succeeded
			data.Totals.Failed += s.Failed
			data.Totals.Pending += s.Pending
			data.Totals.Sending += s.Sending
		}
	}
	for i := range data.Endpoints {
		if s := data.Endpoints[i].Stats; s != nil {
			data.Endpoints[i].Bar = rowBar(*s, most)
		}
	}
}
