package svixmock

// filter are the parameters of the lists of messages and of attempts.
type filter struct {
	timePaging
	channel     opt[string]
	endpoint    opt[string] // id or uid; attempts by message only
	status      opt[int]
	class       opt[int] // of status codes, by its first code
	withContent bool
	eventTypes  []string // nil: all
}

// parseFilter reads the parameters in the server's order: paging and what is wrong with it first. The id of the listed
// kind has prefix; byMessage lists also take an endpoint.
func parseFilter(q query, prefix string, byMessage bool) (*filter, error) {
	f := new(filter)
	var err error
	if f.paging, err = parsePaging(q, idRule(prefix)); err != nil {
		return nil, err
	}
	if prefix == attemptPrefix {
		if err := f.parseStatus(q); err != nil {
			return nil, err
		}
	}
	if f.channel, err = parseParam(q, "channel", textValue); err != nil {
		return nil, err
	}
	if byMessage {
		if f.endpoint, err = parseParam(q, "endpoint_id", textValue); err != nil {
			return nil, err
		}
	}
	if err := f.parseTimes(q); err != nil {
		return nil, err
	}
	if f.withContent, err = boolParam(q, "with_content", true); err != nil {
		return nil, err
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	f.eventTypes, err = eventTypesParam(q)
	return f, err
}

func (f *filter) parseStatus(q query) (err error) {
	if f.status, err = parseParam(q, "status", oneOf("MessageStatus", 0, 1, 2, 3)); err != nil {
		return err
	}
	f.class, err = parseParam(q, "status_code_class", oneOf("StatusCodeClass", 0, 100, 200, 300, 400, 500))
	return err
}

func (f *filter) validate() error {
	p := problems{root: "query"}
	if f.channel.set {
		p.addAll(limited(f.channel.value), "channel")
	}
	if f.endpoint.set {
		p.addAll(limited(f.endpoint.value), "endpoint_id")
	}
	return p.err()
}

func (f *filter) keepsMessage(m *message) bool {
	return (!f.channel.set || contains(m.channels, f.channel.value)) &&
		(f.eventTypes == nil || contains(f.eventTypes, m.eventType))
}

func (f *filter) keepsAttempt(t *attempt) bool {
	return (!f.status.set || f.status.value == t.status()) &&
		(!f.class.set || f.class.value == t.code/100*100) &&
		f.keepsMessage(t.message)
}
