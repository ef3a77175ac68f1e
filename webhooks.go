// Package webhooks manages Software Heritage webhooks on a Svix server.
//
// # Concepts
//
// An event type, such as "origin.create", has a name and a JSON Schema that the
// payloads of its events fit. An endpoint is a URL that receives the events of
// one event type: all of them, or those sent on its channel, which in practice
// is the URL of an origin. An event that is sent becomes a message; its delivery
// to an endpoint is tried one or more times, and each attempt is kept and can be
// listed. All of this is stored by the Svix server, under the same identifiers
// that the Python module swh.webhooks.interface uses, so that programs in both
// languages can share one server.
//
//	client, err := webhooks.NewClient(webhooks.WithConfigFile("config.yml"))
//	if err != nil {
//		return err
//	}
//	message, err := client.SendEvent(ctx, webhooks.Event{
//		Type:    "origin.create",
//		Payload: map[string]any{"origin_url": "https://github.com/torvalds/linux"},
//	})
//
// The receiving side is [NewHandler]. Unit tests use package
// [github.com/softwareheritage/webhooks/webhookstest], a Svix server in memory.
//
// # Errors
//
// Errors are told apart with [errors.Is] and [errors.As], never by their text:
//
//   - [ErrEventTypeNotFound], [ErrEventTypeArchived], [ErrEndpointNotFound]: what
//     is named is not there.
//   - [ErrInvalidConfig], [ErrInvalidEventTypeName], [ErrInvalidSchema],
//     [ErrInvalidPayload], [ErrInvalidEvent], [ErrInvalidEndpoint],
//     [ErrInvalidSecret], [ErrInvalidQuery]: an argument is wrong and nothing was
//     sent or changed. [PayloadError] and [SchemaError] list what is wrong.
//   - [ErrSecretRotationLimit]: the server refuses to rotate a secret again.
//   - [ErrUnauthorized]: the server refuses the token.
//   - [SendError]: an event whose own request failed; it says whether it may have been sent.
//   - [APIError]: any other answer of the server that is not the promised one.
//   - context.Canceled and context.DeadlineExceeded: the caller's context ended.
//   - anything else: the server could not be reached; the error of the network
//     is in the chain.
//
// # Reliability
//
// A Svix server drops a request where it stands when the client goes away: by a time-out, a
// cancelled context or a broken connection, or because its process ends. An operation that fails
// without an answer may have been carried out all the same, or by half. Each can be repeated:
//
//   - SendEvent: the event may be stored without being queued for delivery. The repetition with the
//     same ID, which a [SendError] tells, sees to that. The event is stored once and attempted at
//     least once; the server tries a message that had to be resent only once.
//   - CreateEventType: the application without the event type. Repeated, it makes both.
//   - CreateEndpoint and EnsureEndpoint, new: the endpoint, disabled and perhaps without its
//     header. It receives nothing. Repeated, they complete it.
//   - CreateEndpoint and EnsureEndpoint, existing: the secret changed, the rest perhaps as before.
//     Repeated, they complete it; without a secret of your own it is rotated once more.
//   - RotateEndpointSecret: rotated or not. Repeated with your own secret it changes nothing more,
//     else it rotates once more. The former secrets sign, too, for 24 hours.
//   - SetEndpointDisabled, DeleteEventType: done or not. Repeated, they end in the same state.
//   - DeleteEndpoint: done or not. Repeated after it was done, it is [ErrEndpointNotFound].
//   - ResendMessage, RecoverEndpoint: accepted or not. Repeated, they may cause attempts twice.
//
// What a client has sent when a context ends is finished in the background, see [Client.Drain].
package webhooks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/softwareheritage/webhooks/internal/audience"
	"github.com/softwareheritage/webhooks/internal/cache"
	"github.com/softwareheritage/webhooks/internal/confirm"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/transport"
)

const (
	userAgentSuffix = "swh-webhooks-go"

	defaultCacheTTL = 30 * time.Second
	maxCachedTypes  = 1 << 10
)

// A Client works on one Svix server. It never changes after [NewClient] and is
// safe for concurrent use; a program needs one for each server.
//
// Methods that take the name of an event type return [ErrEventTypeNotFound]
// without a request where the name is not of the form "<group>.<event>", since
// no such event type can exist.
//
// Event types and the answer that somebody listens to an event are cached, by
// default for 30 seconds (see [WithCacheTTL]). The client sees its own changes
// at once and those of others within that time.
type Client struct { //nolint:recvcheck // a copy must not be printed either
	svix           *svix.Svix
	transport      *transport.Transport
	logger         *slog.Logger
	foreign        foreign.Filter
	retention      int64 // days
	checkListeners bool
	tracer         Tracer // nil: none
	types          *cache.Cache[*registeredType]
	listeners      *cache.Cache[audience.Audience]
	receivers      *cache.Cache[[]confirm.Receiver]

	nobodyListensTTL time.Duration
}

// Format prints what a client is and nothing of what it holds, whatever the verb:
// it knows a token, and others may be using it.
func (Client) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "webhooks.Client")
}

// An Option configures a [Client]. An Option that is nil does nothing.
type Option func(*options) error

type options struct {
	configFile     string
	config         *Config
	serverURL      string
	authToken      string
	httpClient     *http.Client
	logger         *slog.Logger
	retry          RetryPolicy
	cacheTTL       time.Duration
	checkListeners bool
	tracer         Tracer

	nobodyListensTTL time.Duration
}

// NewTransport returns a new transport like the default one, made for many concurrent requests to
// one server. It is there to be wrapped, by one that traces for instance, and given to
// [WithHTTPClient]: [http.DefaultTransport] keeps no more than two idle connections to a server, so
// that concurrent sends open a new one for nearly every request.
func NewTransport() *http.Transport { return transport.Tuned() }

// WithLogger logs retries at debug level, without tokens and payloads. The
// default, also for a nil logger, is to log nothing.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		o.logger = l
		return nil
	}
}

// WithCacheTTL sets for how long event types, and the answer that somebody
// listens to an event, are taken from memory. The default is 30 seconds; zero
// switches the caches off.
func WithCacheTTL(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return fmt.Errorf("cache TTL: negative duration %v", d)
		}
		o.cacheTTL = d
		return nil
	}
}

// WithoutListenerCheck makes [Client.SendEvent] send each event without asking first whether an
// endpoint listens to it.
func WithoutListenerCheck() Option {
	return func(o *options) error {
		o.checkListeners = false
		return nil
	}
}

// WithNobodyListensTTL takes the answer that nobody listens to an event from memory for up to d,
// counted from when it was asked for. An endpoint that is created or enabled meanwhile misses the
// events of that time. In return events that nobody listens to cost nothing, however many endpoints
// there are: one listing of all endpoints of the event type serves all callers for d, also for the
// answer that somebody listens. It suits a sender of many events to few listeners.
//
// A client remembers 1,048,576 channels at most. Of the event types that it has no room for all
// events are sent. The default is 0: an event that somebody listens to when SendEvent is called is
// never dropped. It cannot be combined with [WithoutListenerCheck].
func WithNobodyListensTTL(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return fmt.Errorf("nobody-listens TTL: negative duration %v", d)
		}
		o.nobodyListensTTL = d
		return nil
	}
}

// NewClient returns a client for the server that the options name. It makes no
// request.
//
// The server's URL and the token come from [WithServerURL] and [WithAuthToken]
// or else from the configuration: that of [WithConfig], or else the file that
// the environment variable SWH_CONFIG_FILENAME or [WithConfigFile] names.
//
// An error is an [ErrInvalidConfig] that names every mistake, a missing URL or
// token among them.
func NewClient(opts ...Option) (*Client, error) {
	o := options{cacheTTL: defaultCacheTTL, checkListeners: true}
	var mistakes []error
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(&o); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if o.nobodyListensTTL > 0 && !o.checkListeners {
		mistakes = append(mistakes, errors.New("WithNobodyListensTTL and WithoutListenerCheck cannot be combined"))
	}
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	cfg, wrong := o.resolve()
	if err := configError(append(mistakes, wrong...)); err != nil {
		return nil, err
	}
	return o.newClient(cfg)
}

// resolve returns the configuration completed by the explicit options, and what
// is wrong with it.
func (o options) resolve() (Config, []error) {
	var cfg Config
	if o.config != nil {
		cfg = *o.config
	} else {
		var mistakes []error
		if cfg, mistakes = readConfig(o.configFile); len(mistakes) > 0 {
			return Config{}, mistakes
		}
	}
	urlFrom, tokenFrom := urlKey, tokenKey
	if o.serverURL != "" {
		cfg.Svix.ServerURL, urlFrom = o.serverURL, "WithServerURL"
	}
	if o.authToken != "" {
		cfg.Svix.AuthToken, tokenFrom = Secret(o.authToken), "WithAuthToken"
	}
	mistakes := cfg.mistakes(urlFrom, tokenFrom)
	if cfg.Svix.ServerURL == "" {
		mistakes = append(mistakes,
			errors.New("the URL of the Svix server is missing: set svix.server_url or use WithServerURL"))
	}
	if cfg.Svix.AuthToken == "" {
		mistakes = append(mistakes,
			errors.New("the Svix authentication token is missing: set svix.auth_token or use WithAuthToken"))
	}
	return cfg, mistakes
}

func (o options) newClient(cfg Config) (*Client, error) {
	serverURL, err := parseServerURL(cfg.Svix.ServerURL)
	if err != nil {
		return nil, configError([]error{err})
	}
	if _, ok := http.DefaultTransport.(*http.Transport); !ok {
		return nil, configError([]error{fmt.Errorf("http.DefaultTransport is a %T: the Svix SDK "+
			"needs the *http.Transport of package net/http there; wrap the transport of one client "+
			"instead, see WithHTTPClient", http.DefaultTransport)})
	}
	filter := foreign.NewFilter(string(cfg.Svix.AuthToken))
	hc, carrier := o.wrappedHTTPClient(filter)
	sdk, err := svix.New(string(cfg.Svix.AuthToken), &svix.SvixOptions{
		ServerUrl:  serverURL,
		HTTPClient: hc,
		// the transport retries: the SDK waits microseconds, leaks bodies and heeds no context
		RetrySchedule: &[]time.Duration{},
	})
	if err != nil {
		return nil, configError([]error{err})
	}
	if err := sdk.SetUserAgentSuffix(userAgentSuffix); err != nil {
		return nil, configError([]error{err})
	}
	return &Client{
		svix:           sdk,
		transport:      carrier,
		logger:         o.logger,
		foreign:        filter,
		retention:      int64(cmp.Or(cfg.EventRetentionPeriod, defaultRetention)),
		checkListeners: o.checkListeners,
		tracer:         o.tracer,
		types:          cache.New(cache.Config[*registeredType]{TTL: o.cacheTTL, Limit: maxCachedTypes}),
		listeners: cache.New(cache.Config[audience.Audience]{
			TTL: max(o.cacheTTL, o.nobodyListensTTL), Limit: maxCachedChannels,
			Weight: func(a audience.Audience) int { return a.Weight() },
			Shrink: func(a audience.Audience) audience.Audience { return a.AndOthers() },
		}),
		receivers: cache.New(cache.Config[[]confirm.Receiver]{
			TTL: o.cacheTTL, Limit: maxCachedReceivers, Weight: func(r []confirm.Receiver) int {
				return max(1, len(r))
			},
		}),
		nobodyListensTTL: o.nobodyListensTTL,
	}, nil
}

func (o options) wrappedHTTPClient(filter foreign.Filter) (*http.Client, *transport.Transport) {
	hc := &http.Client{}
	if o.httpClient != nil {
		*hc = *o.httpClient
	}
	policy := o.retry.withDefaults()
	if hc.Timeout > 0 {
		policy.AttemptTimeout = min(policy.AttemptTimeout, hc.Timeout)
		hc.Timeout = 0 // it would bound all the tries and their waits together
	}
	carrier := transport.New(hc.Transport, policy, o.logger)
	carrier.Show = filter.Error
	if o.tracer != nil {
		carrier.Observer = observer{o.tracer}
	}
	hc.Transport = carrier
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return hc, carrier
}

// Drain waits until the sends that are left in the background when it is called
// have ended: those that had begun when the context of their [Client.SendEvent]
// ended. A program calls it before it exits, since the server may store an event
// without ever delivering it if the connection breaks in the middle.
//
// It returns nil once all have ended, whatever came of them, which takes
// [RetryPolicy.AttemptTimeout] at most. If ctx ends first, it returns an error
// that wraps that of ctx.
func (c *Client) Drain(ctx context.Context) error {
	if err := c.transport.Drain(ctx); err != nil {
		return fmt.Errorf("webhooks: waiting for sends in the background: %w", err)
	}
	return nil
}

// Ping makes one request, which shows that the server can be reached and accepts the token.
//
// It returns
//   - [ErrUnauthorized], with the [*APIError], if the server refuses the token,
//   - an [*APIError] for any other answer that is not that of a Svix server,
//   - an error of the network or of ctx.
func (c *Client) Ping(ctx context.Context) error {
	_, err := listPage[eventTypeBody](ctx, c, pageRequest{op: "event type list", limit: 1},
		func(ctx context.Context, limit *uint64) error {
			_, err := c.svix.EventType.List(ctx, &svix.EventTypeListOptions{Limit: limit})
			return err
		})
	return err
}

// do makes one call of the SDK. The SDK builds the request; what came of it is
// read from the answer that the transport recorded, not from the SDK's result:
// one odd value in an answer must not cost the rest of it.
func (c *Client) do(ctx context.Context, op string, request func(ctx context.Context) error) (transport.Answer, error) {
	return c.answer(ctx, op, transport.Answer{}, request)
}

// finish is [Client.do] for the request with a payload, which is finished in the background if ctx
// ends while it is under way.
func (c *Client) finish(ctx context.Context, op string, payload []byte,
	request func(ctx context.Context) error,
) (transport.Answer, error) {
	return c.answer(ctx, op, transport.Answer{Finish: true, Payload: payload}, request)
}

func (c *Client) answer(ctx context.Context, op string, answer transport.Answer,
	request func(ctx context.Context) error,
) (transport.Answer, error) {
	err := request(transport.WithAnswer(ctx, &answer))
	return answer, c.translate(ctx, op, &answer, err)
}

// exec makes one call of the SDK whose answer is a 204 without a body. Any
// other 2xx is not from the API: the page of a login, say.
func (c *Client) exec(ctx context.Context, op string,
	request func(ctx context.Context) error,
) (transport.Answer, error) {
	answer, err := c.do(ctx, op, request)
	if err == nil && answer.Status != http.StatusNoContent {
		err = &APIError{Op: op, StatusCode: answer.Status, Detail: notPromised}
	}
	return answer, err
}

// An answerBody is one of the types that answers are decoded into.
type answerBody interface {
	// complete reports whether what the operation promises is there.
	complete() bool
}

// query makes one call of the SDK and reads the body of the answer.
func query[T answerBody](ctx context.Context, c *Client, op string,
	request func(ctx context.Context) error,
) (T, error) {
	answer, err := c.do(ctx, op, request)
	if err != nil {
		var none T
		return none, err
	}
	return readBody[T](op, answer)
}

const notPromised = "the answer is not what the API promises here; is the server URL that of a Svix server?"

func readBody[T answerBody](op string, answer transport.Answer) (T, error) {
	var body T
	if err := decode(answer.Body, &body); err != nil {
		return body, &APIError{Op: op, StatusCode: answer.Status, Detail: "the answer is not JSON", err: err}
	}
	if !body.complete() {
		return body, &APIError{Op: op, StatusCode: answer.Status, Detail: notPromised}
	}
	return body, nil
}

// decode fills into with what fits it: a member of another type than expected
// keeps its zero value.
func decode(body []byte, into any) error {
	return tolerate(json.Unmarshal(body, into))
}

// tolerate drops the error of a value that has another type than expected.
func tolerate(err error) error {
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil
	}
	return err
}
