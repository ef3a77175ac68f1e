package svixmock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// answer is a complete HTTP answer. Without a body it has no content type.
type answer struct {
	status int
	header http.Header // beside the content type; may be nil
	body   []byte
	bare   bool // not routed: without the headers that every routed answer has
}

// jsonAnswer answers with v as JSON.
func jsonAnswer(status int, v any) answer {
	return answer{status: status, body: marshal(v)}
}

var (
	noContent     = answer{status: http.StatusNoContent}
	internalError = answer{status: http.StatusInternalServerError, body: []byte("{}")}
)

// marshal encodes a value of this package's own types, which cannot fail.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("svixmock: encoding %T: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// failure is an answer that reports an error.
type failure struct{ answer }

func (f *failure) Error() string {
	return fmt.Sprintf("%d: %s", f.status, f.body)
}

// standardTexts are the code and detail of errors that say nothing more specific.
var standardTexts = map[int][2]string{
	http.StatusBadRequest:            {"generic_error", "Generic error"},
	http.StatusUnauthorized:          {"authentication_failed", "Incorrect authentication credentials."},
	http.StatusForbidden:             {"insufficient access", "Insufficient access for the given operation."},
	http.StatusNotFound:              {"not_found", "Entity not found"},
	http.StatusConflict:              {"conflict", "A conflict has occurred"},
	http.StatusRequestEntityTooLarge: {"payload_too_large", "Request payload is too large."},
	http.StatusNotImplemented:        {"not_implemented", "This API endpoint is not yet implemented."},
}

// fail is the standard error of a status.
func fail(status int) error {
	return failWith(status, "", "")
}

// failWith is an error with its own texts; empty ones are the standard.
func failWith(status int, code, detail string) error {
	texts := standardTexts[status]
	if code != "" {
		texts[0] = code
	}
	if detail != "" {
		texts[1] = detail
	}
	return &failure{jsonAnswer(status, struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{texts[0], texts[1]})}
}

// notFound is what a handler says of an object that is not there.
func notFound() error { return fail(http.StatusNotFound) }

// unprocessable is the 422 answer, which has no code.
func unprocessable(items ...problem) error {
	return &failure{jsonAnswer(http.StatusUnprocessableEntity, struct {
		Detail []problem `json:"detail"`
	}{items})}
}
