package svixmock

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nlnwa/whatwg-url/url"
)

// endpoint is guarded by Server.mu.
type endpoint struct {
	id       string
	app      *app
	created  time.Time
	settings *endpointSettings
	attempts []*attempt // by id

	failingSince time.Time // when a message's last attempt first failed since the last success; zero: never
}

// endpointSettings are what requests can change. A value never changes once stored, so that deliveries can go on
// using it.
type endpointSettings struct {
	uid         *string
	url         string
	description string
	disabled    bool
	deleted     bool
	version     int64
	rate        *int64
	eventTypes  []string // sorted; nil: all
	channels    []string // sorted; nil: all
	metadata    map[string]string
	headers     map[string]string
	key         secret
	oldKeys     []oldKey // by expiry
	updated     time.Time
}

// endpointIn is an endpoint in a request.
type endpointIn struct {
	url         opt[string]
	description opt[string]
	uid         opt[string]
	disabled    opt[bool]
	eventTypes  opt[[]string]
	channels    opt[[]string]
	metadata    opt[map[string]string]
	key         opt[secret]
	version     opt[int64]
	rateLimit   opt[int64]
	throttle    opt[int64]
}

func (in *endpointIn) members(method string) []member {
	url := required("url", &in.url, parseURL)
	url.required = method != http.MethodPatch
	version := nullable("version", &in.version, parseInt("u16", 0, 65535))
	version.nullable = method != http.MethodPatch
	eventTypes := nullable("eventTypes", &in.eventTypes, parseSet)
	eventTypes.alias = "filterTypes"
	members := []member{
		optional("description", &in.description, parseString),
		nullable("rateLimit", &in.rateLimit, parseInt("u16", 0, 65535)),
		nullable("throttleRate", &in.throttle, parseInt("u16", 0, 65535)),
		nullable("uid", &in.uid, parseString),
		url,
		version,
		optional("disabled", &in.disabled, parseBool),
		eventTypes,
		nullable("channels", &in.channels, parseSet),
		nullable("metadata", &in.metadata, parseMetadata),
	}
	if method == http.MethodPost {
		members = append(members, nullable("secret", &in.key, parseSecret))
	}
	return members
}

// parseURL reads a URL and normalises it as browsers do.
func parseURL(d *decoder) (string, error) {
	text, err := parseString(d)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", d.fail("%s", err)
	}
	return u.String(), nil
}

func (in *endpointIn) validate(p *problems) {
	p.text(in.description, "description")
	p.atLeastOne(in.rateLimit, "rate_limit", "Endpoint rate limits must be at least one if set")
	p.atLeastOne(in.throttle, "throttle_rate", "Endpoint throttle rate must be at least one if set")
	p.uid(in.uid, endpointPrefix)
	if in.url.set && !strings.HasPrefix(in.url.value, "http:") && !strings.HasPrefix(in.url.value, "https:") {
		p.add("Endpoint URL schemes must be http or https", "url")
	}
	p.atLeastOne(in.version, "version", "Endpoint versions must be at least one if set")
	p.set(in.eventTypes, len(in.eventTypes.value) > 0, "event_types",
		"eventTypes can't be empty, it must have at least one item.")
	count := len(in.channels.value)
	p.set(in.channels, 1 <= count && count <= 10, "channels",
		"Channels must have at least 1 and at most 10 items, or be set to null.")
	if in.key.has() {
		p.addAll(in.key.value.complaints(), "key")
	}
}

func decodeEndpoint(c *call) (*endpointIn, error) {
	in := new(endpointIn)
	if err := decodeBody(c, in.members(c.Method)...); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	in.validate(&p)
	return in, p.err()
}

// checkEventTypes refuses filters that name event types which do not exist or are archived.
func (in *endpointIn) checkEventTypes(o *org) error {
	missing := slices.DeleteFunc(slices.Clone(in.eventTypes.value), func(name string) bool {
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
	old.uid = in.uid.ptr()
	old.url = in.url.value
	old.description = in.description.value
	old.disabled = in.disabled.value
	old.version = in.version.or(1)
	old.rate = firstOf(in.throttle, in.rateLimit)
	old.eventTypes = in.eventTypes.value
	old.channels = in.channels.value
	old.metadata = in.metadata.value
	return old
}

// patched are the settings after a PATCH.
func (in *endpointIn) patched(old endpointSettings) endpointSettings {
	old.url = in.url.or(old.url)
	old.description = in.description.or(old.description)
	old.disabled = in.disabled.or(old.disabled)
	old.version = in.version.or(old.version)
	old.rate = patchedRate(old.rate, in.throttle, in.rateLimit)
	if in.uid.set {
		old.uid = in.uid.ptr()
	}
	if in.eventTypes.set {
		old.eventTypes = in.eventTypes.value
	}
	if in.channels.set {
		old.channels = in.channels.value
	}
	if in.metadata.set {
		old.metadata = in.metadata.value
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
	return endpointOut{
		Description:  set.description,
		RateLimit:    set.rate,
		ThrottleRate: set.rate,
		UID:          set.uid,
		URL:          set.url,
		Version:      set.version,
		Disabled:     set.disabled,
		EventTypes:   set.eventTypes,
		FilterTypes:  set.eventTypes,
		Channels:     set.channels,
		CreatedAt:    timeText(ep.created),
		UpdatedAt:    timeText(set.updated),
		ID:           ep.id,
		Metadata:     notNil(set.metadata),
	}
}

// addEndpoint stores a new endpoint.
func (a *app) addEndpoint(in *endpointIn, now time.Time) (*endpoint, error) {
	settings := in.replaced(endpointSettings{key: in.key.or(secret{}), updated: now})
	if !in.key.has() {
		settings.key = drawKey()
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

// endpointOf finds the endpoint that the path names; the lock must be held.
func endpointOf(a *app, c *call) (*endpoint, error) {
	if ep := a.endpoint(c.params[1]); ep != nil {
		return ep, nil
	}
	return nil, notFound()
}

func (s *Server) createEndpoint(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeEndpoint(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := in.checkEventTypes(a.org); err != nil {
		return answer{}, err
	}
	ep, err := a.addEndpoint(in, c.now)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusCreated, ep.out()), nil
}

func (s *Server) getEndpoint(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, ep.out()), nil
}

func (s *Server) listEndpoints(c *call) (answer, error) {
	p, ascending, err := parseOrderedPaging(c.query, idRule(endpointPrefix), false)
	if err != nil {
		return answer{}, err
	}
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	page, done := simplePage(a.endpoints, endpointKey, everything, p, ascending)
	return listAnswer(page, done, func(ep *endpoint) (endpointOut, string) { return ep.out(), ep.id }), nil
}

func (s *Server) putEndpoint(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeEndpoint(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := in.checkEventTypes(a.org); err != nil {
		return answer{}, err
	}
	status, ep := http.StatusOK, a.endpoint(c.params[1])
	if ep == nil {
		status = http.StatusCreated
		ep, err = a.addEndpoint(in, c.now)
	} else {
		err = ep.change(in.replaced(*ep.settings), c.now)
	}
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(status, ep.out()), nil
}

func (s *Server) patchEndpoint(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeEndpoint(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := in.checkEventTypes(a.org); err != nil {
		return answer{}, err
	}
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	if err := ep.change(in.patched(*ep.settings), c.now); err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, ep.out()), nil
}

func (s *Server) deleteEndpoint(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	gone := *ep.settings
	gone.uid = nil
	gone.deleted = true
	a.endpoints = removeKey(a.endpoints, ep, endpointKey)
	return noContent, ep.change(gone, c.now)
}
