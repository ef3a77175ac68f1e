package svixmock_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// These tests are about section 12 of the contract: routes that look at deliveries from the other
// side.

// attempted makes messages with the eventIds good, bad and unwanted, of which the first two are
// attempted.
func attempted(a *api) (app, endpoint string) {
	app = a.app()
	endpoint = a.endpoint(app, "https://receiver.example", `"uid":"e"`, `"channels":["c"]`)
	a.receiver("https://receiver.example", status(http.StatusOK), status(http.StatusServiceUnavailable))
	a.message(app, `"eventId":"good"`, `"channels":["c"]`)
	a.delivered(1)
	time.Sleep(time.Second)
	a.message(app, `"eventId":"bad"`, `"channels":["c"]`)
	a.message(app, `"eventId":"unwanted"`)
	a.delivered(2)
	synctest.Wait()
	return app, endpoint
}

func TestAttemptedMessages(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
		app, _ := attempted(a)
		type shown struct {
			ID, Text string
			Planned  bool
		}
		list := func(query string) (got []shown) {
			for _, item := range a.items(app + "/endpoint/e/msg" + query) {
				_, planned := item["nextAttempt"]
				got = append(got, shown{item["eventId"].(string), item["statusText"].(string), planned})
			}
			return got
		}
		for query, want := range map[string][]shown{
			"":          {{"bad", "sending", true}, {"good", "success", false}},
			"?status=0": {{"good", "success", false}},
			"?status=1": nil,
			"?status=2": nil,
			"?status=3": {{"bad", "sending", true}},
			"?limit=1":  {{"bad", "sending", true}},
		} {
			if diff := cmp.Diff(want, list(query)); diff != "" {
				a.t.Errorf("%q (-want +got):\n%s", query, diff)
			}
		}
		time.Sleep(time.Hour)
		a.delivered(3)
		if diff := cmp.Diff([]shown{{"bad", "fail", false}}, list("?status=2")); diff != "" {
			a.t.Errorf("after the last retry (-want +got):\n%s", diff)
		}
	})
}

func TestEventTypesOfAttemptedMessagesAreReadAfterTheToken(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	app := a.app()
	a.endpoint(app, "https://receiver.example", `"uid":"e"`)
	path := app + "/endpoint/e/msg"
	a.do(http.MethodGet, path+"?event_types=", "", "Authorization", "").
		expect(http.StatusUnauthorized, unauthentic)
	a.do(http.MethodGet, path+"?limit=x", "", "Authorization", "").expect(http.StatusBadRequest, badQuery)
	a.do(http.MethodGet, app+"/msg?event_types=", "", "Authorization", "").
		expect(http.StatusUnprocessableEntity, "")
	a.get(path+"?event_types=").expect(http.StatusUnprocessableEntity, "")
}

// A client that stops at done would miss endpoints.
func TestDestinationsAreAlwaysDone(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
		app := a.app()
		a.receiver("https://receiver.example")
		var want, got []string
		for range 3 {
			want = append(want, a.endpoint(app, "https://receiver.example"))
			time.Sleep(time.Second)
		}
		msg := a.message(app)
		a.delivered(3)
		iterator := ""
		for {
			page := a.list(app + "/msg/" + msg + "/endpoint?limit=1" + iterator)
			if !page.done {
				a.t.Error("a page is not done")
			}
			if len(page.ids) == 0 {
				break
			}
			got = append(got, page.ids...)
			iterator = "&iterator=" + page.iterator
		}
		if diff := cmp.Diff(want, got); diff != "" {
			a.t.Errorf("endpoints (-want +got):\n%s", diff)
		}
	})
}

func TestOlderAttemptListsWithFilters(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
		app, endpoint := attempted(a)
		for _, path := range []string{app + "/msg/bad/attempt", app + "/msg/bad/endpoint/" + endpoint + "/attempt"} {
			if got := a.items(path + "?with_content=false&status_code_class=200"); len(got) != 1 ||
				got[0]["status"] != 2.0 {
				a.t.Errorf("%s: got %v, want one failure: those filters are ignored", path, got)
			}
			for _, filter := range []string{"?channel=c", "?event_types=a.b"} {
				a.get(path+filter).expect(http.StatusInternalServerError, `{}`)
			}
			a.get(path+"?channel=").expect(http.StatusUnprocessableEntity, "")
		}
	})
}

func TestTooLongRequests(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	const base = "/api/v1/app?x="
	for length, want := range map[int]int{65_534: http.StatusOK, 65_535: http.StatusRequestURITooLong} {
		a.t.Log(length)
		a.plain(base+strings.Repeat("x", length-len(base)), want)
	}
	var headers []string
	for range 97 { // with Host, Authorization and the client's own
		headers = append(headers, "X-Archive", "a")
	}
	a.plain(base, http.StatusOK, headers...)
	a.plain(
		base,
		http.StatusRequestHeaderFieldsTooLarge,
		append(headers, "X-Archive", "b", "X-Archive", "c", "X-Archive", "d")...)
}

// plain makes a GET with added headers and wants a status; what is not routed has neither a body
// nor headers of its own.
func (a *api) plain(path string, want int, headers ...string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.base+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.mock.Token())
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	bare := resp.Header.Get("Access-Control-Allow-Origin") == "" && resp.ContentLength == 0
	if resp.StatusCode != want || bare != (want != http.StatusOK) {
		a.t.Errorf(
			"got status %d, %d bytes and %v, want %d",
			resp.StatusCode,
			resp.ContentLength,
			resp.Header,
			want,
		)
	}
}

func TestLongHeaderName(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	app := a.app()
	path := app + "/endpoint/" + a.endpoint(app, "https://receiver.example") + "/headers"
	for length, want := range map[int]int{65_535: http.StatusNoContent, 70_000: http.StatusUnprocessableEntity} {
		a.do(http.MethodPut, path, `{"headers":{"`+strings.Repeat("a", length)+`":"v"}}`).expect(want, "")
	}
}

// Claims as the server's library reads them.
func TestClaims(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{Secret: secret})
	const org = `"sub":"org_23rb8YdGqMT0qIzpgGwdXfHirMu"`
	for claims, want := range map[string]int{
		`{` + org + `,"exp":-1}`:                   http.StatusOK,
		`{` + org + `,"exp":18446744073709551616}`: http.StatusOK,
		`{` + org + `,"exp":99999999999.5}`:        http.StatusOK,
		`{` + org + `,"exp":0}`:                    http.StatusUnauthorized,
		`{` + org + `,"exp":"99999999999"}`:        http.StatusUnauthorized,
		`{` + org + `,"exp":null}`:                 http.StatusUnauthorized,
		`{` + org + `,"nbf":99999999999}`:          http.StatusUnauthorized,
		`{` + org + `,"jti":1}`:                    http.StatusUnauthorized,
		`{` + org + `,"aud":["a","b"]}`:            http.StatusOK,
		`{` + org + `,"aud":1}`:                    http.StatusUnauthorized,
		`{` + org + `,"unknown":{}}`:               http.StatusOK,
		`{` + org + `,"feature_flags":null}`:       http.StatusUnauthorized,
		`{` + org + `,"feature_flags":["a b"]}`:    http.StatusUnauthorized,
		`{` + org + `,"feature_flags":["a"]}`:      http.StatusOK,
		`{"sub":""}`:                               http.StatusBadRequest,
		`{"sub":null}`:                             http.StatusUnauthorized,
		`{"sub":1}`:                                http.StatusUnauthorized,
	} {
		got := a.do(http.MethodGet, "/app", "", "Authorization", signed(t, claims))
		if got.status != want {
			t.Errorf("%s: got status %d, want %d", claims, got.status, want)
		}
	}
	token := strings.TrimPrefix(signed(t, `{`+org+`}`), "Bearer ")
	for header, want := range map[string]int{
		"bearer    " + token: http.StatusOK, "Bearer\t" + token: http.StatusUnauthorized, "Bearer " + token +
			"=": http.StatusUnauthorized, token: http.StatusUnauthorized,
	} {
		if got := a.do(http.MethodGet, "/app", "", "Authorization", header); got.status != want {
			t.Errorf("%.20q: got status %d, want %d", header, got.status, want)
		}
	}
}
