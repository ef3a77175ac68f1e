package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// RawEndpoint is an endpoint as the server has it, read without the client.
type RawEndpoint struct {
	ID          string            `json:"id"`
	URL         string            `json:"url"`
	UID         string            `json:"uid"`
	Disabled    bool              `json:"disabled"`
	FilterTypes []string          `json:"filterTypes"`
	Channels    []string          `json:"channels"`
	Metadata    map[string]string `json:"metadata"`

	Headers map[string]string `json:"-"`
	Secret  string            `json:"-"`
}

// RawEndpoints are the endpoints of an event type, newest first.
func RawEndpoints(tb testing.TB, mock *svixmock.Server, eventType string) []RawEndpoint {
	tb.Helper()
	path := "/api/v1/app/" + identity.Application(eventType) + "/endpoint"
	var page struct {
		Data []RawEndpoint `json:"data"`
	}
	RawGet(tb, mock, path+"?limit=250", &page)
	for i := range page.Data {
		ep := &page.Data[i]
		var headers struct {
			Headers map[string]string `json:"headers"`
		}
		var secret struct {
			Key string `json:"key"`
		}
		RawGet(tb, mock, path+"/"+ep.ID+"/headers", &headers)
		RawGet(tb, mock, path+"/"+ep.ID+"/secret", &secret)
		ep.Headers, ep.Secret = headers.Headers, secret.Key
	}
	return page.Data
}

// RawEndpointAt is the endpoint of origin.create with a URL.
func RawEndpointAt(tb testing.TB, mock *svixmock.Server, url string) RawEndpoint {
	tb.Helper()
	endpoints := RawEndpoints(tb, mock, webhooks.TypeOriginCreate)
	which := slices.IndexFunc(endpoints, func(ep RawEndpoint) bool { return ep.URL == url })
	if which < 0 {
		tb.Fatalf("there is no endpoint with the URL %s: %+v", url, endpoints)
	}
	return endpoints[which]
}

// RawGet asks the server without the client and returns the status.
func RawGet(tb testing.TB, mock *svixmock.Server, path string, into any) int {
	tb.Helper()
	status, answer := RawRequest(tb, mock, http.MethodGet, path, "")
	if err := json.Unmarshal(answer, into); err != nil {
		tb.Fatalf("GET %s: %d %s: %v", path, status, answer, err)
	}
	return status
}

// RawRequest sends a request without the client.
func RawRequest(tb testing.TB, mock *svixmock.Server, method, path, body string) (status int, answer []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, ServerURL+path, strings.NewReader(body))
	must(tb, err)
	req.Header.Set("Authorization", "Bearer "+mock.Token())
	req.Header.Set("Content-Type", "application/json")
	resp, err := mock.RoundTripper().RoundTrip(req)
	must(tb, err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	must(tb, err)
	return resp.StatusCode, answer
}

// RawPost posts to a path below /api/v1 without the client, and fails the test if that fails.
func RawPost(tb testing.TB, mock *svixmock.Server, path, body string) {
	tb.Helper()
	status, answer := RawRequest(tb, mock, http.MethodPost, "/api/v1"+path, body)
	if status > 299 {
		tb.Fatalf("POST %s: %d %s", path, status, answer)
	}
}
