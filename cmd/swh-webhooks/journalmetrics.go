package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/softwareheritage/webhooks/journal"
)

// A feedCollector shows the statistics of a feed to Prometheus. No label holds an origin or a
// channel.
type feedCollector struct {
	stats func() journal.Stats

	records, retries, gateClosed, inFlight, stuck     *prometheus.Desc
	lag, committed, oldestOpen                        *prometheus.Desc
	sends, commits, rebalances, dataLoss, lastSuccess *prometheus.Desc
}

func newFeedCollector(stats func() journal.Stats) *feedCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("swh_webhooks_journal_"+name, help, labels, nil)
	}
	return &feedCollector{
		stats:       stats,
		records:     desc("records_total", "Records by what became of them.", "topic", "outcome"),
		retries:     desc("retries_total", "Failures after which a record was tried again.", "class"),
		gateClosed:  desc("gate_closed", "1: sending fails, one record at a time is tried."),
		inFlight:    desc("in_flight", "Records that are held."),
		stuck:       desc("stuck_records", "Records that fail while others succeed, and hold up their partition."),
		lag:         desc("lag", "Records behind the end of the partition.", "topic", "partition"),
		committed:   desc("committed_offset", "Offset that Kafka has.", "topic", "partition"),
		oldestOpen:  desc("oldest_open_seconds", "Age of the first record that is not done.", "topic", "partition"),
		sends:       desc("send_seconds", "Durations of sends that succeeded."),
		commits:     desc("commits_total", "Requests to commit offsets.", "result"),
		rebalances:  desc("rebalances_total", "Changes of the assignment."),
		dataLoss:    desc("data_loss_total", "How often records were gone that had not been read."),
		lastSuccess: desc("last_success_timestamp", "When a record was last sent, in seconds since 1970; 0: never."),
	}
}

// Describe and Collect make it a prometheus.Collector.
func (c *feedCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect takes one snapshot.
func (c *feedCollector) Collect(to chan<- prometheus.Metric) {
	s := c.stats()
	counter := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, x float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
	}
	for topic, o := range s.Topics {
		counter(c.records, o.Sent, topic, "sent")
		counter(c.records, o.Unheard, topic, "unheard")
		counter(c.records, o.Skipped, topic, "skipped")
		counter(c.records, o.Dead, topic, "dead")
	}
	for class, n := range s.Retries {
		counter(c.retries, n, class)
	}
	for _, p := range s.Partitions {
		partition := strconv.Itoa(int(p.Partition))
		gauge(c.lag, float64(p.Lag), p.Topic, partition)
		gauge(c.oldestOpen, p.OldestOpen.Seconds(), p.Topic, partition)
		if p.Committed >= 0 {
			gauge(c.committed, float64(p.Committed), p.Topic, partition)
		}
	}
	closed := 0.0
	if s.GateClosed {
		closed = 1
	}
	gauge(c.gateClosed, closed)
	gauge(c.inFlight, float64(s.InFlight))
	gauge(c.stuck, float64(s.Stuck))
	counter(c.commits, s.Commits, "ok")
	counter(c.commits, s.CommitsFailed, "failed")
	counter(c.rebalances, s.Rebalances)
	counter(c.dataLoss, s.DataLoss)
	last := 0.0
	if !s.LastSuccess.IsZero() {
		last = float64(s.LastSuccess.UnixMilli()) / 1000
	}
	gauge(c.lastSuccess, last)
	buckets := map[float64]uint64{}
	for i, bound := range s.SendSeconds.Bounds {
		buckets[bound] = s.SendSeconds.Counts[i]
	}
	to <- prometheus.MustNewConstHistogram(c.sends, s.SendSeconds.Count, s.SendSeconds.Sum, buckets)
}

// serveMetrics serves the metrics of a feed at an address, if that is not empty, until stop is
// called.
func serveMetrics(ctx context.Context, address string, allowRemote bool, stats func() journal.Stats) (
	at net.Addr, stop func(), err error,
) {
	if address == "" {
		return nil, func() {}, nil
	}
	listener, err := listenHere(ctx, "--metrics", address, allowRemote)
	if err != nil {
		return nil, nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newFeedCollector(stats), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return listener.Addr(), func() {
		_ = server.Close()
		<-served
	}, nil
}

// listenHere listens on an address of this machine alone, unless others are allowed.
func listenHere(ctx context.Context, option, address string, allowRemote bool) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, inputError{errors.New(option + ": " + err.Error())}
	}
	if !addr.IP.IsLoopback() && !allowRemote {
		return nil, inputError{errors.New(option + ": other machines can reach " + addr.String() +
			": give a loopback address such as 127.0.0.1:9464, or --allow-remote")}
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr.String())
}
