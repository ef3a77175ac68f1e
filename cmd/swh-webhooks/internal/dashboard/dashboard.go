// Package dashboard shows the webhooks of a Svix server as web pages: what is delivered, what
// fails, and why.
//
// The pages are made on the server, with what the library offers and nothing else, and work without
// JavaScript; a script only adds what is new.
package dashboard

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/softwareheritage/webhooks"
)

//go:embed assets templates
var files embed.FS

const (
	// patience is how long a page may take in all.
	patience = 20 * time.Second

	// glance is for how long a page goes through a list whose length nobody knows. It then shows
	// what was found.
	glance = 700 * time.Millisecond

	// atOnce is how many requests one page makes to the Svix server at once.
	atOnce = 16
)

// A Config says what a dashboard shows, and to whom.
type Config struct {
	Client *webhooks.Client
	// Server is how the pages name the Svix server.
	Server string
	// Remote lets others than this machine in, by any IP address or one of Hosts.
	Remote bool
	// Hosts are names under which browsers may ask for it, besides localhost.
	Hosts []string
	// TLS tells that it is served by https.
	TLS bool
	// Logger is told of what goes wrong; nil: nobody.
	Logger *slog.Logger
}

// A Dashboard is an [http.Handler]. It answers nothing but a refusal to whoever has not come by an
// address with its key. It is safe for concurrent use.
type Dashboard struct {
	client  *webhooks.Client
	server  string
	log     *slog.Logger
	gate    *gate
	streams chan struct{} // a slot for each live list
}

// New returns a dashboard with a new key.
func New(cfg Config) *Dashboard {
	d := &Dashboard{
		client:  cfg.Client,
		server:  cfg.Server,
		log:     cfg.Logger,
		streams: make(chan struct{}, maxStreams),
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.gate = newGate(cfg, d.routes())
	return d
}

// Key is what the address that lets a browser in ends with: "/?key=" and the key.
func (d *Dashboard) Key() string { return d.gate.key }

// ServeHTTP implements [http.Handler].
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.gate.ServeHTTP(w, r) }

func (d *Dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	pages := map[string]func(ctx context.Context, r *http.Request) (view, error){
		"GET /{$}":        d.overview,
		"GET /endpoint":   d.endpoint,
		"GET /deliveries": d.deliveries,
		"GET /message":    d.message,
	}
	for pattern, prepare := range pages {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { d.show(w, r, prepare) })
	}
	mux.HandleFunc("GET /find", d.find)
	mux.HandleFunc("GET /payload", d.payload)
	mux.HandleFunc("GET /live", d.live)
	mux.HandleFunc("POST /action", d.action)
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.fail(w, r, http.StatusNotFound, "There is no such page.")
	})
	return mux
}
