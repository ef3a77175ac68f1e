package harness_test

import (
	"net/http"
	"testing"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestMockInAProcessOfItsOwn answers like one in this process.
func TestMockInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	serverURL, token := harness.StartProcess(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := harness.NewClient(t, transport, token, webhooks.WithServerURL(serverURL))
	harness.CreateEventTypes(t, client)
	if message, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil || !message.IsZero() {
		t.Errorf("got %v, %v, want no message, since nobody listens", message, err)
	}
}
