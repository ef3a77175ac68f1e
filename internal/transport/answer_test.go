package transport_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/softwareheritage/webhooks/internal/transport"
)

func TestStandInForTheSDK(t *testing.T) {
	t.Parallel()
	type standIn struct {
		Status string
		Body   string
	}
	ok := standIn{"204 No Content", ""}
	tests := map[string]struct {
		status int
		body   string
		want   standIn
	}{
		"200":            {200, `{"id":"msg_1"}`, ok},
		"201":            {201, `{"id":"msg_1"}`, ok},
		"202, empty":     {202, ``, ok},
		"204":            {204, ``, ok},
		"200, null":      {200, `null`, ok},
		"200, HTML":      {200, `<html>`, ok},
		"299":            {299, `{}`, ok},
		"302":            {302, `<a href="/">`, standIn{"302 Found", ""}},
		"304":            {304, ``, standIn{"304 Not Modified", ""}},
		"404":            {404, `{"code":"not_found"}`, standIn{"404 Not Found", ""}},
		"500":            {500, `{}`, standIn{"500 Internal Server Error", ""}},
		"unknown status": {799, `x`, standIn{"799 ", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serverOf(answers(test.status, test.body, "Location", "http://elsewhere.test/", "Set-Cookie", "a=b"))
			answer, resp, err := call(t.Context(), t, over(srv, impatient), http.MethodPost, serverURL, "{}")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, standIn{resp.Status, resp.Body}); diff != "" {
				t.Errorf("stand-in (-want +got):\n%s", diff)
			}
			if resp.Length != int64(len(resp.Body)) || len(resp.Header) != 0 {
				t.Errorf("got content length %d and headers %v, want %d and none", resp.Length,
					resp.Header, len(resp.Body))
			}
			if answer.Status != test.status || string(answer.Body) != test.body || answer.Header.Get("Location") == "" {
				t.Errorf("got answer %+v, want the server's", answer)
			}
		})
	}
}

func TestResponseWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	const body = "short and stout"
	srv := serverOf(answers(503, "busy"), answers(418, body, "X-Tea", "pot"))
	got, err := roundTrip(t, over(srv, impatient), newRequest(t.Context(), t, http.MethodGet, serverURL, ""))
	if err != nil {
		t.Fatal(err)
	}
	want := reply{418, "418 I'm a teapot", http.Header{"X-Tea": {"pot"}}, body, int64(len(body))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestMissingBodyIsEmpty(t *testing.T) {
	t.Parallel()
	srv := serverOf(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusNotFound}, nil
	})
	answer, _, err := call(t.Context(), t, over(srv, impatient), http.MethodGet, serverURL, "")
	if err != nil || answer.Status != 404 || len(answer.Body) != 0 {
		t.Errorf("got answer %+v and error %v, want an empty 404", answer, err)
	}
}

func TestStatusThatIsNotFinalIsAnError(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 99, 101, 199} {
		answer, _, err := call(t.Context(), t, over(serverOf(answers(status, "x")), impatient),
			http.MethodGet, serverURL, "")
		if want := "server answered with the status " + strconv.Itoa(status) +
			", which is no final one"; err == nil || err.Error() != want {
			t.Errorf("got error %v, want %q", err, want)
		}
		if answer.Status != 0 {
			t.Errorf("got status %d, want 0", answer.Status)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", transport.MaxAnswer)
	tests := map[string]struct {
		status      int
		body        string
		unannounced bool
		tooLong     bool
	}{
		"longest":               {200, longest, false, false},
		"longest, unannounced":  {200, longest, true, false},
		"too long":              {200, longest + "x", false, true},
		"too long, unannounced": {200, longest + "x", true, true},
		"too long error":        {404, longest + "x", false, true},
		"too long 503":          {503, longest + "x", true, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serverOf(func(req *http.Request) (*http.Response, error) {
				resp, err := answers(test.status, test.body)(req)
				if test.unannounced {
					resp.ContentLength = -1
				}
				return resp, err
			})
			answer, _, err := call(t.Context(), t, over(srv, impatient), http.MethodGet, serverURL, "")
			if test.tooLong {
				isTooLarge(t, test.status, answer, err)
				return
			}
			if err != nil || len(answer.Body) != transport.MaxAnswer {
				t.Errorf("got %d bytes and error %v, want %d", len(answer.Body), err, transport.MaxAnswer)
			}
		})
	}
}

func TestNoMoreThanTheLimitIsRead(t *testing.T) {
	t.Parallel()
	body := new(endlessReader)
	endless := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, ContentLength: -1, Body: io.NopCloser(body)}, nil
	}
	answer, _, err := call(t.Context(), t, over(serverOf(endless), impatient), http.MethodGet, serverURL, "")
	isTooLarge(t, http.StatusOK, answer, err)
	if body.read != transport.MaxAnswer+1 {
		t.Errorf("read %d bytes of an endless body, want one more than the limit of %d", body.read, transport.MaxAnswer)
	}

	announced := func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, ContentLength: transport.MaxAnswer + 1,
			Body: io.NopCloser(body),
		}, nil
	}
	body.read = 0
	answer, _, err = call(t.Context(), t, over(serverOf(announced), impatient), http.MethodGet, serverURL, "")
	isTooLarge(t, http.StatusOK, answer, err)
	if body.read != 0 {
		t.Errorf("read %d bytes of a body that is too large by its own account", body.read)
	}
}

type endlessReader struct{ read int }

func (r *endlessReader) Read(p []byte) (int, error) {
	r.read += len(p)
	return len(p), nil
}

// isTooLarge checks that an answer was refused for its length, in one try, and that of a success
// nothing but the error is left.
func isTooLarge(t *testing.T, status int, answer transport.Answer, err error) {
	t.Helper()
	if answer.Status != status || answer.Tries != 1 || answer.Body != nil {
		t.Errorf("got status %d after %d tries and %d bytes, want %d after 1 and none",
			answer.Status, answer.Tries, len(answer.Body), status)
	}
	if !errors.Is(answer.Err, transport.ErrAnswerTooLarge) {
		t.Errorf("got answer error %v, want ErrAnswerTooLarge", answer.Err)
	}
	if isError := errors.Is(err, transport.ErrAnswerTooLarge); isError != (status == http.StatusOK) {
		t.Errorf("got error %v for status %d", err, status)
	}
}

// A bomb is measured as it unpacks: here 140 KiB become 32 MiB.
func TestGzipBombsAreBounded(t *testing.T) {
	t.Parallel()
	srv := newServer(t, compressed(gzipOf(t, make([]byte, 2*transport.MaxAnswer))))
	answer, _, err := call(t.Context(), t, over(nil, impatient), http.MethodGet, srv.URL, "")
	isTooLarge(t, http.StatusOK, answer, err)
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func chunked(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush() // else what follows fails too
		_, _ = io.WriteString(w, body)
	}
}

func gzipOf(t *testing.T, body []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(body)
	_ = w.Close()
	return buf.Bytes()
}

func compressed(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(body)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 32 {
			w.Header().Set("X-"+strconv.Itoa(i), strings.Repeat("x", 64<<10))
		}
	})
	answer, _, err := call(t.Context(), t, over(nil, impatient), http.MethodGet, srv.URL, "")
	if err == nil || answer.Status != 0 {
		t.Errorf("got status %d and error %v for 2 MiB of headers, want an error alone", answer.Status, err)
	}
}

// An announced length is not believed before the bytes arrive.
func TestAnnouncedLengthClaimsNoMemory(t *testing.T) { //nolint:paralleltest // measures what the process allocates
	lies := func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, ContentLength: transport.MaxAnswer,
			Body: io.NopCloser(brokenReader{}),
		}, nil
	}
	rt := over(serverOf(lies), transport.Policy{MaxAttempts: 1, AttemptTimeout: impatient.AttemptTimeout})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if _, _, err := call(t.Context(), t, rt, http.MethodGet, serverURL, ""); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("got error %v", err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > transport.MaxAnswer/2 {
		t.Errorf("10 answers without a body allocated %d bytes", got)
	}
}

func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	body := []byte(`{"data":[],"done":true}`)
	tests := map[string]struct {
		handler  http.HandlerFunc
		wantBody string
		wantErr  error
	}{
		"whole":   {compressed(gzipOf(t, body)), string(body), nil},
		"no gzip": {compressed(body), "", gzip.ErrHeader},
		"cut off": {compressed(gzipOf(t, body)[:20]), "", io.ErrUnexpectedEOF},
		"empty":   {compressed(nil), "", nil}, // net/http takes a length of 0 as the word
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(test.handler)
			defer srv.Close()
			answer, _, err := call(t.Context(), t, over(nil, impatient), http.MethodGet, srv.URL, "")
			if !errors.Is(err, test.wantErr) || (err == nil) != (test.wantErr == nil) {
				t.Errorf("got error %v, want %v", err, test.wantErr)
			}
			if test.wantErr == nil && string(answer.Body) != test.wantBody {
				t.Errorf("got body %q, want %q", answer.Body, test.wantBody)
			}
		})
	}
}
