package webhookstest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/webhookstest"
)

// met is what a client sees of a request that meets a fault, and what the request left behind.
type met struct {
	Status int
	Header string // X-Proxy
	Body   string
	Error  error
	Took   time.Duration
	Stored bool // the application that it was to create
}

// Every field of a fault does what it says.
func TestFaultsFieldByField(t *testing.T) {
	t.Parallel()
	const created = "application"
	isPut := func(r *http.Request) bool { return r.Method == http.MethodPut }
	tests := map[string]struct {
		fault webhookstest.Fault
		want  met
	}{
		"none":   {webhookstest.Fault{}, met{Status: 201, Body: created, Stored: true}},
		"status": {webhookstest.Fault{Status: 503}, met{Status: 503}},
		"header and body": {webhookstest.Fault{
			Status: 502, Header: http.Header{"X-Proxy": {"p"}},
			Body: "b",
		}, met{Status: 502, Header: "p", Body: "b"}},
		"reset": {webhookstest.Fault{Reset: true}, met{Error: syscall.ECONNRESET}},
		"hang":  {webhookstest.Fault{Hang: true}, met{Error: context.DeadlineExceeded, Took: time.Hour}},
		"delay": {webhookstest.Fault{Delay: time.Minute}, met{
			Status: 201, Body: created,
			Took: time.Minute, Stored: true,
		}},
		"after acting": {
			webhookstest.Fault{Status: 500, AfterActing: true},
			met{Status: 500, Stored: true},
		},
		"goes away before": {webhookstest.Fault{GoAway: webhookstest.NothingStored}, met{Error: io.EOF}},
		"goes away after": {webhookstest.Fault{GoAway: webhookstest.StoredNotQueued}, met{
			Error:  io.EOF,
			Stored: true,
		}},
		"goes away last": {webhookstest.Fault{GoAway: webhookstest.StoredAndQueued}, met{
			Error:  io.EOF,
			Stored: true,
		}},
		"truncated": {webhookstest.Fault{Truncate: true}, met{
			Status: 201, Body: created,
			Error: io.ErrUnexpectedEOF, Stored: true,
		}},
		"slow body": {webhookstest.Fault{SlowBody: time.Minute}, met{
			Status: 201, Body: created,
			Took: time.Minute, Stored: true,
		}},
		"another request": {webhookstest.Fault{Status: 503, Only: isPut}, met{
			Status: 201, Body: created,
			Stored: true,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := webhookstest.NewServer(t, webhookstest.InMemory())
				srv.FailNext(1, tt.fault)
				if diff := cmp.Diff(tt.want, meet(t, srv), cmp.Comparer(sameError)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func sameError(a, b error) bool { return errors.Is(a, b) || errors.Is(b, a) }

// meet makes a request for an application, and looks at what is left.
func meet(t *testing.T, srv *webhookstest.Server) (got met) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	begin := time.Now()
	got = request(ctx, srv, http.MethodPost, `{"name":"application"}`)
	got.Took = time.Since(begin)
	if strings.Contains(got.Body, "application") {
		got.Body = "application"
	}
	list := request(t.Context(), srv, http.MethodGet, "")
	if list.Error != nil {
		t.Fatal(list.Error)
	}
	got.Stored = strings.Contains(list.Body, "application")
	return got
}

// request makes a request without the library.
func request(ctx context.Context, srv *webhookstest.Server, method, body string) met {
	req, err := http.NewRequestWithContext(ctx, method, srv.URL+"/api/v1/app", strings.NewReader(body))
	if err != nil {
		return met{Error: err}
	}
	req.Header.Set("Authorization", "Bearer "+srv.Token)
	resp, err := srv.RoundTripper().RoundTrip(req)
	if err != nil {
		return met{Error: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return met{Status: resp.StatusCode, Header: resp.Header.Get("X-Proxy"), Body: string(text), Error: err}
}
