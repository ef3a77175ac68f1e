package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// MaxAnswer is the longest answer that is read, in bytes after decompression.
const MaxAnswer = 16 << 20

// ErrAnswerTooLarge says that an answer of the server is longer than [MaxAnswer].
var ErrAnswerTooLarge = errors.New("answer of the server is larger than " + strconv.Itoa(MaxAnswer) + " bytes")

// An Answer is what the server said to one request, as its last try saw it.
type Answer struct {
	// Finish is set by who asks: a try under way when the context of the request
	// ends is finished in the background. The server drops the handler of a
	// request whose client goes away, and may then have done half of it.
	Finish bool
	// Payload is set by who asks: the text that takes the place of the empty
	// rawPayload in the body of the request.
	Payload []byte
	// Status is the HTTP status; 0: the server gave no answer.
	Status int
	Header http.Header
	// Body is the whole body, decompressed; where Err is not nil, only what had
	// arrived until then, and nothing of a body that is too large.
	Body []byte
	// Err says why there is no answer or why Body is not whole: the transport's
	// error, a read error such as [io.ErrUnexpectedEOF], or [ErrAnswerTooLarge].
	Err error
	// Tries is the number of times that the request was sent.
	Tries int
	// Unclear: the server may have acted on one of the tries, the last
	// included, without saying so. Only where the last answer is not a
	// success does this leave anything open.
	Unclear bool
}

type answerKey struct{}

// WithAnswer returns a context whose request fills answer. It serves one
// request; answer must be zero but for Finish and Payload, and may be read when the request
// has returned.
func WithAnswer(ctx context.Context, answer *Answer) context.Context {
	return context.WithValue(ctx, answerKey{}, answer)
}

// read takes the status, the headers and the body of resp and closes it. Its
// connection is used again if the body was read to its end.
func read(resp *http.Response) Answer {
	if resp.Body == nil { // a RoundTripper that is not net/http's
		resp.Body = http.NoBody
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK {
		// Out of range, or a 101, whose body is the connection and never ends.
		return Answer{Err: fmt.Errorf("server answered with the status %d, which is no final one", resp.StatusCode)}
	}
	body, err := readBody(resp)
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, Err: err}
}

// trustedLength bounds the memory that a Content-Length alone can claim.
const trustedLength = 64 << 10

func readBody(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > MaxAnswer {
		return nil, ErrAnswerTooLarge
	}
	body, err := readAll(io.LimitReader(resp.Body, MaxAnswer+1), min(resp.ContentLength, trustedLength))
	switch {
	case err != nil:
		return body, fmt.Errorf("answer of the server broke off: %w", err)
	case len(body) > MaxAnswer:
		return nil, ErrAnswerTooLarge
	case int64(len(body)) < resp.ContentLength:
		return body, fmt.Errorf("answer of the server broke off: %w", io.ErrUnexpectedEOF)
	}
	return body, nil
}

// readAll is [io.ReadAll] for a text whose length is probably known: it takes no
// more memory than that.
func readAll(r io.Reader, length int64) ([]byte, error) {
	if length < 0 {
		length = bytes.MinRead
	}
	body := make([]byte, 0, length+1) // a byte to find the end in
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
		if len(body) == cap(body) {
			body = slices.Grow(body, len(body))
		}
	}
}

func (a *Answer) isSuccess() bool {
	return a.Status/100 == 2
}

// mayImprove reports whether another try may bring another answer.
func (a *Answer) mayImprove() bool {
	if a.Err != nil {
		return !errors.Is(a.Err, ErrAnswerTooLarge)
	}
	switch a.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// leavesOpen reports whether the server may have acted without saying so.
func (a *Answer) leavesOpen() bool {
	return a.Err != nil || a.Status >= 500 || a.Status == http.StatusRequestTimeout
}

// failure returns the error for which there is nothing to give the SDK. An
// answer that is no success needs no body to say so.
func (a *Answer) failure() error {
	if a.Status == 0 || a.isSuccess() {
		return a.Err
	}
	return nil
}

// standIn is the response for the SDK in place of the server's. Of a 204 the SDK
// reads nothing. Without headers it sets no cookie and names no place to redirect to.
func (a *Answer) standIn(req *http.Request) *http.Response {
	status := a.Status
	if a.isSuccess() {
		status = http.StatusNoContent
	}
	return newResponse(req, status, http.Header{}, http.NoBody, 0)
}

// response is the server's response.
func (a *Answer) response(req *http.Request) *http.Response {
	return newResponse(req, a.Status, a.Header, io.NopCloser(bytes.NewReader(a.Body)), len(a.Body))
}

func newResponse(req *http.Request, status int, header http.Header, body io.ReadCloser, length int) *http.Response {
	return &http.Response{
		Status:     strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode: status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        header,
		Body:          body,
		ContentLength: int64(length),
		Request:       req,
	}
}
