// Package browsertest_test looks at the dashboard with a browser.
package browsertest_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard/dashboardtest"
)

var shots = flag.String("shots", "", "write pictures of the pages into this folder")

// chromium is the browser that there is.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: there is no Chromium on this machine, so that nobody has looked at the dashboard")
	return ""
}

// newBrowser returns the context of a browser that knows nothing yet.
func newBrowser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()),
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(options, flags...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// open comes to the dashboard of a scene with a browser and tells of everything that the pages do
// wrong: errors of the script, and what their policy forbids.
func open(t *testing.T, s *dashboardtest.Scene, flags ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	ctx := newBrowser(t, flags...)
	d := dashboard.New(dashboard.Config{Client: s.Client, Server: dashboardtest.ServerURL})
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	b := &browser{T: t, ctx: ctx, url: server.URL, key: d.Key()}
	b.visit("/?key=" + d.Key())
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	listen(b, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) string { return e.ExceptionDetails.Text })
	listen(b, log.EntryAdded, func(e log.EventEntryAdded) string { return e.Entry.Text })
	return b
}

// A browser is at a page of the dashboard.
type browser struct {
	*testing.T

	ctx      context.Context //nolint:containedctx // chromedp keeps the browser in it
	url, key string

	mu       sync.Mutex
	troubles []string
}

func listen[E any](b *browser, event cdp.Event[E], text func(E) string) {
	events := chromedp.Events(b.ctx, event)
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.troubles = append(b.troubles, text(e))
			b.mu.Unlock()
		}
	}()
}

// fine fails the test if a page did something wrong.
func (b *browser) fine() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.troubles) > 0 {
		b.Errorf("the browser tells of %q", b.troubles)
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

func (b *browser) visit(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

// ask returns the value of an expression on the page.
func ask[T any](b *browser, expression string) T {
	b.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatal(err)
	}
	return value
}

// wait returns how long it takes until an expression holds, 10 seconds at most.
func (b *browser) wait(expression string) time.Duration {
	b.Helper()
	began := time.Now()
	for !ask[bool](b, "!!("+expression+")") {
		if time.Since(began) > 10*time.Second {
			b.Fatalf("never true: %s, on %s", expression, ask[string](b, "document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

func (b *browser) heading() string {
	b.Helper()
	return ask[string](b, `document.querySelector("h1").textContent`)
}

const rows = `document.querySelectorAll("#rows tr").length`

func filled(t *testing.T) *dashboardtest.Scene {
	t.Helper()
	s := dashboardtest.New(t)
	s.Fill(60)
	return s
}

func newVisit(origin string) webhooks.Event {
	return webhooks.Event{Type: webhooks.TypeOriginVisit, Channel: origin, Payload: webhooks.OriginVisit{
		OriginURL: origin, VisitType: "git", VisitStatus: webhooks.VisitFull,
		VisitDate: webhooks.NewVisitDate(time.Now()),
	}}
}

func TestEachPageLooksRight(t *testing.T) {
	t.Parallel()
	s := filled(t)
	b := open(t, s)
	kernel := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	failed := s.Failed(t)
	for path, heading := range map[string]string{
		"/?type=origin.visit":                                "origin.visit",
		"/endpoint?type=origin.visit&id=" + kernel.ID:        kernel.URL,
		"/deliveries?type=origin.visit":                      "Deliveries",
		"/message?type=origin.visit&id=" + failed:            failed,
		"/message?type=origin.visit&id=msg_0000000000000000": "Not Found",
	} {
		for _, width := range []int64{1280, 390} {
			b.do(chromedp.EmulateViewport(width, 844))
			b.visit(path)
			if got := b.heading(); got != heading {
				t.Errorf("%s has the heading %q, want %q", path, got, heading)
			}
			if wide := ask[int64](b, `document.documentElement.scrollWidth`); wide > width {
				t.Errorf("%s is %d pixels wide on a screen of %d", path, wide, width)
			}
		}
	}
	b.mu.Lock()
	b.troubles = nil // the page that is not there is one
	b.mu.Unlock()
	b.visit("/")
	b.fine()
}

func TestFilter(t *testing.T) {
	t.Parallel()
	b := open(t, filled(t))
	b.visit("/deliveries?type=origin.visit")
	all := ask[int](b, rows)
	b.do(chromedp.SetValue(`select[name="status"]`, "bad"), chromedp.Click(`main form.filter button`))
	b.wait(`location.search.includes("status=bad") && document.readyState === "complete"`)
	if failed, bad := ask[int](b, rows),
		ask[int](b, `document.querySelectorAll("#rows .pill.bad").length`); failed == 0 ||
		failed >= all || failed != bad {
		t.Errorf("%d rows after the filter, %d of them failed; %d before", failed, bad, all)
	}
	b.fine()
}

func TestLiveUpdate(t *testing.T) {
	t.Parallel()
	s := filled(t)
	b := open(t, s)
	kernel := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	for _, path := range []string{
		"/deliveries?type=origin.visit",
		"/deliveries?type=origin.visit&endpoint=" + kernel.ID,
	} {
		b.visit(path)
		b.wait(`document.querySelector("#live.on")`)
		sent := s.Send(newVisit("https://github.com/torvalds/linux"))
		took := b.wait(`document.querySelector("#rows").textContent.includes("` + sent.ID + `")`)
		t.Logf("%s: after %v", path, took.Round(time.Millisecond))
		if took > 3*time.Second {
			t.Errorf("%s: the delivery appears after %v", path, took)
		}
	}
	b.do(chromedp.Click(`#live button`))
	held := s.Send(newVisit("https://github.com/torvalds/linux"))
	b.wait(`document.querySelector("#live button").textContent.includes("(")`)
	if ask[bool](b, `document.querySelector("#rows").textContent.includes("`+held.ID+`")`) {
		t.Error("the list goes on while it is paused")
	}
	b.do(chromedp.Click(`#live button`))
	b.wait(`document.querySelector("#rows").textContent.includes("` + held.ID + `")`)
	b.fine()
}

func TestResend(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := filled(t)
			b := open(t, s)
			sent := s.Send(newVisit("https://github.com/torvalds/linux"))
			if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled,
				emulation.SetScriptExecutionDisabledParams{Value: !scripts}); err != nil {
				t.Fatal(err)
			}
			b.visit("/message?type=origin.visit&id=" + sent.ID)
			b.do(chromedp.Click(`.trail .confirm summary`),
				chromedp.WaitVisible(`.trail .confirm[open] button`), chromedp.Click(`.trail .confirm[open] button`),
				chromedp.WaitVisible(`.done`))
			if scripts { // else the page has to be loaded anew
				b.wait(`document.querySelector(".attempts").textContent.includes("resent")`)
			}
			manual := 0
			for began := time.Now(); manual == 0 &&
				time.Since(began) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
				for ev, err := range s.Client.ListSentEventsForMessage(t.Context(), webhooks.TypeOriginVisit, sent.ID) {
					if err != nil {
						t.Fatal(err)
					}
					if ev.Manual {
						manual++
					}
				}
			}
			if manual != 1 {
				t.Errorf("resent %d times, want once", manual)
			}
			b.fine()
		})
	}
}

func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := filled(t)
	b := open(t, s)
	kernel := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	b.visit("/endpoint?type=origin.visit&id=" + kernel.ID)
	b.do(chromedp.KeyEvent("\t"))
	if got := ask[string](b, `document.activeElement.className`); got != "skip" {
		t.Errorf("the first stop is %q, want the link to the content", got)
	}
	for range 60 {
		if ask[bool](b, `document.activeElement.matches(".confirm summary")`) {
			break
		}
		b.do(chromedp.KeyEvent("\t"))
	}
	b.do(chromedp.KeyEvent("\r"), chromedp.KeyEvent("\t"))
	if got := ask[string](b, `document.activeElement.textContent`); got != "Yes, disable" {
		t.Fatalf("the focus is on %q", got)
	}
	b.do(chromedp.KeyEvent("\r"), chromedp.WaitVisible(".done"))
	if !s.Endpoint(t, webhooks.TypeOriginVisit, kernel.URL).Disabled {
		t.Error("the endpoint is not disabled")
	}
	b.fine()
}

// Whatever strangers write is text.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	const attack = `"><script>window.hit=1</script><img src=x onerror="window.hit=2"><svg onload="window.hit=3">` +
		"\u202e"
	s := dashboardtest.New(t)
	if err := s.Client.CreateEventType(t.Context(),
		webhooks.EventType{
			Name: "group.hostile", Description: attack,
			Schema: []byte(`{"type":"object"}`),
		}); err != nil {
		t.Fatal(err)
	}
	ep := webhooks.Endpoint{
		URL:       "https://hostile.example.org/" + url.PathEscape(attack) + "?" + attack[:90],
		EventType: "group.hostile", Channel: "javascript:window.hit=4//" + attack,
		Metadata: map[string]string{attack: attack},
	}
	if err := s.Client.CreateEndpoint(t.Context(), ep, ""); err != nil {
		t.Fatal(err)
	}
	s.Receive("https://hostile.example.org", func(w http.ResponseWriter) {
		http.Error(w, attack+strings.Repeat("A", 18_000), http.StatusTeapot)
	})
	payload := map[string]string{attack: attack, "long": strings.Repeat("A", 1_000_000)}
	sent, err := s.Client.SendEvent(t.Context(),
		webhooks.Event{Type: "group.hostile", Channel: ep.Channel, Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaitForDeliveries(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	b := open(t, s)
	listed := s.Endpoint(t, "group.hostile", "https://hostile")
	for _, path := range []string{
		"/?type=group.hostile", "/endpoint?type=group.hostile&id=" + listed.ID,
		"/deliveries?type=group.hostile", "/message?type=group.hostile&id=" + sent.ID,
		"/deliveries?type=group.hostile&channel=" + url.QueryEscape(attack),
	} {
		b.visit(path)
		if !ask[bool](b, `window.hit === undefined`) {
			t.Errorf("%s: a script of a stranger has run", path)
		}
		if n := ask[int](b, `document.querySelectorAll("script:not([src]), img:not(.brand img), `+
			`[onload], [onerror], a[href^='javascript']").length`); n != 0 {
			t.Errorf("%s: %d elements of a stranger", path, n)
		}
		if ask[bool](b, `document.body.innerText.includes("\u202e")`) {
			t.Errorf("%s: the text changes its direction", path)
		}
	}
	b.fine()
}

// A page on another port of this machine has the browser send the cookie along.
func TestOtherOrigin(t *testing.T) {
	t.Parallel()
	s := filled(t)
	kernel := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	b := open(t, s, chromedp.Flag("host-resolver-rules", "MAP rebound.example 127.0.0.1"))
	page := `<!doctype html><script>
const target = "` + b.url + `", results = {};
const fields = {do: "disable", type: "origin.visit", id: "` + kernel.ID + `", token: "guessed"};
const form = (name) => {
  const f = document.createElement("form");
  f.method = "post"; f.action = target + "/action"; f.target = name;
  for (const [k, v] of Object.entries(fields)) {
    const i = document.createElement("input");
    i.name = k; i.value = v;
    f.append(i);
  }
  document.body.append(f);
  f.submit();
};
addEventListener("load", async () => {
  try {
    results.read = await (await fetch(target + "/", {credentials: "include"})).text();
  } catch { results.read = ""; }
  const blind = fetch(target + "/", {credentials: "include", mode: "no-cors"});
  results.opaque = (await blind.catch(() => ({type: "refused"}))).type;
  const source = new EventSource(target + "/live?type=origin.visit", {withCredentials: true});
  results.stream = await new Promise((done) => {
    source.onmessage = () => done("message");
    source.onopen = () => done("open");
    source.onerror = () => done("refused");
  });
  source.close();
  const frame = document.createElement("iframe"); frame.src = target + "/"; document.body.append(frame);
  await new Promise((done) => { frame.onload = done; setTimeout(done, 2000); });
  try {
    results.framed = frame.contentDocument ? frame.contentDocument.body.innerText : "";
  } catch { results.framed = ""; }
  form("sink");
  setTimeout(() => { window.results = results; }, 500);
});
</script><body><iframe name="sink"></iframe></body>`
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(other.Close)
	b.do(chromedp.Navigate(other.URL))
	b.wait(`window.results`)
	results := ask[map[string]string](b, `window.results`)
	if results["read"] != "" || results["framed"] != "" || results["stream"] != "refused" {
		t.Errorf("the other origin has %q", results)
	}
	if s.Endpoint(t, webhooks.TypeOriginVisit, kernel.URL).Disabled {
		t.Error("the other origin has disabled an endpoint")
	}
	// A name of the attacker that points here: the page is the attacker's own origin then, so that
	// nothing but the name tells.
	rebound := strings.Replace(b.url, "127.0.0.1", "rebound.example", 1)
	for _, address := range []string{rebound + "/", rebound + "/?key=" + b.key} {
		b.do(chromedp.Navigate(address))
		if got := ask[string](b, `document.body.innerText`); !strings.Contains(got, "not reached by this name") {
			t.Errorf("%s shows %.200s", address, got)
		}
	}
	b.visit("/")
	if got := b.heading(); got != "origin.create" {
		t.Errorf("afterwards the dashboard shows %q", got)
	}
}

func TestShots(t *testing.T) {
	if *shots == "" {
		t.Skip("no folder is given")
	}
	s := dashboardtest.New(t)
	s.Slow = true
	s.Fill(600)
	failed := s.Failed(t)
	b := open(t, s)
	kernel := s.Endpoint(t, webhooks.TypeOriginVisit, "https://ci.kernel.example")
	pages := map[string]string{
		"overview":   "/?type=origin.visit&window=day",
		"create":     "/?type=origin.create&window=week",
		"endpoint":   "/endpoint?type=origin.visit&window=week&id=" + kernel.ID,
		"deliveries": "/deliveries?type=origin.visit",
		"message":    "/message?type=origin.visit&id=" + failed,
	}
	for name, path := range pages {
		for _, size := range []struct{ width, height int64 }{{1280, 800}, {390, 844}} {
			for _, scheme := range []string{"light", "dark"} {
				media := emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				}
				if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
					t.Fatal(err)
				}
				b.do(chromedp.EmulateViewport(size.width, size.height))
				b.visit(path)
				time.Sleep(200 * time.Millisecond) // for the list to become live
				picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(*shots, fmt.Sprintf("%s-%d-%s.png", name, size.width, scheme))
				if err := os.WriteFile(file, picture, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
