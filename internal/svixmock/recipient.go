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
	recipients []recipient
	filled     time.Time
	valid      bool
}

func (rc *recipientCache) invalidate() { rc.valid = false }

// cachedRecipients are the application's endpoints; those whose change did not invalidate the cache may be old.
func (a *app) cachedRecipients(now time.Time) []recipient {
	rc := &a.recipients
	if rc.valid && now.Before(rc.filled.Add(recipientTTL)) {
		return rc.recipients
	}
	rc.recipients = make([]recipient, 0, len(a.endpoints))
	for _, ep := range a.endpoints {
		rc.recipients = append(rc.recipients, recipient{ep, ep.settings})
	}
	rc.filled = now
	rc.valid = true
	return rc.recipients
}

// accepts reports whether a message goes to the recipient. Filters do not apply to manual attempts.
func (r recipient) accepts(m *message, manual bool) bool {
	set := r.settings
	if set.disabled || set.deleted {
		return false
	}
	return manual ||
		(set.eventTypes == nil || contains(set.eventTypes, m.eventType)) &&
			(set.channels == nil || overlap(set.channels, m.channels))
}

// recipientsOf are the endpoints to which a task goes now; none where the application or the content is gone.
func (t task) recipientsOf(now time.Time) []recipient {
	if t.app.deleted || t.message.body(now) == nil {
		return nil
	}
	var found []recipient
	for _, r := range t.app.cachedRecipients(now) {
		if (t.endpoint == nil || t.endpoint == r.endpoint) && r.accepts(t.message, t.manual) {
			found = append(found, r)
		}
	}
	return found
}
