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
		"same": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{path: "/app", body: `{"name":"a"}`},
			nil,
			true,
		},
		"another body": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{path: "/app", body: `nonsense`},
			nil,
			true,
		},
		"trailing slash": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{path: "/app/", body: `{"name":"b"}`},
			nil,
			true,
		},
		"another query": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{path: "/app?x=1", body: `{"name":"b"}`},
			nil,
			false,
		},
		"another path": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{path: "/event-type", body: `{"name":"b","description":""}`},
			nil,
			false,
		},
		"another key": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{path: "/app", body: `{"name":"b"}`},
			[]string{"Idempotency-Key", "other"},
			false,
		},
		"another authorization": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{path: "/app", body: `{"name":"b"}`},
			[]string{"Authorization", "second"},
			false,
		},
		"another method": {
			exchange{path: "/app", body: `{"name":"a"}`},
			exchange{method: "GET", path: "/app"},
			nil, false,
		},
		"status of the first": {
			exchange{path: "/app?get_if_exists=true", body: `{"name":"a","uid":"u"}`},
			exchange{path: "/app?get_if_exists=true", body: `{"name":"a","uid":"u"}`},
			nil,
			true,
		},
		"failure": {
			exchange{path: "/app", body: `{}`},
			exchange{path: "/app", body: `{"name":"a"}`},
			nil,
			false,
		},
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
				t.Errorf(
					"got %d %s after %d %s, want replayed %t",
					second.status,
					second.body,
					first.status,
					first.body,
					tt.replayed,
				)
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
		if first.status > 299 || again.status != first.status ||
			again.header.Get("Content-Type") != first.header.Get("Content-Type") {
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
	first, second := a.post(
		"/app",
		`{"name":"a"}`,
		"Idempotency-Key",
		"k",
	), a.post(
		"/app",
		`{"name":"a"}`,
		"Idempotency-Key",
		"k",
	)
	if first.text("id") == second.text("id") {
		t.Error("got the same application twice without idempotency")
	}
}

func TestIdempotencyNeedsAuthorization(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	for range 2 {
		a.post("/app", `{"name":"a"}`, "Idempotency-Key", "k", "Authorization", "").
			expect(http.StatusUnauthorized, unauthentic)
	}
}

// Section 3: concurrent requests with the same key wait for the first, whose body is held back
// here.
func TestConcurrentIdempotency(t *testing.T) {
	t.Parallel()
	type result struct {
		status int
		after  time.Duration // from the begin of the first
		same   bool          // as the answer to the first
	}
	// Those that wait look every 200 ms, so they notice at 1 s what has happened at 900 ms.
	const held, second, poll = 900 * time.Millisecond, time.Second, 200 * time.Millisecond
	tests := map[string]struct {
		body   string          // of the first request
		held   time.Duration   // until it is complete
		begins []time.Duration // of the others
		want   []result        // of the others, in the order of their answers
	}{
		"first succeeds": {`{"name":"first"}`, held, []time.Duration{0}, []result{{201, second, true}}},
		"many wait": {
			`{"name":"first"}`,
			held,
			[]time.Duration{0, 0, poll},
			[]result{{201, second, true}, {201, second, true}, {201, second, true}},
		},
		"first fails": {`{}`, held, []time.Duration{0}, []result{{201, second, false}}},
		"nobody else waits": {
			`{"name":"first"}`,
			held,
			[]time.Duration{2 * second},
			[]result{{201, 2 * second, true}},
		},
		"lock expires": {
			`{"name":"first"}`,
			10 * second,
			[]time.Duration{0},
			[]result{{500, 5 * second, false}},
		},
		"lock has expired": {
			`{"name":"first"}`,
			10 * second,
			[]time.Duration{6 * second},
			[]result{{500, 6*second + poll, false}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{}, func(a *api) {
				hold := &heldBody{release: make(chan struct{}), rest: strings.NewReader(tt.body)}
				first, others := make(chan answer, 1), make(chan answer, len(tt.begins))
				send := func(body io.Reader, to chan<- answer) {
					ans, err := a.try(
						a.t.Context(),
						http.MethodPost,
						"/api/v1/app",
						body,
						"Idempotency-Key",
						"k",
					)
					if err != nil {
						a.t.Error(err)
					}
					to <- ans
				}
				begin := time.Now()
				go send(hold, first)
				synctest.Wait()
				time.AfterFunc(tt.held, func() { close(hold.release) })
				for _, after := range tt.begins {
					time.AfterFunc(after, func() { send(strings.NewReader(`{"name":"other"}`), others) })
				}
				var bodies []string
				var got []result
				for range tt.begins {
					ans := <-others
					bodies = append(bodies, string(ans.body))
					got = append(got, result{status: ans.status, after: time.Since(begin)})
				}
				answered := string((<-first).body)
				for i, body := range bodies {
					got[i].same = body == answered
					if got[i].status == http.StatusInternalServerError && body != "" {
						a.t.Errorf("got 500 with %s, want no body", body)
					}
				}
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(result{})); diff != "" {
					a.t.Errorf("answers to the others (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Section 3: of those that wait for a request that fails, only one is run. The others fail if they
// saw the key free at the same moment, and wait anew if not.
func TestIdempotentWaitersOfAFailure(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{}, func(a *api) {
		answers := make(chan answer, 3)
		send := func(body io.Reader) {
			ans, err := a.try(a.t.Context(), http.MethodPost, "/api/v1/app", body, "Idempotency-Key", "k")
			if err != nil {
				a.t.Error(err)
			}
			answers <- ans
		}
		first := &heldBody{release: make(chan struct{}), rest: strings.NewReader(`{}`)}
		go send(first)
		synctest.Wait()
		for range 3 {
			go send(
				&heldBody{release: first.release, rest: strings.NewReader(`{"name":"a"}`), pause: time.Second},
			)
		}
		time.AfterFunc(900*time.Millisecond, func() { close(first.release) })
		(<-answers).expect(http.StatusUnprocessableEntity, "")
		for range 3 {
			if ans := <-answers; ans.status != http.StatusCreated {
				ans.expect(http.StatusInternalServerError, noBody)
			}
		}
		if got := len(a.list("/app").ids); got != 1 {
			a.t.Errorf("got %d applications, want 1", got)
		}
	})
}

// heldBody is a request's body that nobody can read before its release, and a pause after it.
type heldBody struct {
	release chan struct{}
	pause   time.Duration
	rest    *strings.Reader
}

func (b *heldBody) Read(p []byte) (int, error) {
	<-b.release
	time.Sleep(b.pause)
	return b.rest.Read(p)
}
