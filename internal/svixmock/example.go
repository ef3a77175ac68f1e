package svixmock

import (
	"encoding/json"
	"net/http"
)

// pingEventType is an event type that needs no schema for an example.
const (
	pingEventType = "svix.ping"
	pingPayload   = `{"success": true}`
)

// sendExample sends the first example of an event type's schema of version 1 to an endpoint, whose filters apply.
func (s *Server) sendExample(c *call) (answer, error) {
	a, err := s.organizationApplication(c)
	if err != nil {
		return answer{}, err
	}
	var eventType opt[string]
	if err := decodeBody(c, required("eventType", &eventType, parseString)); err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	payload, err := a.org.example(eventType.value)
	if err != nil {
		return answer{}, err
	}
	in := messageIn{eventType: eventType, payload: opt[[]byte]{value: payload, set: true}}
	m := in.message(c.now)
	if err := a.addMessage(m); err != nil {
		return answer{}, err
	}
	c.dispatch(a, m, ep)
	return jsonAnswer(http.StatusOK, m.out(false, c.now)), nil
}

// example is the payload of an example message.
func (o *org) example(eventType string) ([]byte, error) {
	if eventType == pingEventType {
		return []byte(pingPayload), nil
	}
	t := o.eventType(eventType)
	if t == nil {
		return nil, notFound()
	}
	var schema struct {
		Examples []json.RawMessage `json:"examples"`
	}
	// A schema that is no object, or examples that are no array, mean that there is no example.
	if err := json.Unmarshal(t.settings.schemas["1"], &schema); err != nil || len(schema.Examples) == 0 {
		return nil, failWith(http.StatusBadRequest, "invalid_scheme", "Unable to generate example message from event-type schema")
	}
	return schema.Examples[0], nil
}
