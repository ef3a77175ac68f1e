package svixmock

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
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
	name      serde.Opt[string]
	uid       serde.Opt[string]
	rateLimit serde.Opt[int64]
	throttle  serde.Opt[int64]
	metadata  serde.Opt[map[string]string]
}

// describe describes the body of POST and PUT; that of PATCH requires nothing.
func (in *appIn) describe(patch bool) serde.Struct {
	return serde.Struct{Name: "ApplicationIn", Lenient: patch, Members: []serde.Member{
		serde.RequiredIf(!patch, "name", &in.name, serde.String),
		serde.Nullable("rateLimit", &in.rateLimit, u16),
		serde.Nullable("throttleRate", &in.throttle, u16),
		serde.Nullable("uid", &in.uid, serde.String),
		serde.Nullable("metadata", &in.metadata, parseMetadata),
	}}
}

// describeApp describes the application that a request for something else may bring along.
func describeApp(in *appIn) serde.Struct { return in.describe(false) }

var u16 = serde.Int("u16", 0, 65535)

// metadataLimit is the largest metadata in bytes of JSON.
const metadataLimit = 4096

var parseMetadata = serde.Checked(serde.Map(serde.String), func(metadata map[string]string) error {
	if len(marshal(metadata)) > metadataLimit {
		return fmt.Errorf("metadata must be less than or equal to %d bytes", metadataLimit)
	}
	return nil
})

// checkMetadata refuses what the server's database does.
func checkMetadata(metadata map[string]string) error {
	for name, value := range metadata {
		if strings.ContainsRune(name+value, 0) {
			return errDatabase
		}
	}
	return nil
}

// validate adds what is wrong with the values to p.
func (in *appIn) validate(p *problems, patch bool) {
	if in.name.Set && in.name.Value == "" {
		p.add("Application names must be at least one character", "name")
	}
	p.text(in.name, "name")
	const limits = "Application rate limits must be at least 1 if set"
	throttle := "Application throttle rate must be at least 1 if set"
	if patch {
		throttle = limits
	}
	p.atLeastOne(in.rateLimit, "rate_limit", limits)
	p.atLeastOne(in.throttle, "throttle_rate", throttle)
	p.uid(in.uid, appPrefix)
}

// validateNestedApp adds what is wrong with a nested application to p.
func validateNestedApp(in serde.Opt[*appIn], p *problems) {
	if !in.Has() {
		return
	}
	nested := problems{root: "application"}
	in.Value.validate(&nested, false)
	for _, item := range nested.items {
		p.add(item.Msg, item.Loc...)
	}
}

// settings are those of a new or replaced application.
func (in *appIn) settings() appSettings {
	return appSettings{
		name:     in.name.Value,
		uid:      in.uid.Ptr(),
		rate:     firstOf(in.throttle, in.rateLimit),
		metadata: in.metadata.Value,
	}
}

// patched are old settings with the given members changed.
func (in *appIn) patched(old appSettings) appSettings {
	if in.name.Set {
		old.name = in.name.Value
	}
	if in.uid.Set {
		old.uid = in.uid.Ptr()
	}
	if in.metadata.Set {
		old.metadata = in.metadata.Value
	}
	old.rate = patchedRate(old.rate, in.throttle, in.rateLimit)
	return old
}

// firstOf is the first value that there is.
func firstOf(a, b serde.Opt[int64]) *int64 {
	if a.Has() {
		return a.Ptr()
	}
	return b.Ptr()
}

// patchedRate is a throttle rate after a PATCH; the current spelling wins over the old one.
func patchedRate(old *int64, throttle, rateLimit serde.Opt[int64]) *int64 {
	switch {
	case throttle.Set:
		return throttle.Ptr()
	case rateLimit.Set:
		return rateLimit.Ptr()
	}
	return old
}

func decodeApp(c *call) (*appIn, error) {
	in := new(appIn)
	patch := c.Method == http.MethodPatch
	if err := c.decode(in.describe(patch)); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	in.validate(&p, patch)
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
	if err := checkMetadata(settings.metadata); err != nil {
		return nil, err
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
	if err := checkMetadata(settings.metadata); err != nil {
		return err
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

// ifExists reads the parameter that turns a creation into get-or-create.
func ifExists(q serde.Query) (bool, error) { return serde.BoolParam(q, "get_if_exists", false) }

func createApp(c *call, o *org, ifExists bool, in *appIn) (answer, error) {
	if existing := o.appUIDs[in.uid.Value]; existing != nil {
		if !ifExists {
			return answer{}, failWith(
				http.StatusConflict,
				"",
				"An application with that id or uid already exists",
			)
		}
		return jsonAnswer(http.StatusOK, existing.out()), nil
	}
	a, err := o.addApp(in.settings(), c.now)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusCreated, a.out()), nil
}

func getApp(_ *call, a *app) (answer, error) { return jsonAnswer(http.StatusOK, a.out()), nil }

func appPaging(q serde.Query) (paging, error) { return parseOrderedPaging(q, idRule(appPrefix), true) }

func listApps(_ *call, o *org, p paging) (answer, error) {
	page, done := simplePage(o.apps, appKey, everything, p)
	return listAnswer(page, done, func(a *app) (appOut, string) { return a.out(), a.id }), nil
}

func putApp(c *call, o *org, in *appIn) (answer, error) {
	ref, err := c.param(0)
	if err != nil {
		return answer{}, err
	}
	status, a := http.StatusOK, o.app(ref)
	if a == nil {
		status = http.StatusCreated
		a, err = o.addApp(in.settings(), c.now)
	} else {
		err = a.change(in.settings(), c.now)
	}
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(status, a.out()), nil
}

func patchApp(c *call, a *app, in *appIn) (answer, error) {
	if err := a.change(in.patched(a.settings), c.now); err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, a.out()), nil
}

func deleteApp(_ *call, a *app) (answer, error) {
	if !a.deleted {
		a.deleted = true
		a.releaseUID()
		a.org.apps = removeKey(a.org.apps, a, appKey)
	}
	return noContent, nil
}
