package transport_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/transport"
)

// TestPayloadTakesItsPlaceInTheBody: on each try the text is there as a JSON string, with no escape
// that JSON does not demand.
func TestPayloadTakesItsPlaceInTheBody(t *testing.T) {
	t.Parallel()
	const payload = `{"a":"<é>&\u2028","b":"\"\\"}`
	server := serverOf(answers(http.StatusServiceUnavailable, ""))
	answer := transport.Answer{Payload: []byte(payload)}
	const body = `{"channels":["\"rawPayload\":\"\""],"x":{"rawPayload":""},"y":1}`
	request := newRequest(transport.WithAnswer(t.Context(), &answer), t, http.MethodPost, "http://svix.test/", body)
	if _, err := roundTrip(t, over(server, impatient), request); err != nil {
		t.Fatal(err)
	}
	if server.tries() != impatient.MaxAttempts || server.seen[0].Body != server.seen[1].Body {
		t.Fatalf("got the requests %v, want the same body in each", server.seen)
	}
	var got struct {
		Channels []string `json:"channels"`
		X        struct {
			RawPayload string `json:"rawPayload"`
		} `json:"x"`
		Y int `json:"y"`
	}
	if err := json.Unmarshal([]byte(server.seen[0].Body), &got); err != nil {
		t.Fatal(err)
	}
	if got.X.RawPayload != payload || got.Channels[0] != `"rawPayload":""` || got.Y != 1 {
		t.Errorf("got %+v", got)
	}
	if !strings.Contains(server.seen[0].Body, "<é>&") {
		t.Errorf("escaped for HTML: %s", server.seen[0].Body)
	}
}

// TestPayloadWithoutItsPlace is refused: it would not be sent.
func TestPayloadWithoutItsPlace(t *testing.T) {
	t.Parallel()
	server := serverOf(answers(http.StatusOK, "{}"))
	answer := transport.Answer{Payload: []byte(`{}`)}
	ctx := transport.WithAnswer(t.Context(), &answer)
	request := newRequest(ctx, t, http.MethodPost, "http://svix.test/", `{"rawPayload":"x"}`)
	if _, err := roundTrip(t, over(server, impatient), request); err == nil || server.tries() != 0 {
		t.Errorf("got the error %v after %d tries, want one after none", err, server.tries())
	}
}
