package svixmock

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// endpoint is guarded by Server.mu.
type endpoint struct {
	id       string
	app      *app
	created  time.Time
	settings *endpointSettings
	attempts []*attempt // by id
	failures []*attempt // those of them that failed
	messages []*message // of the attempts, by id

	failingSince time.Time // when a message's last attempt first failed since the last success; zero: never
}

// endpointSettings are what requests can change. A value never changes once stored, so that
// deliveries can go on using it.
type endpointSettings struct {
	uid         *string
	url         string
	description string
	disabled    bool
	deleted     bool
	poisoned    bool // by a header: the server can no longer read the endpoint
	version     int64
	rate        *int64
	eventTypes  []string // sorted; nil: all
	channels    []string // sorted; nil: all
	metadata    map[string]string
	headers     map[string]string
	key         serde.Key
	oldKeys     []oldKey // by expiry
	updated     time.Time
}

// endpointIn is an endpoint in a request.
type endpointIn struct {
	url         serde.Opt[string]
	description serde.Opt[string]
	uid         serde.Opt[string]
	disabled    serde.Opt[bool]
	eventTypes  serde.Opt[[]string]
	channels    serde.Opt[[]string]
	metadata    serde.Opt[map[string]string]
	key         serde.Opt[serde.Key]
	version     serde.Opt[int64]
	rateLimit   serde.Opt[int64]
	throttle    serde.Opt[int64]
}

func (in *endpointIn) describe(method string) serde.Struct {
	patch := method == http.MethodPatch
	s := serde.Struct{Name: "EndpointIn", Lenient: patch, Members: []serde.Member{
		serde.Optional("description", &in.description, serde.String),
		serde.Nullable("rateLimit", &in.rateLimit, u16),
		serde.Nullable("throttleRate", &in.throttle, u16),
		serde.Nullable("uid", &in.uid, serde.String),
		serde.RequiredIf(!patch, "url", &in.url, serde.URL),
		serde.NullableIf(!patch, "version", &in.version, u16),
		serde.Optional("disabled", &in.disabled, serde.Bool),
		serde.Nullable("eventTypes", &in.eventTypes, serde.Set(nil)).Or("filterTypes"),
		serde.Nullable("channels", &in.channels, serde.Set(nil)),
	}}
	if method == http.MethodPost {
		s.Members = append(s.Members, serde.Nullable("secret", &in.key, serde.Secret))
	}
	s.Members = append(s.Members, serde.Nullable("metadata", &in.metadata, parseMetadata))
	return s
}

// validate adds what is wrong with the values to p. A PATCH has words of its own for some of it.
func (in *endpointIn) validate(p *problems, patch, httpsOnly bool) {
	limits, throttle := "Endpoint rate limits must be at least one if set", "Endpoint throttle rate must be "+
		"at least one if set"
	version := "Endpoint versions must be at least one if set"
	if patch {
		limits, version = "Endpoint rate limits must be at least 1 if set", "Endpoint versions must be at least one"
		throttle = limits
	}
	p.text(in.description, "description")
	p.atLeastOne(in.rateLimit, "rate_limit", limits)
	p.atLeastOne(in.throttle, "throttle_rate", throttle)
	p.uid(in.uid, endpointPrefix)
	if in.url.Set {
		p.url(in.url.Value, httpsOnly)
	}
	p.atLeastOne(in.version, "version", version)
	p.set(in.eventTypes, len(in.eventTypes.Value) > 0, "event_types",
		"eventTypes can't be empty, it must have at least one item.")
	count := len(in.channels.Value)
	p.set(in.channels, 1 <= count && count <= 10, "channels",
		"Channels must have at least 1 and at most 10 items, or be set to null.")
	if in.key.Has() {
		p.addAll(keyRule(in.key.Value), "key")
	}
}

// url checks the scheme of an endpoint's URL.
func (p *problems) url(normal string, httpsOnly bool) {
	switch {
	case strings.HasPrefix(normal, "https:"):
	case !strings.HasPrefix(normal, "http:"):
		p.add("Endpoint URL schemes must be http or https", "url")
	case httpsOnly:
		p.add("Endpoint URL schemes must be https when endpoint_https_only is set.", "url")
	}
}

func decodeEndpoint(c *call) (*endpointIn, error) {
	in := new(endpointIn)
	if err := c.decode(in.describe(c.Method)); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	in.validate(&p, c.Method == http.MethodPatch, c.httpsOnly)
	return in, p.err()
}

// checkEventTypes refuses filters that name event types which do not exist or are archived.
func (in *endpointIn) checkEventTypes(o *org) error {
	missing := slices.DeleteFunc(slices.Clone(in.eventTypes.Value), func(name string) bool {
		t := o.eventType(name)
		return t != nil && !t.settings.archived
	})
	if len(missing) == 0 {
		return nil
	}
	return unprocessable(problem{
		Loc:  []string{"body", "eventTypes"},
		Msg:  "The following event types don't exist: " + strings.Join(missing, ", "),
		Type: "value_error",
	})
}

// replaced are the settings after a PUT: everything but the secrets, the headers and the state.
func (in *endpointIn) replaced(old endpointSettings) endpointSettings {
	old.uid = in.uid.Ptr()
	old.url = in.url.Value
	old.description = in.description.Value
	old.disabled = in.disabled.Value
	old.version = in.version.Or(1)
	old.rate = firstOf(in.throttle, in.rateLimit)
	old.eventTypes = in.eventTypes.Value
	old.channels = in.channels.Value
	old.metadata = in.metadata.Value
	return old
}

// patched are the settings after a PATCH.
func (in *endpointIn) patched(old endpointSettings) endpointSettings {
	old.url = in.url.Or(old.url)
	old.description = in.description.Or(old.description)
	old.disabled = in.disabled.Or(old.disabled)
	old.version = in.version.Or(old.version)
	old.rate = patchedRate(old.rate, in.throttle, in.rateLimit)
	if in.uid.Set {
		old.uid = in.uid.Ptr()
	}
	if in.eventTypes.Set {
		old.eventTypes = in.eventTypes.Value
	}
	if in.channels.Set {
		old.channels = in.channels.Value
	}
	if in.metadata.Set {
		old.metadata = in.metadata.Value
	}
	return old
}

// endpointOut is an endpoint in an answer.
type endpointOut struct {
	Description  string            `json:"description"`
	RateLimit    *int64            `json:"rateLimit"`
	ThrottleRate *int64            `json:"throttleRate"`
	UID          *string           `json:"uid"`
	URL          string            `json:"url"`
	Version      int64             `json:"version"`
	Disabled     bool              `json:"disabled"`
	EventTypes   []string          `json:"eventTypes"`
	FilterTypes  []string          `json:"filterTypes"`
	Channels     []string          `json:"channels"`
	CreatedAt    string            `json:"createdAt"`
	UpdatedAt    string            `json:"updatedAt"`
	ID           string            `json:"id"`
	Metadata     map[string]string `json:"metadata"`
}

func (ep *endpoint) out() endpointOut {
	set := ep.settings
	eventTypes := shuffled(set.eventTypes)
	return endpointOut{
		Description:  set.description,
		RateLimit:    set.rate,
		ThrottleRate: set.rate,
		UID:          set.uid,
		URL:          set.url,
		Version:      set.version,
		Disabled:     set.disabled,
		EventTypes:   eventTypes,
		FilterTypes:  eventTypes,
		Channels:     shuffled(set.channels),
		CreatedAt:    timeText(ep.created),
		UpdatedAt:    timeText(set.updated),
		ID:           ep.id,
		Metadata:     notNil(set.metadata),
	}
}

// shuffled is a set as answers show it: in any order, each time another.
func shuffled(set []string) []string {
	if len(set) < 2 {
		return set
	}
	shown := slices.Clone(set)
	swap := func(i, j int) { shown[i], shown[j] = shown[j], shown[i] }
	rand.Shuffle(len(shown), swap) //nolint:gosec // no secret
	return shown
}

// addEndpoint stores a new endpoint.
func (a *app) addEndpoint(in *endpointIn, now time.Time) (*endpoint, error) {
	settings := in.replaced(endpointSettings{key: in.key.Value, updated: now})
	if !in.key.Has() {
		settings.key = drawKey()
	}
	if err := checkMetadata(settings.metadata); err != nil {
		return nil, err
	}
	if settings.uid != nil && a.endpointUIDs[*settings.uid] != nil {
		return nil, fail(http.StatusConflict)
	}
	ep := &endpoint{id: newID(now).text(endpointPrefix), app: a, created: now, settings: &settings}
	a.endpoints = insertKey(a.endpoints, ep, endpointKey)
	if settings.uid != nil {
		a.endpointUIDs[*settings.uid] = ep
	}
	a.recipients.invalidate()
	return ep, nil
}

// change replaces an endpoint's settings, which may move its uid.
func (ep *endpoint) change(settings endpointSettings, now time.Time) error {
	uids := ep.app.endpointUIDs
	if uid := settings.uid; uid != nil && uids[*uid] != nil && uids[*uid] != ep {
		return fail(http.StatusConflict)
	}
	if err := checkMetadata(settings.metadata); err != nil {
		return err
	}
	if old := ep.settings.uid; old != nil {
		delete(uids, *old)
	}
	if settings.uid != nil {
		uids[*settings.uid] = ep
	}
	ep.store(settings, now)
	ep.app.recipients.invalidate()
	return nil
}

// store replaces the settings without telling the recipient cache.
func (ep *endpoint) store(settings endpointSettings, now time.Time) {
	settings.updated = now
	ep.settings = &settings
}

func createEndpoint(c *call, a *app, in *endpointIn) (answer, error) {
	if err := in.checkEventTypes(a.org); err != nil {
		return answer{}, err
	}
	ep, err := a.addEndpoint(in, c.now)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusCreated, ep.out()), nil
}

func getEndpoint(_ *call, ep *endpoint) (answer, error) {
	return jsonAnswer(http.StatusOK, ep.out()), nil
}

func endpointPaging(q serde.Query) (paging, error) {
	return parseOrderedPaging(q, idRule(endpointPrefix), false)
}

func listEndpoints(_ *call, a *app, p paging) (answer, error) {
	a.mustBeReadable()
	page, done := simplePage(a.endpoints, endpointKey, everything, p)
	return listAnswer(page, done, func(ep *endpoint) (endpointOut, string) { return ep.out(), ep.id }), nil
}

func putEndpoint(c *call, a *app, in *endpointIn) (answer, error) {
	if err := in.checkEventTypes(a.org); err != nil {
		return answer{}, err
	}
	status := http.StatusOK
	ep, err := findEndpoint(c)
	switch {
	case errors.Is(err, errDatabase):
	case err != nil:
		status = http.StatusCreated
		ep, err = a.addEndpoint(in, c.now)
	default:
		err = ep.change(in.replaced(*ep.settings), c.now)
	}
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(status, ep.out()), nil
}

func patchEndpoint(c *call, a *app, in *endpointIn) (answer, error) {
	if err := in.checkEventTypes(a.org); err != nil {
		return answer{}, err
	}
	ep, err := findEndpoint(c)
	if err != nil {
		return answer{}, err
	}
	if err := ep.change(in.patched(*ep.settings), c.now); err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, ep.out()), nil
}

func deleteEndpoint(c *call, ep *endpoint) (answer, error) {
	gone := *ep.settings
	gone.uid = nil
	gone.deleted = true
	ep.app.endpoints = removeKey(ep.app.endpoints, ep, endpointKey)
	return noContent, ep.change(gone, c.now)
}
