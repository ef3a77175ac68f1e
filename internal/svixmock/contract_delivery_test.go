package svixmock_test

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Section 13.1: which endpoints receive which message.
func TestRecipients(t *testing.T) {
	t.Parallel()
	endpoints := map[string]string{ // members by path
		"all":          ``,
		"disabled":     `"disabled":true`,
		"type a":       `"filterTypes":["a"]`,
		"types a,b":    `"filterTypes":["a","b"]`,
		"type archive": `"filterTypes":["archive"]`,
		"channel c":    `"channels":["c"]`,
		"channels c,d": `"channels":["c","d"]`,
		"a on c":       `"filterTypes":["a"],"channels":["c"]`,
	}
	tests := map[string]struct {
		message string // members
		want    []string
	}{
		"no channels":        {`"eventType":"a"`, []string{"all", "type a", "types a,b"}},
		"another type":       {`"eventType":"b"`, []string{"all", "types a,b"}},
		"unknown type":       {`"eventType":"x"`, []string{"all"}},
		"type in other case": {`"eventType":"A"`, []string{"all"}},
		"archived type":      {`"eventType":"archive"`, []string{"all", "type archive"}},
		"channel": {
			`"eventType":"a","channels":["c"]`,
			[]string{"a on c", "all", "channel c", "channels c,d", "type a", "types a,b"},
		},
		"overlap": {
			`"eventType":"b","channels":["x","d"]`,
			[]string{"all", "channels c,d", "types a,b"},
		},
		"disjoint":        {`"eventType":"x","channels":["x"]`, []string{"all"}},
		"case of channel": {`"eventType":"x","channels":["C"]`, []string{"all"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
				r := a.receiver("https://receiver.example")
				app, other := a.app(), a.app()
				a.eventType("a", "b", "archive")
				for path, members := range endpoints {
					extra := []string{}
					if members != "" {
						extra = append(extra, members)
					}
					a.endpoint(app, "https://receiver.example/"+path, extra...)
				}
				a.endpoint(other, "https://receiver.example/other")
				deleted := a.endpoint(app, "https://receiver.example/deleted")
				a.do(http.MethodDelete, app+"/endpoint/"+deleted, "").expect(http.StatusNoContent, noBody)
				a.do(http.MethodDelete, "/event-type/archive", "").expect(http.StatusNoContent, noBody)
				msg := a.post(app+"/msg", `{"payload":{},`+tt.message+`}`).
					expect(http.StatusAccepted, "").
					text("id")
				synctest.Wait()
				var got []string
				for _, d := range r.deliveries() {
					got = append(got, strings.TrimPrefix(d.path, "/"))
				}
				slices.Sort(got)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					a.t.Errorf("recipients (-want +got):\n%s", diff)
				}
				if listed := len(a.attempts(app, msg)); listed != len(tt.want) {
					a.t.Errorf("got %d attempts, want %d", listed, len(tt.want))
				}
			})
		})
	}
}

// Section 9.1: a message without recipients when it is created is never sent.
func TestLateEndpointReceivesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{}, func(a *api) {
		r := a.receiver("https://receiver.example")
		app := a.app()
		a.message(app)
		a.endpoint(app, "https://receiver.example")
		time.Sleep(day)
		if got := len(r.deliveries()); got != 0 {
			a.t.Errorf("got %d deliveries, want none", got)
		}
	})
}

// Section 13.1: recipients are contacted at the same time; here one waits for the other.
func TestRecipientsAreContactedConcurrently(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
		met := make(chan struct{})
		meet := func(w http.ResponseWriter, r *http.Request) {
			select {
			case met <- struct{}{}:
			case <-met:
			case <-r.Context().Done():
			}
			w.WriteHeader(http.StatusOK)
		}
		a.receiver("https://one.example", meet)
		a.receiver("https://two.example", meet)
		app := a.app()
		a.endpoint(app, "https://one.example")
		a.endpoint(app, "https://two.example")
		msg := a.message(app)
		synctest.Wait()
		for _, item := range a.attempts(app, msg) {
			if item["status"] != 0.0 || item["responseDurationMs"] != 0.0 {
				a.t.Errorf("got attempt %v, want both to succeed at once", item)
			}
		}
		if got := len(a.attempts(app, msg)); got != 2 {
			a.t.Errorf("got %d attempts, want 2", got)
		}
	})
}

// Section 13.1: settings are read again before every retry.
func TestSettingsBeforeRetry(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(a *api, app, endpoint string) // between two attempts
		want   int                                // deliveries in all
	}{
		"nothing": {func(*api, string, string) {}, 2},
		"disable": {func(a *api, _, endpoint string) {
			a.do(http.MethodPatch, endpoint, `{"disabled":true}`).expect(200, "")
		}, 1},
		"disable by PUT": {func(a *api, _, endpoint string) {
			a.do(http.MethodPut, endpoint, `{"url":"https://receiver.example","disabled":true}`).expect(200, "")
		}, 1},
		"delete endpoint": {
			func(a *api, _, endpoint string) { a.do(http.MethodDelete, endpoint, "").expect(204, noBody) },
			1,
		},
		"delete app": {
			func(a *api, app, _ string) { a.do(http.MethodDelete, app, "").expect(204, noBody) },
			1,
		},
		"other type": {func(a *api, _, endpoint string) {
			a.do(http.MethodPatch, endpoint, `{"filterTypes":["other"]}`).expect(200, "")
		}, 1},
		"same type": {func(a *api, _, endpoint string) {
			a.do(http.MethodPatch, endpoint, `{"filterTypes":["a.b"]}`).expect(200, "")
		}, 2},
		"channel": {func(a *api, _, endpoint string) {
			a.do(http.MethodPatch, endpoint, `{"channels":["c"]}`).expect(200, "")
		}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
				r := a.receiver("https://receiver.example", status(http.StatusInternalServerError))
				app := a.app()
				a.eventType("a.b", "other")
				endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example")
				a.message(app)
				time.Sleep(time.Minute)
				tt.change(a, app, endpoint)
				time.Sleep(2 * time.Hour)
				if got := len(r.deliveries()); got != tt.want {
					a.t.Errorf("got %d deliveries, want %d", got, tt.want)
				}
			})
		})
	}
	t.Run("url and secret", func(t *testing.T) {
		t.Parallel()
		bubble(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
			a.receiver("https://receiver.example", status(http.StatusInternalServerError))
			second := a.receiver("https://second.example")
			app := a.app()
			endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example")
			a.message(app)
			time.Sleep(time.Minute)
			a.do(http.MethodPatch, endpoint, `{"url":"https://second.example"}`).expect(http.StatusOK, "")
			a.post(endpoint+"/secret/rotate", `{"key":"`+anotherKey+`","gracePeriodSeconds":0}`).
				expect(http.StatusNoContent, noBody)
			time.Sleep(2 * time.Hour)
			got := second.deliveries()
			if len(got) != 1 {
				a.t.Fatalf("got %d deliveries at the new URL, want 1", len(got))
			}
			checkSignatures(a.t, got[0], anotherKey)
		})
	})
}

// Section 13.1: the list of recipients is remembered for 30 s, but not beyond changes of endpoints
// and their secrets.
func TestChangesTakeEffect(t *testing.T) {
	t.Parallel()
	type effect struct{ path, header, key string } // of the next delivery
	tests := map[string]struct {
		method, path, body string // of the change; the path is below the endpoint's
		after              time.Duration
		want               []effect
	}{
		"none": {http.MethodPatch, "", `{}`, 0, []effect{{"/", "", symmetric}}},
		"url": {
			http.MethodPatch,
			"",
			`{"url":"https://receiver.example/new"}`,
			0,
			[]effect{{"/new", "", symmetric}},
		},
		"PUT": {
			http.MethodPut,
			"",
			`{"url":"https://receiver.example/put"}`,
			0,
			[]effect{{"/put", "", symmetric}},
		},
		"disabling": {http.MethodPatch, "", `{"disabled":true}`, 0, nil},
		"filter":    {http.MethodPatch, "", `{"channels":["c"]}`, 0, nil},
		"deletion":  {http.MethodDelete, "", ``, 0, nil},
		"secret": {
			http.MethodPost,
			"/secret/rotate",
			`{"key":"` + anotherKey + `","gracePeriodSeconds":0}`,
			0,
			[]effect{{"/", "", anotherKey}},
		},
		"headers": {
			http.MethodPut,
			"/headers",
			`{"headers":{"X-A":"new"}}`,
			31 * time.Second,
			[]effect{{"/", "new", symmetric}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
				r := a.receiver("https://receiver.example")
				app := a.app()
				endpoint := app + "/endpoint/" + a.endpoint(
					app,
					"https://receiver.example",
					`"secret":"`+symmetric+`"`,
				)
				a.message(app)
				synctest.Wait()
				a.do(tt.method, endpoint+tt.path, tt.body)
				time.Sleep(tt.after)
				a.message(app)
				synctest.Wait()
				var got []effect
				for _, d := range r.deliveries()[1:] {
					got = append(
						got,
						effect{d.path, d.header.Get("X-A"), d.signedBy(a.t, symmetric, anotherKey)},
					)
				}
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(effect{})); diff != "" {
					a.t.Errorf("next delivery (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Section 13.2: what goes over the wire, letter by letter.
func TestDeliveryOnTheWire(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	a.clock()
	app := a.app()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	host := listener.Addr().String()
	endpoint := app + "/endpoint/" + a.endpoint(
		app,
		"http://"+host+"/some/path?q=1",
		`"secret":"`+symmetric+`"`,
	)
	a.do(http.MethodPut, endpoint+"/headers", `{"headers":{"X-cuStom-CASE":"Value","accept":"text/x"}}`).
		expect(http.StatusNoContent, noBody)
	msg := a.post(app+"/msg", `{"eventType":"a.b","payload":{"k": 1}}`).
		expect(http.StatusAccepted, "").
		text("id")

	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wire := bufio.NewReader(conn)
	var lines []string
	for {
		line, err := wire.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		lines = append(lines, line)
	}
	body := make([]byte, len(`{"k": 1}`))
	if _, err := io.ReadFull(wire, body); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	a.delivered(1)

	timestamp := strconv.FormatInt(start.Unix(), 10)
	want := []string{
		"POST /some/path?q=1 HTTP/1.1", "Host: " + host, "content-type: application/json", "X-cuStom-CASE: " +
			"Value", "accept: text/x",
		"user-agent: Svix-Webhooks/*", "webhook-id: " + msg, "webhook-timestamp: " + timestamp, "Content-Length: 8",
		"webhook-signature: " + symmetricToken(t, symmetric, msg, timestamp, body),
	}
	if len(lines) < 2 || lines[0] != want[0] || lines[1] != want[1] {
		t.Errorf("got %q, want the request line and Host first", lines)
	}
	for i, line := range lines {
		if agent, ok := strings.CutPrefix(line, "user-agent: Svix-Webhooks/"); ok && agent != "" {
			lines[i] = "user-agent: Svix-Webhooks/*"
		}
	}
	slices.Sort(want)
	slices.Sort(lines)
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// Section 13.2: headers that are configured, and those that the URL asks for.
func TestDeliveryHeaders(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config  svixmock.Config
		url     string
		headers string
		want    map[string]string // "": absent
	}{
		"default": {
			svixmock.Config{},
			"https://receiver.example",
			`{}`,
			map[string]string{
				"Accept":          "*/*",
				"Content-Type":    "application/json",
				"Authorization":   "",
				"Accept-Encoding": "",
			},
		},
		"custom": {
			svixmock.Config{},
			"https://receiver.example",
			`{"X-A":"a","cookie":"c"}`,
			map[string]string{"X-A": "a", "Cookie": "c"},
		},
		"user in URL": {
			svixmock.Config{},
			"https://user:pa%20ss@receiver.example",
			`{}`,
			map[string]string{
				"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pa ss")),
			},
		},
		"custom authorization": {
			svixmock.Config{},
			"https://user:pass@receiver.example",
			`{"authorization":"Bearer x"}`,
			map[string]string{"Authorization": "Bearer x"},
		},
		"whitelabel": {
			svixmock.Config{},
			"https://receiver.example",
			`{}`,
			map[string]string{"Svix-Id": "", "Svix-Timestamp": "", "Svix-Signature": ""},
		},
		"whitelabel overridden": {
			svixmock.Config{},
			"https://receiver.example",
			`{"webhook-id":"mine"}`,
			map[string]string{"Webhook-Id": "mine"},
		},
		"webhook beside svix": {
			svixmock.Config{SvixHeaders: true},
			"https://receiver.example",
			`{"webhook-id":"mine"}`,
			map[string]string{"Webhook-Id": "mine"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, tt.config)
			app := a.app()
			r := a.receiver("https://receiver.example")
			endpoint := a.endpoint(app, tt.url)
			a.do(http.MethodPatch, app+"/endpoint/"+endpoint+"/headers", `{"headers":`+tt.headers+`}`).
				expect(http.StatusNoContent, noBody)
			a.message(app)
			a.delivered(1)
			header := r.deliveries()[0].header
			for name, want := range tt.want {
				if got := header.Get(name); got != want {
					t.Errorf("got %s %q, want %q", name, got, want)
				}
			}
		})
	}
}

// Section 13.3: asymmetric keys.
func TestAsymmetricSignature(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	app := a.app()
	r := a.receiver("https://receiver.example")
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	secret := "whsk_" + base64.StdEncoding.EncodeToString(private)
	endpoint := app + "/endpoint/" + a.endpoint(app, "https://receiver.example", `"secret":"`+secret+`"`)
	public := a.get(endpoint+"/secret").expect(http.StatusOK, `{"key":"*"}`).text("key")
	if want := "whpk_" + base64.StdEncoding.EncodeToString(private[ed25519.SeedSize:]); public != want {
		t.Errorf("got key %s, want the public half %s", public, want)
	}
	a.message(app)
	a.delivered(1)
	checkAsymmetric(t, r.deliveries()[0], public)
	a.post(app+"/endpoint",
		`{"url":"https://a.example","secret":"whsk_`+base64.StdEncoding.EncodeToString(private[:40])+`"}`).
		expect(http.StatusUnprocessableEntity, "")
}

// Section 13.4: what counts as success, and what is written down.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	full := strings.Repeat("a", limit)
	tests := map[string]struct {
		code     int
		body     string
		status   float64
		response string
	}{
		"200":           {200, "fine", 0, "fine"},
		"299":           {299, "", 0, ""},
		"300":           {300, "", 2, ""},
		"400":           {400, `{"error":"é"}`, 2, `{"error":"é"}`},
		"410":           {410, "gone", 2, "gone"},
		"500":           {500, "", 2, ""},
		"no UTF-8":      {200, "a\xff", 0, encoded("a\xff")},
		"just short":    {200, full, 0, full},
		"cut":           {200, full + "b", 0, full},
		"cut after é":   {500, full[2:] + "é!", 2, full[2:] + "é"},
		"cut inside é":  {200, full[1:] + "é", 0, encoded(full[1:] + "\xc3")},
		"bad after cut": {200, full + "\xff", 0, full},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
			a.receiver("https://receiver.example", reply(tt.code, tt.body))
			app := a.app()
			a.endpoint(app, "https://receiver.example")
			msg := a.message(app)
			a.delivered(1)
			got := a.attempts(app, msg)[0]
			if got["responseStatusCode"] != float64(tt.code) || got["status"] != tt.status {
				t.Errorf(
					"got status code %v and status %v, want %d and %v",
					got["responseStatusCode"],
					got["status"],
					tt.code,
					tt.status,
				)
			}
			if diff := cmp.Diff(tt.response, got["response"]); diff != "" {
				t.Errorf("response (-want +got):\n%.300s", diff)
			}
		})
	}
}

// Section 13.4: redirects are failures wherever they lead, and are not followed.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 303, 307, 308} {
		a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
		target := a.receiver("https://target.example")
		a.receiver("https://receiver.example", status(code, "Location", "https://target.example"))
		app := a.app()
		a.endpoint(app, "https://receiver.example")
		msg := a.message(app)
		a.delivered(1)
		if got := a.attempts(app, msg)[0]; got["responseStatusCode"] != float64(code) || got["status"] != 2.0 ||
			len(target.deliveries()) > 0 {
			t.Errorf("got %v and %d deliveries at the target", got, len(target.deliveries()))
		}
	}
}

// Section 13.4: the timeout covers everything up to the headers of the answer.
func TestTimeout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		receiver http.HandlerFunc
		response string
		code     float64
		status   float64
		duration float64 // in ms
	}{
		"slow headers": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
		}, "request timed out", 0, 2, 30_000},
		"just in time": {func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(29 * time.Second)
			reply(200, "late")(w, nil)
		}, "late", 200, 0, 29_000},
		"slow body": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(40 * time.Second)
			_, _ = io.WriteString(w, "late")
		}, "late", 200, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
				a.receiver("https://receiver.example", tt.receiver)
				app := a.app()
				a.endpoint(app, "https://receiver.example")
				msg := a.message(app)
				time.Sleep(time.Minute)
				items := a.attempts(app, msg)
				if len(items) != 1 {
					a.t.Fatalf("got %d attempts, want 1", len(items))
				}
				got := items[0]
				if got["response"] != tt.response || got["responseStatusCode"] != tt.code ||
					got["status"] != tt.status {
					a.t.Errorf(
						"got %v, want response %q, code %v, status %v",
						got,
						tt.response,
						tt.code,
						tt.status,
					)
				}
				if duration, _ := got["responseDurationMs"].(float64); duration != tt.duration {
					a.t.Errorf("got duration %v ms, want %v", duration, tt.duration)
				}
			})
		})
	}
}

// Section 13.4: an error of the transport within the first second is met with one identical
// request.
func TestImmediateRepeat(t *testing.T) {
	t.Parallel()
	drop := func(after time.Duration) http.HandlerFunc {
		return func(http.ResponseWriter, *http.Request) {
			time.Sleep(after)
			panic(http.ErrAbortHandler)
		}
	}
	tests := map[string]struct {
		answers  []http.HandlerFunc
		requests int
		code     float64
	}{
		"twice":  {[]http.HandlerFunc{drop(0)}, 2, 0},
		"once":   {[]http.HandlerFunc{drop(0), status(200)}, 2, 200},
		"late":   {[]http.HandlerFunc{drop(2 * time.Second), status(200)}, 1, 0},
		"answer": {[]http.HandlerFunc{status(500), status(200)}, 1, 500},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
				r := a.receiver("https://receiver.example", tt.answers...)
				app := a.app()
				a.endpoint(app, "https://receiver.example")
				msg := a.message(app)
				time.Sleep(time.Minute)
				got := r.deliveries()
				if len(got) != tt.requests {
					a.t.Fatalf("got %d requests, want %d", len(got), tt.requests)
				}
				for _, d := range got[1:] {
					if diff := cmp.Diff(got[0].header, d.header); diff != "" ||
						d.at.Sub(got[0].at) > time.Second {
						a.t.Errorf("repeated after %v (-first +second):\n%s", d.at.Sub(got[0].at), diff)
					}
				}
				items := a.attempts(app, msg)
				if len(items) != 1 || items[0]["responseStatusCode"] != tt.code {
					a.t.Errorf("got attempts %v, want one with code %v", items, tt.code)
				}
				if text := items[0]["response"].(string); tt.code == 0 &&
					!strings.HasPrefix(text, "error making request: ") {
					a.t.Errorf("got response %q", text)
				}
			})
		})
	}
}

// Section 13.4: of the networks that are blocked by default, only loopback is open.
func TestBlockedAddresses(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"100.127.255.255", "0.0.0.0", "0.1.2.3", "192.0.0.1",
		"192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
		"239.255.255.255", "240.0.0.1", "255.255.255.255",
		"[::]", "[fc00::1]", "[fdff::1]", "[fe80::1]", "[ff02::1]", "[2001:db8::1]", "[::ffff:10.0.0.1]",
		"[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[100::1]", "[2001:2::1]", "[3fff::1]",
		"[fec0::1]",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
			app := a.app()
			a.endpoint(app, "http://"+host+":9/")
			msg := a.message(app)
			a.delivered(1)
			got := a.attempts(app, msg)[0]
			if got["responseStatusCode"] != 0.0 ||
				got["response"] != "requests to this IP range are blocked (see the server configuration)" {
				t.Errorf("got %v, want a blocked request", got)
			}
		})
	}
}

// Section 13.4: certificates are verified.
func TestUntrustedReceiver(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	app := a.app()
	a.endpoint(app, web.URL)
	msg := a.message(app)
	a.delivered(1)
	got := a.attempts(app, msg)[0]
	if text := got["response"].(string); got["responseStatusCode"] != 0.0 ||
		!strings.HasPrefix(text, "error making request: ") {
		t.Errorf("got %v, want a failed request", got)
	}
}

// Section 13.4: an answer whose body breaks off keeps its status.
func TestUnreadableResponse(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]float64{200: 0, 500: 2} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "only this")
		}))
		t.Cleanup(web.Close)
		a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
		app := a.app()
		a.endpoint(app, web.URL)
		msg := a.message(app)
		a.delivered(1)
		got := a.attempts(app, msg)[0]
		if text := got["response"].(string); got["responseStatusCode"] != float64(code) ||
			got["status"] != want ||
			!strings.HasPrefix(text, "Error reading response body: ") {
			t.Errorf("got %v, want status code %d and status %v", got, code, want)
		}
	}
}

// Section 13.5.
func TestDefaultRetries(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{}, func(a *api) {
		r := a.receiver("https://receiver.example", status(http.StatusGone))
		app := a.app()
		a.endpoint(app, "https://receiver.example")
		msg := a.message(app)
		time.Sleep(3 * day)
		const second = time.Second
		want := []time.Duration{
			5 * second,
			300 * second,
			1800 * second,
			7200 * second,
			18000 * second,
			36000 * second,
			36000 * second,
		}
		got := r.delays()
		if len(got) != len(want) {
			a.t.Fatalf("got %d retries, want %d", len(got), len(want))
		}
		exact := 0
		for i := range want {
			if got[i] < want[i]*8/10 || got[i] > want[i]*12/10 {
				a.t.Errorf("got delay %d of %v, want %v ± 20 %%", i, got[i], want[i])
			}
			if got[i] == want[i] {
				exact++
			}
		}
		if exact == len(want) {
			a.t.Error("got no jitter")
		}
		if listed := len(a.attempts(app, msg)); listed != 8 {
			a.t.Errorf("got %d attempts, want 8", listed)
		}
	})
}

func TestRetrySchedules(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(7 * time.Second)
		w.WriteHeader(http.StatusInternalServerError)
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	second, minute := time.Second, time.Minute
	// Dates are those of the server's clock.
	in := func(d time.Duration) string { return start.Add(d).Format(http.TimeFormat) }
	tests := map[string]struct {
		schedule []time.Duration
		answers  []http.HandlerFunc
		want     []time.Duration
	}{
		"none": {[]time.Duration{}, []http.HandlerFunc{status(500)}, nil},
		"until success": {
			[]time.Duration{second, minute, second},
			[]http.HandlerFunc{status(500), status(404), status(200)},
			[]time.Duration{second, minute},
		},
		"all fail": {
			[]time.Duration{second, minute},
			[]http.HandlerFunc{status(302), status(410), status(429)},
			[]time.Duration{second, minute},
		},
		"from the end": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{slow},
			[]time.Duration{17 * second},
		},
		"after a timeout": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{hang},
			[]time.Duration{90 * second},
		},
		"long after timeout": {
			[]time.Duration{2 * minute},
			[]http.HandlerFunc{hang},
			[]time.Duration{2*minute + 30*second},
		},
		"429 has no penalty": {
			[]time.Duration{second},
			[]http.HandlerFunc{status(429)},
			[]time.Duration{second},
		},
		"Retry-After": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", "15")},
			[]time.Duration{15 * second},
		},
		"Retry-After, any": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(404, "Retry-After", "15")},
			[]time.Duration{15 * second},
		},
		"Retry-After, least": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", "10")},
			[]time.Duration{10 * second},
		},
		"Retry-After, most": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", "20")},
			[]time.Duration{20 * second},
		},
		"Retry-After, less": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", "9")},
			[]time.Duration{10 * second},
		},
		"Retry-After, more": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", "21")},
			[]time.Duration{20 * second},
		},
		"Retry-After, part": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", "12.1")},
			[]time.Duration{13 * second},
		},
		"Retry-After, date": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", in(16*second))},
			[]time.Duration{16 * second},
		},
		"Retry-After, past": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", in(-minute))},
			[]time.Duration{10 * second},
		},
		"Retry-After, broken": {
			[]time.Duration{10 * second},
			[]http.HandlerFunc{status(503, "Retry-After", "soon")},
			[]time.Duration{10 * second},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{RetrySchedule: tt.schedule}, func(a *api) {
				r := a.receiver("https://receiver.example", tt.answers...)
				app := a.app()
				a.endpoint(app, "https://receiver.example")
				a.message(app)
				time.Sleep(time.Hour)
				if diff := cmp.Diff(tt.want, r.delays()); diff != "" {
					a.t.Errorf("delays (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Section 13.5 and 9.5: a message whose content is gone is not retried.
func TestNoRetryWithoutContent(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
		r := a.receiver("https://receiver.example", status(500))
		app := a.app()
		a.endpoint(app, "https://receiver.example")
		msg := a.message(app)
		time.Sleep(time.Minute)
		a.do(http.MethodDelete, app+"/msg/"+msg+"/content", "").expect(http.StatusNoContent, noBody)
		time.Sleep(2 * time.Hour)
		if got := len(r.deliveries()); got != 1 {
			a.t.Errorf("got %d deliveries, want 1", got)
		}
	})
}

// Section 13.6. Each step is an hour with what happens in it; the endpoint fails unless told
// otherwise.
func TestAutomaticDisabling(t *testing.T) {
	t.Parallel()
	const (
		fails    = "a message fails"
		succeeds = "a message succeeds"
		resends  = "a resend fails"
		enables  = "the endpoint is enabled"
	)
	type step struct {
		hour  int
		what  string
		after bool // whether the endpoint is disabled then
	}
	tests := map[string][]step{
		"after 120 hours": {
			{0, fails, false},
			{60, fails, false},
			{119, fails, false},
			{121, fails, true},
		},
		"two are enough": {{0, fails, false}, {121, fails, true}},
		"success forgets": {
			{0, fails, false},
			{60, succeeds, false},
			{121, fails, false},
			{180, fails, false},
			{242, fails, true},
		},
		"forgotten in 240": {
			{0, fails, false},
			{241, fails, false},
			{300, fails, false},
			{362, fails, true},
		},
		"manual does not count": {
			{0, succeeds, false},
			{1, resends, false},
			{122, fails, false},
			{243, fails, true},
		},
		"enabling": {
			{0, fails, false},
			{121, fails, true},
			{122, enables, false},
			{123, succeeds, false},
			{124, fails, false},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{RetrySchedule: []time.Duration{}}, func(a *api) {
				begin := time.Now()
				answers := map[string]int{}
				r := a.receiver("https://receiver.example", func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(answers["code"])
				})
				app := a.app()
				id := a.endpoint(app, "https://receiver.example")
				var msg string
				for _, s := range steps {
					time.Sleep(time.Until(begin.Add(time.Duration(s.hour) * time.Hour)))
					answers["code"] = http.StatusInternalServerError
					switch s.what {
					case succeeds:
						answers["code"] = http.StatusOK
						msg = a.message(app)
					case fails:
						msg = a.message(app)
					case resends:
						a.post(app+"/msg/"+msg+"/endpoint/"+id+"/resend", "").expect(http.StatusAccepted, `{}`)
					case enables:
						a.do(http.MethodPatch, app+"/endpoint/"+id, `{"disabled":false}`).
							expect(http.StatusOK, "")
					}
					synctest.Wait()
					if got := a.get(app + "/endpoint/" + id).field("disabled"); got != s.after {
						a.t.Errorf("hour %d, %s: got disabled %v, want %t", s.hour, s.what, got, s.after)
					}
				}
				sent := len(r.deliveries())
				if a.get(app+"/endpoint/"+id).field("disabled") == true {
					time.Sleep(time.Minute) // while which the list of recipients may be remembered
					a.message(app)
					time.Sleep(time.Minute)
					if got := len(r.deliveries()); got != sent {
						a.t.Errorf("got %d deliveries after disabling, want none", got-sent)
					}
				}
			})
		})
	}
}

// Section 13.6: only the last attempt of a message counts.
func TestIntermediateFailuresDoNotDisable(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{130 * time.Hour}}, func(a *api) {
		a.receiver("https://receiver.example", status(500))
		app := a.app()
		id := a.endpoint(app, "https://receiver.example")
		a.message(app)
		time.Sleep(131 * time.Hour)
		a.get(app+"/endpoint/"+id).expect(http.StatusOK, endpointOut(a.t, `"url":"https://receiver.example/"`))
		a.message(app)
		time.Sleep(131 * time.Hour)
		a.get(app+"/endpoint/"+id).
			expect(http.StatusOK, endpointOut(a.t, `"url":"https://receiver.example/","disabled":true`))
	})
}

// Sections 13.2 and 13.3: id, timestamp and signature of retries and resends.
func TestSameIDEverywhere(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
		begin := time.Now()
		r := a.receiver("https://receiver.example", status(500))
		app := a.app()
		var ids []string
		for i := range 2 {
			ids = append(
				ids,
				a.endpoint(app, fmt.Sprintf("https://receiver.example/%d", i), `"secret":"`+symmetric+`"`),
			)
		}
		msg := a.message(app, `"eventId":"e"`)
		time.Sleep(2 * time.Hour)
		a.post(app+"/msg/e/endpoint/"+ids[0]+"/resend", "").expect(http.StatusAccepted, `{}`)
		synctest.Wait()
		got := r.deliveries()
		if len(got) != 5 {
			a.t.Fatalf("got %d deliveries, want 5", len(got))
		}
		for _, d := range got {
			stamp := strconv.FormatInt(start.Add(d.at.Sub(begin)).Unix(), 10)
			if d.header.Get("Webhook-Id") != msg || d.header.Get("Webhook-Timestamp") != stamp {
				a.t.Errorf(
					"got id %s and timestamp %s, want %s and %s",
					d.header.Get("Webhook-Id"),
					d.header.Get("Webhook-Timestamp"),
					msg,
					stamp,
				)
			}
			checkSignatures(a.t, d, symmetric)
		}
	})
}
