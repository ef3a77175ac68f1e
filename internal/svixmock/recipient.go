package svixmock

import "time"

// recipientTTL is how long the endpoints of an application are cached for deliveries.
const recipientTTL = 30 * time.Second

// recipient is an endpoint as deliveries see it: with the settings that were cached.
type recipient struct {
	*endpoint
	settings *endpointSettings
}

// recipientCache is guarded by Server.mu.
type recipientCache struct {
	all    []recipient
	byWish map[wish][]recipient
	filled time.Time
	valid  bool
}

// wish is one channel and one event type that an endpoint listens to; empty: it listens to all.
type wish struct{ channel, eventType string }

func (rc *recipientCache) invalidate() { rc.valid = false }

// cachedRecipients are the application's endpoints; those whose change did not invalidate the cache
// may be old.
func (a *app) cachedRecipients(now time.Time) *recipientCache {
	rc := &a.recipients
	if !rc.valid || !now.Before(rc.filled.Add(recipientTTL)) {
		*rc = recipientCache{byWish: map[wish][]recipient{}, filled: now, valid: true}
		for _, ep := range a.endpoints {
			rc.add(recipient{ep, ep.settings})
		}
	}
	return rc
}

func (rc *recipientCache) add(r recipient) {
	rc.all = append(rc.all, r)
	for _, channel := range orAll(r.settings.channels) {
		for _, eventType := range orAll(r.settings.eventTypes) {
			w := wish{channel, eventType}
			rc.byWish[w] = append(rc.byWish[w], r)
		}
	}
}

// orAll is a set of names, or that of the empty name if there is none.
func orAll(names []string) []string {
	if names == nil {
		return []string{""}
	}
	return names
}

// candidates are the recipients whose wishes a message fulfils. One that has several of them is
// there several times.
func (rc *recipientCache) candidates(m *message) []recipient {
	var found []recipient
	for _, channel := range append([]string{""}, m.channels...) {
		found = append(found, rc.byWish[wish{channel, ""}]...)
		found = append(found, rc.byWish[wish{channel, m.eventType}]...)
	}
	return found
}

// recipientsOf are the endpoints to which a task goes now; none if the application or the content
// is gone. Filters do not apply to manual attempts.
func (t task) recipientsOf(now time.Time) []recipient {
	if t.app.deleted || t.message.body(now) == nil {
		return nil
	}
	rc := t.app.cachedRecipients(now)
	candidates := rc.all
	if !t.manual {
		candidates = rc.candidates(t.message)
	}
	var found []recipient
	seen := map[*endpoint]bool{}
	for _, r := range candidates {
		wanted := t.endpoint == nil || t.endpoint == r.endpoint
		if wanted && !r.settings.disabled && !r.settings.deleted && !seen[r.endpoint] {
			seen[r.endpoint] = true
			found = append(found, r)
		}
	}
	return found
}
