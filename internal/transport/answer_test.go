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
	ok := standIn{"200 OK", "{}"}
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
				t.Errorf("got content length %d and headers %v, want %d and none", resp.Length, resp.Header, len(resp.Body))
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
		answer, _, err := call(t.Context(), t, over(serverOf(answers(status, "x")), impatient), http.MethodGet, serverURL, "")
		if want := "server answered with the status " + strconv.Itoa(status) + ", which is no final one"; err == nil || err.Error() != want {
			t.Errorf("got error %v, want %q", err, want)
		}
		if answer.Status != 0 {
			t.Errorf("got status %d, want 0", answer.Status)
		}
	}
}

// TestS8AnswersAreBounded counts decompressed bytes, announced or not.
func TestS8AnswersAreBounded(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", transport.MaxAnswer)
	withinLimit := gzipOf(t, []byte(longest))
	bomb := gzipOf(t, make([]byte, 2*transport.MaxAnswer))
	tests := map[string]struct {
		status  int
		handler http.HandlerFunc
		tooLong bool
	}{
		"longest":               {200, answering(200, longest), false},
		"longest, chunked":      {200, chunked(200, longest), false},
		"too long":              {200, answering(200, longest+"x"), true},
		"too long, chunked":     {200, chunked(200, longest+"x"), true},
		"too long error":        {404, answering(404, longest+"x"), true},
		"too long 503":          {503, chunked(503, longest+"x"), true},
		"gzip bomb":             {200, compressed(200, bomb), true},
		"gzip bomb of a 4xx":    {400, compressed(400, bomb), true},
		"gzip within the limit": {200, compressed(200, withinLimit), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				test.handler(w, r)
			}))
			defer srv.Close()
			answer, _, err := call(t.Context(), t, over(nil, impatient), http.MethodGet, srv.URL, "")
			if answer.Status != test.status || requests != 1 {
				t.Errorf("got status %d after %d requests, want %d after 1", answer.Status, requests, test.status)
			}
			if !test.tooLong {
				if err != nil || len(answer.Body) != transport.MaxAnswer {
					t.Errorf("got %d bytes and error %v, want %d", len(answer.Body), err, transport.MaxAnswer)
				}
				return
			}
			if !errors.Is(answer.Err, transport.ErrAnswerTooLarge) || answer.Body != nil {
				t.Errorf("got %d bytes and answer error %v, want ErrAnswerTooLarge alone", len(answer.Body), answer.Err)
			}
			if isError := errors.Is(err, transport.ErrAnswerTooLarge); isError != (test.status == 200) {
				t.Errorf("got error %v for status %d", err, test.status)
			}
		})
	}
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

func compressed(status int, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

// An announced length is not believed before the bytes arrive.
func TestS8AnnouncedLengthClaimsNoMemory(t *testing.T) { //nolint:paralleltest // measures what the process allocates
	lies := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, ContentLength: transport.MaxAnswer, Body: io.NopCloser(brokenReader{})}, nil
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
		"whole":   {compressed(200, gzipOf(t, body)), string(body), nil},
		"no gzip": {compressed(200, body), "", gzip.ErrHeader},
		"cut off": {compressed(200, gzipOf(t, body)[:20]), "", io.ErrUnexpectedEOF},
		"empty":   {compressed(200, nil), "", nil}, // net/http takes a length of 0 as the word
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
