package transport

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// noPayload is what the SDK writes of an empty rawPayload. In a string it would be escaped.
var noPayload = []byte(`"rawPayload":""`)

var errNoPlace = errors.New("the SDK's request has no place for the payload")

// withPayload returns a request with a payload in its body in place of the empty one. The SDK would
// write six bytes for each <, > and &, so that a payload within the limits would not fit the
// request, and would look at every byte of it three times.
func withPayload(req *http.Request, payload []byte) (*http.Request, error) {
	if req.GetBody == nil {
		return nil, errBodyUsedUp
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	before, after, found := bytes.Cut(text, noPayload)
	if !found {
		return nil, errNoPlace
	}
	escapes := bytes.Count(payload, []byte{'"'}) + bytes.Count(payload, []byte{'\\'})
	whole := make([]byte, 0, len(text)+len(payload)+escapes)
	whole = append(append(whole, before...), noPayload[:len(noPayload)-len(`""`)]...)
	whole = append(canonical.AppendQuoted(whole, payload), after...)
	req = req.WithContext(req.Context())
	req.ContentLength = int64(len(whole))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole)), nil }
	req.Body, err = req.GetBody()
	return req, err
}
