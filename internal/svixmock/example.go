package svixmock

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// pingEventType is an event type that needs no schema for an example.
const (
	pingEventType = "svix.ping"
	pingPayload   = `{"success": true}`
)

func decodeExample(c *call) (eventType string, err error) {
	var in serde.Opt[string]
	err = c.decode(serde.Struct{Name: "EventExampleIn", Members: []serde.Member{
		serde.Required("eventType", &in, serde.String),
	}})
	return in.Value, err
}

// sendExample sends the first example of an event type's schema of version 1 to an endpoint, whose
// filters apply.
func sendExample(c *call, ep *endpoint, eventType string) (answer, error) {
	payload, err := c.org.example(eventType)
	if err != nil {
		return answer{}, err
	}
	in := messageIn{eventType: serde.Some(eventType), payload: serde.Some(payload)}
	m := in.message(c.now)
	if err := c.app.addMessage(m); err != nil {
		return answer{}, err
	}
	c.dispatch(c.app, m, ep)
	return jsonAnswer(http.StatusOK, m.out(false, c.now)), nil
}

// example is the payload of an example message.
func (o *org) example(eventType string) ([]byte, error) {
	if eventType == pingEventType {
		return []byte(pingPayload), nil
	}
	if strings.ContainsRune(eventType, 0) {
		return nil, errDatabase
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
		return nil, failWith(
			http.StatusBadRequest,
			"invalid_scheme",
			"Unable to generate example message from event-type schema",
		)
	}
	return schema.Examples[0], nil
}
