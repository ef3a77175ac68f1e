// Package svixmock is a Svix server in memory: state, validation, ids, pages, idempotency and
// signed deliveries as the open-source svix-server 1.100.0 has them. It is as strict and as lenient
// as that server.
//
// It differs in three points: loopback receivers are allowed as if they were on the server's list
// of allowed networks, operational webhooks are never sent, and throttle rates are, as there, only
// stored.
package svixmock

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how a Server behaves. The zero value is a server with default settings that keeps no
// log.
type Config struct {
	// Token is the token of an organization. It need not be a JWT. Empty: one is issued.
	Token string
	// Secret signs the tokens that the server accepts beside Token, with HS256. Empty: a random
	// one.
	Secret string
	// RetrySchedule are the delays between the attempts of a delivery. nil: 5s, 5m, 30m, 2h, 5h,
	// 10h, 10h, each with up to 20 % of jitter. Otherwise exactly these delays; empty: no retry. As
	// on the server, a Retry-After of the receiver may stretch a delay to its double, and after a
	// timeout a delay is at least a minute.
	RetrySchedule []time.Duration
	// SvixHeaders selects svix-* headers for deliveries instead of webhook-* ones, which a server
	// has with the setting whitelabel_headers.
	SvixHeaders bool
	// HTTPSOnly refuses endpoints whose URL is not https.
	HTTPSOnly bool
	// NoIdempotency ignores idempotency keys, as a server without a cache does.
	NoIdempotency bool
	// Patient finishes requests whose clients went away, which no real server does. It is for tests
	// of something else.
	Patient bool
	// KeepRequests and KeepDeliveries are how many of the newest requests and deliveries the logs
	// keep. 0: none.
	KeepRequests   int
	KeepDeliveries int
	// Logger gets one record for each request and each delivery. nil: none.
	Logger *slog.Logger
}

// Server is a Svix server. It is safe for concurrent use.
type Server struct {
	token    string
	tokenOrg string
	secret   string
	log      *slog.Logger
	clock    atomic.Pointer[func() time.Time]

	router      router
	faults      faults
	idempotency *idempotencyCache // nil: none
	patient     bool
	httpsOnly   bool
	requests    ring[Request]
	worker      worker

	ctx   context.Context // ends with Close
	close context.CancelFunc

	mu   sync.RWMutex // guards everything below the organizations
	orgs map[string]*org
}

// New makes a server. It starts no goroutine and opens no socket; deliveries start them when they
// are needed. Call Close in the end.
func New(cfg Config) *Server {
	s := &Server{
		secret:    cfg.Secret,
		tokenOrg:  defaultOrg,
		log:       cfg.Logger,
		requests:  ring[Request]{size: cfg.KeepRequests},
		patient:   cfg.Patient,
		httpsOnly: cfg.HTTPSOnly,
		orgs:      map[string]*org{},
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.secret == "" {
		s.secret = drawSecret()
	}
	s.token = cfg.Token
	if s.token == "" {
		s.token = s.orgToken()
	}
	if !cfg.NoIdempotency {
		s.idempotency = newIdempotencyCache(s.now)
	}
	s.initWorker(cfg)
	s.routes()
	return s
}

// Token is the organization's token.
func (s *Server) Token() string { return s.token }

// SetClock makes the server take the time from now; nil stands for time.Now. Ids, timestamps,
// expiry and windows follow it. Timers do not: they are those of package time.
func (s *Server) SetClock(now func() time.Time) {
	if now == nil {
		s.clock.Store(nil)
		return
	}
	s.clock.Store(&now)
}

// now is the time with the precision of the server's database.
func (s *Server) now() time.Time {
	now := time.Now
	if clock := s.clock.Load(); clock != nil {
		now = *clock
	}
	return now().UTC().Truncate(time.Microsecond)
}

// Close ends deliveries, planned retries and hanging requests, and waits for the deliveries.
// Messages that come later are stored but not delivered. It may be called again.
func (s *Server) Close() {
	s.close()
	s.worker.stop()
}

// Requests are the logged requests, oldest first. A request is logged just before it is answered.
func (s *Server) Requests() []Request { return s.requests.all() }

// ServeHTTP answers a request of the API. Where the connection has to end without an answer it
// panics with http.ErrAbortHandler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serve(r).write(w, r)
}

// serve works out what happens to a request.
func (s *Server) serve(r *http.Request) outcome {
	body := &requestBody{request: r}
	fault := s.faults.pick(r)
	if fault.holds() {
		_, _ = body.bytes() // until then net/http does not notice that the client is gone
	}
	out := s.meet(fault, r, func() outcome { //nolint:contextcheck // it is the request's
		out := s.act(r, body, fault)
		show(r, out)
		return out
	})
	out.at = s.now()
	s.requests.add(func() Request { return newRequest(r, body, out) })
	s.log.LogAttrs(
		r.Context(),
		slog.LevelInfo,
		"request",
		slog.String(
			"method",
			r.Method,
		),
		slog.String("path", r.URL.EscapedPath()),
		slog.Int("status", out.status),
	)
	return out
}

// act is what the server itself does with a request.
func (s *Server) act(r *http.Request, body *requestBody, fault Fault) (out outcome) {
	defer func() {
		switch p := recover(); {
		case p == nil:
		case errors.Is(asError(p), http.ErrAbortHandler):
			out = outcome{dropped: true}
		default:
			panic(p)
		}
	}()
	if status := tooLong(r); status != 0 {
		return outcome{answer: answer{status: status, bare: true}}
	}
	if r.Method == http.MethodOptions {
		return outcome{answer: preflight(r)}
	}
	c := newCall(r, body, fault, s.now())
	c.httpsOnly = s.httpsOnly
	return outcome{answer: s.idempotent(c, func() answer { return s.handle(c) })}
}

// handle runs a request's handler. It ends as a handler that is dropped does where the client goes
// away.
func (s *Server) handle(c *call) answer {
	if c.fault.GoAway == NothingStored {
		s.hold(c.Context(), c.fault)
		panic(http.ErrAbortHandler)
	}
	a := s.router.route(c)
	if !s.finish(c) {
		panic(http.ErrAbortHandler)
	}
	return a
}

func asError(p any) error {
	err, _ := p.(error)
	return err
}

const (
	maxTarget  = 65_534 // bytes of a request's target
	maxHeaders = 100    // lines of a request's header
)

// tooLong gives the status of a request that is too long to be routed, 0 if it is not.
func tooLong(r *http.Request) int {
	lines := 1 // Host
	for _, values := range r.Header {
		lines += len(values)
	}
	switch {
	case len(r.URL.RequestURI()) > maxTarget:
		return http.StatusRequestURITooLong
	case lines > maxHeaders:
		return http.StatusRequestHeaderFieldsTooLarge
	}
	return 0
}

// preflight answers what a browser asks before a request from another origin.
func preflight(r *http.Request) answer {
	h := http.Header{
		"Access-Control-Allow-Methods": {"*"},
		"Access-Control-Max-Age":       {"600"},
	}
	if asked := r.Header.Values("Access-Control-Request-Headers"); asked != nil {
		h["Access-Control-Allow-Headers"] = asked
	}
	return answer{status: http.StatusOK, header: h}
}
