package demo

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/softwareheritage/webhooks"
)

// A site is an HTTP server on a port that only this machine reaches.
type site struct {
	url     string
	server  *http.Server
	serving sync.WaitGroup
}

func open(ctx context.Context, handler http.Handler) (*site, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &site{
		url:    "http://" + listener.Addr().String(),
		server: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute},
	}
	s.serving.Go(func() { _ = s.server.Serve(listener) }) // always ends with an error, that of close
	return s, nil
}

// close closes the site, which may be nil, and the connections to it.
func (s *site) close() {
	if s == nil {
		return
	}
	_ = s.server.Close()
	s.serving.Wait()
}

// A receiver takes deliveries at several paths, as a program does that uses [webhooks.NewHandler],
// and keeps them.
type receiver struct {
	mux http.ServeMux

	mu      sync.Mutex
	refuse  uint // deliveries still to be refused
	arrived map[string][]webhooks.Delivery
	last    time.Time
}

func newReceiver(refuse uint) *receiver {
	return &receiver{refuse: refuse, arrived: map[string][]webhooks.Delivery{}}
}

// listen opens a path for deliveries signed with a secret. What comes twice is to be seen, so the
// handler goes without its guard.
func (r *receiver) listen(path, secret string) {
	keep := func(_ context.Context, d webhooks.Delivery) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.arrived[path] = append(r.arrived[path], d)
		r.last = time.Now()
		return nil
	}
	r.mux.Handle(path, webhooks.NewHandler([]string{secret}, keep,
		webhooks.WithReplayGuard(nil), webhooks.WithHandlerLogger(slog.New(slog.DiscardHandler))))
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.refuses() {
		http.Error(w, "refused", http.StatusServiceUnavailable)
		return
	}
	r.mux.ServeHTTP(w, req)
}

func (r *receiver) refuses() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse == 0 {
		return false
	}
	r.refuse--
	return true
}

// arrivedAt are the verified deliveries to a path.
func (r *receiver) arrivedAt(path string) []webhooks.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived[path]
}

// lastArrival is when the last verified delivery came.
func (r *receiver) lastArrival() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
