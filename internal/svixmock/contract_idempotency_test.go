package svixmock_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Section 3: what makes two requests the same.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		first, second exchange
		headers       []string // of the second request
		replayed      bool
	}{
		"same":                  {exchange{path: "/app", body: `{"name":"a"}`}, exchange{path: "/app", body: `{"name":"a"}`}, nil, true},
		"another body":          {exchange{path: "/app", body: `{"name":"a"}`}, exchange{path: "/app", body: `nonsense`}, nil, true},
		"trailing slash":        {exchange{path: "/app", body: `{"name":"a"}`}, exchange{path: "/app/", body: `{"name":"b"}`}, nil, true},
		"another query":         {exchange{path: "/app", body: `{"name":"a"}`}, exchange{path: "/app?x=1", body: `{"name":"b"}`}, nil, false},
		"another path":          {exchange{path: "/app", body: `{"name":"a"}`}, exchange{path: "/event-type", body: `{"name":"b","description":""}`}, nil, false},
		"another key":           {exchange{path: "/app", body: `{"name":"a"}`}, exchange{path: "/app", body: `{"name":"b"}`}, []string{"Idempotency-Key", "other"}, false},
		"another authorization": {exchange{path: "/app", body: `{"name":"a"}`}, exchange{path: "/app", body: `{"name":"b"}`}, []string{"Authorization", "second"}, false},
		"another method": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{method: "GET", path: "/app"},
			nil, false,
		},
		"status of the first": {exchange{path: "/app?get_if_exists=true", body: `{"name":"a","uid":"u"}`}, exchange{path: "/app?get_if_exists=true", body: `{"name":"a","uid":"u"}`}, nil, true},
		"failure":             {exchange{path: "/app", body: `{}`}, exchange{path: "/app", body: `{"name":"a"}`}, nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, svixmock.Config{Secret: secret})
			headers := tt.headers
			if len(headers) == 2 && headers[1] == "second" {
				headers = []string{"Authorization", signed(t, `{"sub":"org_23rb8YdGqMT0qIzpgGwdXfHirMu"}`)}
			}
			send := func(x exchange, headers ...string) answer {
				if x.method == "" {
					x.method = http.MethodPost
				}
				return a.do(x.method, x.path, x.body, append([]string{"Idempotency-Key", "k"}, headers...)...)
			}
			first, second := send(tt.first), send(tt.second, headers...)
			if got := first.status == second.status && string(first.body) == string(second.body); got != tt.replayed {
				t.Errorf("got %d %s after %d %s, want replayed %t", second.status, second.body, first.status, first.body, tt.replayed)
			}
		})
	}
}

// Every kind of success is replayed as it was, with its headers.
func TestIdempotentReplay(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://a.example")
	for path, body := range map[string]string{
		app + "/msg":                `{"eventType":"a.b","payload":{},"eventId":"e"}`,
		app + "/endpoint":           `{"url":"https://a.example","uid":"u"}`,
		endpoint + "/secret/rotate": `{"gracePeriodSeconds":0}`,
		"/event-type":               `{"name":"a.b","description":""}`,
	} {
		first := a.post(path, body, "Idempotency-Key", "k")
		secret := string(a.get(endpoint + "/secret").body)
		again := a.post(path, body, "Idempotency-Key", "k")
		if first.status > 299 || again.status != first.status || again.header.Get("Content-Type") != first.header.Get("Content-Type") {
			t.Errorf("%s: got %d %v, then %d %v", path, first.status, first.header, again.status, again.header)
		}
		if diff := cmp.Diff(string(first.body), string(again.body)); diff != "" {
			t.Errorf("%s: replay (-first +again):\n%s", path, diff)
		}
		if diff := cmp.Diff(secret, string(a.get(endpoint+"/secret").body)); diff != "" {
			t.Errorf("%s: secret before and after the replay:\n%s", path, diff)
		}
	}
}

// A second method with the same key is run, not replayed.
func TestIdempotencyIsForPOSTOnly(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	for _, name := range []string{"one", "two"} {
		if got := a.do(http.MethodPut, app, `{"name":"`+name+`"}`, "Idempotency-Key", "k").text("name"); got != name {
			t.Errorf("got name %s from PUT, want %s", got, name)
		}
	}
}

func TestNoIdempotency(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{NoIdempotency: true})
	first, second := a.post("/app", `{"name":"a"}`, "Idempotency-Key", "k"), a.post("/app", `{"name":"a"}`, "Idempotency-Key", "k")
	if first.text("id") == second.text("id") {
		t.Error("got the same application twice without idempotency")
	}
}

func TestIdempotencyNeedsAuthorization(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	for range 2 {
		a.post("/app", `{"name":"a"}`, "Idempotency-Key", "k", "Authorization", "").expect(http.StatusUnauthorized, unauthentic)
	}
}

// Section 3: a concurrent request with the same key waits for the first, whose body is held back here.
func TestConcurrentIdempotency(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body   string        // of the first request
		held   time.Duration // until it is complete
		status int           // of the second
		least  time.Duration // from the second's begin to its answer
		most   time.Duration
		same   bool // whether the second's answer is the first's
	}{
		"first succeeds":          {`{"name":"first"}`, time.Second, 201, time.Second, 1200 * time.Millisecond, true},
		"first fails":             {`{}`, time.Second, 201, time.Second, 1200 * time.Millisecond, false},
		"first outlives its lock": {`{"name":"first"}`, 10 * time.Second, 500, 4500 * time.Millisecond, 5500 * time.Millisecond, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{}, func(a *api) {
				hold := &heldBody{release: make(chan struct{}), rest: strings.NewReader(tt.body)}
				first, second := make(chan answer, 1), make(chan answer, 1)
				send := func(body io.Reader, to chan<- answer) {
					ans, err := a.try(a.t.Context(), http.MethodPost, "/api/v1/app", body, "Idempotency-Key", "k")
					if err != nil {
						a.t.Error(err)
					}
					to <- ans
				}
				go send(hold, first)
				synctest.Wait()
				begin := time.Now()
				go send(strings.NewReader(`{"name":"second"}`), second)
				time.AfterFunc(tt.held, func() { close(hold.release) })

				got := <-second
				if took := time.Since(begin); got.status != tt.status || took > tt.most || took < tt.least {
					a.t.Errorf("got %d %s after %v, want %d after %v to %v", got.status, got.body, took, tt.status, tt.least, tt.most)
				}
				if got.status == http.StatusInternalServerError {
					got.expect(http.StatusInternalServerError, noBody)
				}
				if same := string((<-first).body) == string(got.body); same != tt.same {
					a.t.Errorf("got %s, want the answer to the first: %t", got.body, tt.same)
				}
			})
		})
	}
}

// heldBody is a request's body that nobody can read before its release.
type heldBody struct {
	release chan struct{}
	rest    *strings.Reader
}

func (b *heldBody) Read(p []byte) (int, error) {
	<-b.release
	return b.rest.Read(p)
}
