package svixmock_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Routes that the contract only names.

func TestEndpointStats(t *testing.T) {
	t.Parallel()
	bubble(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
		app := a.app()
		a.receiver("https://receiver.example", status(500), status(200))
		path := app + "/endpoint/" + a.endpoint(app, "https://receiver.example") + "/stats"
		a.message(app)
		time.Sleep(time.Hour + time.Minute)
		const both, first = `{"success":1,"pending":0,"sending":0,"fail":1,"canceled":0}`, `{"success":0,` +
			`"pending":0,"sending":0,"fail":1,"canceled":0}`
		a.get(path).expect(http.StatusOK, both)
		a.get(path+"?until="+at(time.Hour-time.Second)).expect(http.StatusOK, first)
		a.get(path+"?since="+at(-27*24*time.Hour)).expect(http.StatusOK, both)
		a.get(path+"?until="+at(2*time.Hour)).
			expect(http.StatusBadRequest, problem("invalid_range", "'until' cannot be in the future"))
		a.get(path+"?since="+at(-29*24*time.Hour)).expect(http.StatusBadRequest,
			problem("invalid_range", "'since' cannot be more than 28 days prior to 2026-01-01 01:01:00 UTC"))
		a.get(app+"/endpoint/ep_missing/stats").expect(http.StatusNotFound, notFound)
	})
}

func TestSendExample(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	app := a.app()
	one, two := a.receiver("https://one.example"), a.receiver("https://two.example")
	path := app + "/endpoint/" + a.endpoint(app, "https://one.example") + "/send-example"
	a.endpoint(app, "https://two.example")
	a.post("/event-type", `{"name":"a.b","description":"","schemas":{"1":{"examples":[{"x":  1},{"x":2}]}}}`).
		expect(http.StatusCreated, "")
	a.post("/event-type", `{"name":"c.d","description":"","schemas":{"1":{"type":"object"}}}`).
		expect(http.StatusCreated, "")

	a.post(path, `{"eventType":"a.b"}`).
		expect(http.StatusOK, `{"id":"*","timestamp":"*","eventType":"a.b","eventId":null,"channels":null,`+
			`"payload":{}}`)
	a.delivered(1)
	a.post(path, `{"eventType":"svix.ping"}`).expect(http.StatusOK, "")
	a.delivered(2)
	a.post(path, `{"eventType":"c.d"}`).
		expect(http.StatusBadRequest, problem("invalid_scheme", "Unable to generate example message from "+
			"event-type schema"))
	a.post(path, `{"eventType":"e.f"}`).expect(http.StatusNotFound, notFound)
	a.post(path, `{}`).expect(http.StatusUnprocessableEntity, "")

	if got := one.deliveries(); len(got) != 2 || string(got[0].body) != `{"x":1}` ||
		string(got[1].body) != `{"success": true}` {
		t.Errorf("got deliveries %v, want the example and the ping", got)
	}
	if got := two.deliveries(); len(got) != 0 {
		t.Errorf("the other endpoint got %v", got)
	}
}

// A server works under a prefix of the path, as behind a proxy.
func TestPathPrefix(t *testing.T) {
	t.Parallel()
	p := inMemory(t)
	web := httptest.NewServer(http.StripPrefix("/base", p.mock))
	t.Cleanup(web.Close)
	p.http, p.base = web.Client(), web.URL+"/base"
	if got, err := p.create(t.Context()); err != nil || got.status != http.StatusCreated {
		t.Errorf("got %v and error %v", got, err)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newMemoryAPI(t, svixmock.Config{KeepDeliveries: 10})
		app := a.app()
		a.receiver("https://fails.example", status(500))
		hangs := a.receiver(
			"https://hangs.example",
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		)
		a.endpoint(app, "https://fails.example")
		a.endpoint(app, "https://hangs.example")
		msg := a.message(app)
		synctest.Wait()
		start := time.Now()
		a.mock.Close()
		a.mock.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("closing took %v", took)
		}
		a.message(app)
		time.Sleep(100 * time.Hour)
		if got := a.attempts(app, msg); len(got) != 1 {
			t.Errorf("got attempts %v, want the one that had ended", got)
		}
		if n := len(hangs.deliveries()); n != 1 {
			t.Errorf("got %d deliveries at the hanging receiver, want 1", n)
		}
		if err := a.mock.WaitForDeliveries(t.Context(), 2); err == nil {
			t.Error("waited for a delivery that a closed server made")
		}
	})
}
