package svixmock

import "github.com/softwareheritage/webhooks/internal/svixmock/serde"

// filter are the parameters of the lists of messages and of attempts.
type filter struct {
	timePaging
	channel     serde.Opt[string]
	endpoint    serde.Opt[string] // id or uid
	status      serde.Opt[int]
	class       serde.Opt[int] // of status codes, by its first code
	withContent bool
	eventTypes  []string // nil: all

	query serde.Query
}

// filters are the parameters that a list has besides paging, channel, before, after and event
// types.
type filters int

const (
	filtersEndpoint filters = 1 << iota
	filtersStatus
	filtersClass
	filtersContent
)

// parseFilter reads the parameters but for the event types, in the server's order: paging and what
// is wrong with it first. The id of the listed kind has prefix.
func parseFilter(q serde.Query, prefix string, has filters) (*filter, error) {
	f := &filter{query: q, withContent: true}
	var err error
	if f.paging, err = parsePaging(q, idRule(prefix)); err != nil {
		return nil, err
	}
	if has&filtersStatus != 0 {
		if f.status, err = serde.Param(q, "status", serde.OneOf("MessageStatus", 0, 1, 2, 3)); err != nil {
			return nil, err
		}
	}
	if has&filtersClass != 0 {
		classes := serde.OneOf("StatusCodeClass", 0, 100, 200, 300, 400, 500)
		if f.class, err = serde.Param(q, "status_code_class", classes); err != nil {
			return nil, err
		}
	}
	if f.channel, err = serde.Param(q, "channel", serde.Text); err != nil {
		return nil, err
	}
	if has&filtersEndpoint != 0 {
		if f.endpoint, err = serde.Param(q, "endpoint_id", serde.Text); err != nil {
			return nil, err
		}
	}
	if err := f.parseTimes(q); err != nil {
		return nil, err
	}
	if has&filtersContent != 0 {
		if f.withContent, err = serde.BoolParam(q, "with_content", true); err != nil {
			return nil, err
		}
	}
	return f, f.validate()
}

func (f *filter) validate() error {
	p := problems{root: "query"}
	if f.channel.Set {
		p.addAll(limited(f.channel.Value), "channel")
	}
	if f.endpoint.Set {
		p.addAll(limited(f.endpoint.Value), "endpoint_id")
	}
	return p.err()
}

// parseEventTypes reads the list of event types, which most lists do with the other parameters.
func (f *filter) parseEventTypes() error {
	f.eventTypes = f.query.List("event_types")
	p := problems{root: "query"}
	p.addAll(firstLimited(f.eventTypes))
	return p.err()
}

func (f *filter) keepsMessage(m *message) bool {
	return (!f.channel.Set || contains(m.channels, f.channel.Value)) &&
		(f.eventTypes == nil || contains(f.eventTypes, m.eventType))
}

func (f *filter) keepsAttempt(t *attempt) bool {
	return (!f.status.Set || f.status.Value == t.status()) &&
		(!f.class.Set || f.class.Value == t.code/100*100) &&
		f.keepsMessage(t.message)
}
