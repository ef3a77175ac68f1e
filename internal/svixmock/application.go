package svixmock

import (
	"net/http"
	"time"
)

// appSettings are what a request can change. A value never changes once stored.
type appSettings struct {
	name     string
	uid      *string
	rate     *int64
	metadata map[string]string
}

// appIn is an application in a request.
type appIn struct {
	name      opt[string]
	uid       opt[string]
	rateLimit opt[int64]
	throttle  opt[int64]
	metadata  opt[map[string]string]
}

// members describes the body of POST and PUT; that of PATCH requires nothing.
func (in *appIn) members(patch bool) []member {
	name := required("name", &in.name, parseString)
	metadata := nullable("metadata", &in.metadata, parseMetadata)
	name.required = !patch
	return []member{
		name,
		nullable("uid", &in.uid, parseString),
		nullable("rateLimit", &in.rateLimit, parseInt("u16", 0, 65535)),
		nullable("throttleRate", &in.throttle, parseInt("u16", 0, 65535)),
		metadata,
	}
}

// validate adds what is wrong with the values to p.
func (in *appIn) validate(p *problems) {
	if in.name.set && in.name.value == "" {
		p.add("Application names must be at least one character", "name")
	}
	p.text(in.name, "name")
	p.atLeastOne(in.rateLimit, "rate_limit", "Application rate limits must be at least 1 if set")
	p.atLeastOne(in.throttle, "throttle_rate", "Application throttle rate must be at least 1 if set")
	p.uid(in.uid, appPrefix)
}

// parseNestedApp reads the application that a request for something else may bring along.
func parseNestedApp(d *decoder) (*appIn, error) {
	in := new(appIn)
	return in, d.structure(in.members(false))
}

// validateNestedApp adds what is wrong with such an application to p.
func validateNestedApp(in opt[*appIn], p *problems) {
	if !in.has() {
		return
	}
	nested := problems{root: "application"}
	in.value.validate(&nested)
	for _, item := range nested.items {
		p.add(item.Msg, item.Loc...)
	}
}

// settings are those of a new or replaced application.
func (in *appIn) settings() appSettings {
	return appSettings{
		name:     in.name.value,
		uid:      in.uid.ptr(),
		rate:     firstOf(in.throttle, in.rateLimit),
		metadata: in.metadata.value,
	}
}

// patched are old settings with the given members changed.
func (in *appIn) patched(old appSettings) appSettings {
	if in.name.set {
		old.name = in.name.value
	}
	if in.uid.set {
		old.uid = in.uid.ptr()
	}
	if in.metadata.set {
		old.metadata = in.metadata.value
	}
	old.rate = patchedRate(old.rate, in.throttle, in.rateLimit)
	return old
}

// firstOf is the first value that there is.
func firstOf(a, b opt[int64]) *int64 {
	if a.has() {
		return a.ptr()
	}
	return b.ptr()
}

// patchedRate is a throttle rate after a PATCH; the current spelling wins over the old one.
func patchedRate(old *int64, throttle, rateLimit opt[int64]) *int64 {
	switch {
	case throttle.set:
		return throttle.ptr()
	case rateLimit.set:
		return rateLimit.ptr()
	}
	return old
}

func decodeApp(c *call, patch bool) (*appIn, error) {
	in := new(appIn)
	if err := decodeBody(c, in.members(patch)...); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	in.validate(&p)
	return in, p.err()
}

// appOut is an application in an answer.
type appOut struct {
	UID          *string           `json:"uid,omitempty"`
	Name         string            `json:"name"`
	RateLimit    *int64            `json:"rateLimit,omitempty"`
	ThrottleRate *int64            `json:"throttleRate"`
	ID           string            `json:"id"`
	CreatedAt    string            `json:"createdAt"`
	UpdatedAt    string            `json:"updatedAt"`
	Metadata     map[string]string `json:"metadata"`
}

func (a *app) out() appOut {
	return appOut{
		UID:          a.settings.uid,
		Name:         a.settings.name,
		RateLimit:    a.settings.rate,
		ThrottleRate: a.settings.rate,
		ID:           a.id,
		CreatedAt:    timeText(a.created),
		UpdatedAt:    timeText(a.updated),
		Metadata:     notNil(a.settings.metadata),
	}
}

func notNil[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}

// addApp stores a new application.
func (o *org) addApp(settings appSettings, now time.Time) (*app, error) {
	if settings.uid != nil && o.appUIDs[*settings.uid] != nil {
		return nil, fail(http.StatusConflict)
	}
	a := &app{
		id:           newID(now).text(appPrefix),
		org:          o,
		settings:     settings,
		created:      now,
		updated:      now,
		endpointUIDs: map[string]*endpoint{},
		eventIDs:     map[string]*message{},
	}
	o.apps = insertKey(o.apps, a, appKey)
	if settings.uid != nil {
		o.appUIDs[*settings.uid] = a
	}
	return a, nil
}

// change replaces an application's settings.
func (a *app) change(settings appSettings, now time.Time) error {
	if uid := settings.uid; uid != nil {
		if other := a.org.appUIDs[*uid]; other != nil && other != a {
			return fail(http.StatusConflict)
		}
	}
	a.releaseUID()
	if settings.uid != nil {
		a.org.appUIDs[*settings.uid] = a
	}
	a.settings = settings
	a.updated = now
	a.recipients.invalidate()
	return nil
}

func (a *app) releaseUID() {
	if a.settings.uid != nil {
		delete(a.org.appUIDs, *a.settings.uid)
	}
}

func (s *Server) createApp(c *call) (answer, error) {
	ifExists, err := boolParam(c.query, "get_if_exists", false)
	if err != nil {
		return answer{}, err
	}
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeApp(c, false)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if existing := o.appUIDs[in.uid.value]; existing != nil {
		if !ifExists {
			return answer{}, failWith(http.StatusConflict, "", "An application with that id or uid already exists")
		}
		return jsonAnswer(http.StatusOK, existing.out()), nil
	}
	a, err := o.addApp(in.settings(), c.now)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusCreated, a.out()), nil
}

func (s *Server) getApp(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return jsonAnswer(http.StatusOK, a.out()), nil
}

func (s *Server) listApps(c *call) (answer, error) {
	p, ascending, err := parseOrderedPaging(c.query, idRule(appPrefix), true)
	if err != nil {
		return answer{}, err
	}
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	page, done := simplePage(o.apps, appKey, everything, p, ascending)
	return listAnswer(page, done, func(a *app) (appOut, string) { return a.out(), a.id }), nil
}

func (s *Server) putApp(c *call) (answer, error) {
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeApp(c, false)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := o.app(c.params[0]); a != nil {
		if err := a.change(in.settings(), c.now); err != nil {
			return answer{}, err
		}
		return jsonAnswer(http.StatusOK, a.out()), nil
	}
	a, err := o.addApp(in.settings(), c.now)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusCreated, a.out()), nil
}

func (s *Server) patchApp(c *call) (answer, error) {
	a, err := s.organizationApplication(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeApp(c, true)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := a.change(in.patched(a.settings), c.now); err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, a.out()), nil
}

func (s *Server) deleteApp(c *call) (answer, error) {
	a, err := s.organizationApplication(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.deleted {
		a.deleted = true
		a.releaseUID()
		a.org.apps = removeKey(a.org.apps, a, appKey)
	}
	return noContent, nil
}
