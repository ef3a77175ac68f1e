package svixmock_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Section 18 of the contract: requests and the answers that a real server gave. A line says what of
// its answer has to be the same; what the mock does not imitate is listed here, and in README.md.

// record is one line of the recordings.
type record struct {
	Scenario string          `json:"scenario"`
	Step     int             `json:"step"`
	Label    string          `json:"label"`
	Request  recordedRequest `json:"request"`
	Answer   recordedAnswer  `json:"answer"`
	Exact    []string        `json:"exact"`
	Until    int             `json:"until"`
}

type recordedAnswer struct {
	Status  any               `json:"status"` // a number, or "DROP"
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	Text    string            `json:"text"`
	Code    string            `json:"code"`
	Detail  json.RawMessage   `json:"detail"`
}

// recordings are the lines by scenario.
func recordings(t *testing.T) map[string][]record {
	t.Helper()
	file, err := os.Open("testdata/recorded.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	scenarios := map[string][]record{}
	for lines := json.NewDecoder(file); ; {
		var r record
		err := lines.Decode(&r)
		if err == io.EOF {
			return scenarios
		}
		if err != nil {
			t.Fatal(err)
		}
		scenarios[r.Scenario] = append(scenarios[r.Scenario], r)
	}
}

func TestRecordedAnswers(t *testing.T) {
	t.Parallel()
	var equal, total, spared atomic.Int64
	t.Cleanup(func() {
		t.Logf(
			"%d of %d recorded answers are equal, %d are not imitated",
			equal.Load(),
			total.Load(),
			spared.Load(),
		)
	})
	for scenario, records := range recordings(t) {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			p := newPlayer(t)
			for _, r := range records {
				total.Add(1)
				diffs := p.play(t, r)
				reason := reasonFor(r)
				switch {
				case reason != "" && len(diffs) == 0:
					t.Errorf("step %d (%s) is equal, although: %s", r.Step, r.Label, reason)
				case reason != "":
					spared.Add(1)
				case len(diffs) == 0:
					equal.Add(1)
				default:
					t.Errorf("step %d (%s):\n%s", r.Step, r.Label, strings.Join(diffs, "\n"))
				}
			}
		})
	}
}

// notImitated are the steps whose answers differ, by the reason.
var notImitated = map[string][]string{
	"net/http refuses the request itself, with a text of its own": {
		"raw_http 1", "raw_http 5", "raw_http 6", "raw_http 7", "raw_http 8", "raw_http 9", "raw_http 11",
		"slashes 11", "slashes 12",
	},
	"objects that serde_json uses for itself are objects like others": {
		"payloads 209", "payloads 210", "payloads 212", "payloads 213", "payloads 215", "payloads 216", "payloads 218",
		"payloads 219", "payloads 220",
	},
}

// reasonFor is why a step is not imitated, empty if it is.
func reasonFor(r record) string {
	for reason, steps := range notImitated {
		if slices.Contains(steps, fmt.Sprint(r.Scenario, " ", r.Step)) {
			return reason
		}
	}
	return ""
}

// player plays a scenario on an empty server.
type player struct {
	mock     *svixmock.Server
	host     string
	receiver string
	clock    *recordedClock
	bindings map[string]string
}

// recordedClock goes on by itself, and by 6 ms after each request, so that ids have an order.
type recordedClock struct{ ahead atomic.Int64 }

func (c *recordedClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *recordedClock) step() { c.ahead.Add(int64(6 * time.Millisecond)) }

func newPlayer(t *testing.T) *player {
	t.Helper()
	mock := svixmock.New(svixmock.Config{Secret: secret, RetrySchedule: []time.Duration{time.Hour}})
	p := &player{mock: mock, clock: new(recordedClock), bindings: map[string]string{}}
	mock.SetClock(p.clock.now)
	server := httptest.NewServer(mock)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code, err := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:]); err == nil {
			w.WriteHeader(code)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(func() {
		mock.Close()
		server.Close()
		receiver.Close()
	})
	p.host = server.Listener.Addr().String()
	p.receiver = receiver.Listener.Addr().String()
	return p
}

// play makes a request and compares the answer.
func (p *player) play(t *testing.T, r record) []string {
	t.Helper()
	got, err := p.send(t, r.Request)
	for deadline := time.Now().Add(5 * time.Second); r.Until > 0 && err == nil && items(got.body) != r.Until; {
		if time.Now().After(deadline) {
			return []string{fmt.Sprintf("got %d items, want %d", items(got.body), r.Until)}
		}
		time.Sleep(2 * time.Millisecond) // until the delivery was made and is listed
		got, err = p.send(t, r.Request)
	}
	p.clock.step()
	c := comparison{fill: p.fill, bindings: p.bindings}
	c.compare(r, got, err)
	return c.diffs
}

func items(body []byte) int {
	var page struct {
		Data []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return -1
	}
	return len(page.Data)
}

// send sends the bytes of a request over a connection of its own.
func (p *player) send(t *testing.T, r recordedRequest) (answer, error) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = conn.Write(r.bytes(t, p)) }() // the answer may come before all is written
	stream := bufio.NewReader(conn)
	resp, err := http.ReadResponse(stream, &http.Request{Method: r.Method})
	if err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(stream, &http.Request{Method: r.Method})
	}
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{t: t, status: resp.StatusCode, header: resp.Header, body: body}, err
}

// comparison compares an answer with a recorded one.
type comparison struct {
	fill     func(string) string // of the placeholders of requests
	bindings map[string]string
	diffs    []string
}

func (c *comparison) differ(format string, args ...any) {
	c.diffs = append(c.diffs, "\t"+fmt.Sprintf(format, args...))
}

func (c *comparison) compare(r record, got answer, err error) {
	want := r.Answer
	status, isNumber := want.Status.(float64)
	switch {
	case !isNumber && err == nil:
		c.differ("got status %d and %.300s, want no answer", got.status, got.body)
		return
	case !isNumber:
		return
	case err != nil:
		c.differ("got error %v, want status %v", err, want.Status)
		return
	case got.status != int(status):
		c.differ(
			"got status %d and %.300s, want %v %s%s%.300s%s",
			got.status,
			got.body,
			want.Status,
			want.Code,
			want.Text,
			want.Body,
			want.Detail,
		)
		return
	}
	for _, aspect := range r.Exact {
		switch aspect {
		case "headers":
			c.headers(want.Headers, got.header)
		case "body":
			c.value("", exactJSON(want.Body), exactJSON(got.body))
		case "bytes", "text":
			text := want.Text
			if aspect == "bytes" {
				text = string(want.Body)
			}
			if !c.text(text, string(got.body)) {
				c.differ("got the text %.300q, want %.300q", got.body, text)
			}
		}
	}
	if want.Detail != nil {
		c.failure(r, got.body)
	}
}

// comparedHeaders are those that recordings have; one that a recording has not must be missing.
var comparedHeaders = []string{
	"Content-Type", "Location", "Allow", "Vary", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Headers", "Access-Control-Max-Age",
}

func (c *comparison) headers(want map[string]string, got http.Header) {
	for _, name := range comparedHeaders {
		if wanted, has := want[strings.ToLower(name)], got.Get(name); !c.text(wanted, has) {
			c.differ("got header %s: %q, want %q", name, has, wanted)
		}
	}
}

// failure compares the answer to a request that was refused.
func (c *comparison) failure(r record, body []byte) {
	var got struct {
		Code   *string         `json:"code"`
		Detail json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		c.differ("got %.300q, want a JSON object: %v", body, err)
		return
	}
	if slices.Contains(r.Exact, "code") && (got.Code == nil || *got.Code != r.Answer.Code) {
		c.differ("got %s, want the code %q", body, r.Answer.Code)
	}
	if slices.Contains(r.Exact, "detail") {
		c.value("detail", exactJSON(r.Answer.Detail), exactJSON(got.Detail))
	}
	if slices.Contains(r.Exact, "loc") {
		c.issues(r, got.Detail)
	}
}

var position = regexp.MustCompile(` at line \d+ column \d+$`)

// issues compares the items of a 422, which come in any order.
func (c *comparison) issues(r record, detail []byte) {
	texts := func(raw []byte) []string {
		var issues []issue
		if err := json.Unmarshal(raw, &issues); err != nil {
			return []string{string(raw)}
		}
		var texts []string
		for _, i := range issues {
			i.Msg = position.ReplaceAllString(i.Msg, "")
			if !slices.Contains(r.Exact, "msg") {
				i.Msg = ""
			}
			texts = append(texts, fmt.Sprintf("%q %s %s", i.Loc, i.Type, i.Msg))
		}
		return slices.Sorted(slices.Values(texts))
	}
	want, got := texts(r.Answer.Detail), texts(detail)
	if len(want) != len(got) || slices.ContainsFunc(want, func(w string) bool {
		return !slices.ContainsFunc(got, func(g string) bool { return c.text(w, g) })
	}) {
		c.differ("got  %s\n\twant %s", strings.Join(got, "\n\t     "), strings.Join(want, "\n\t     "))
	}
}

// sets are members whose items come in any order.
var sets = []string{"eventTypes", "filterTypes", "channels", "sensitive"}

// value compares two JSON values at a place.
func (c *comparison) value(at string, want, got any) {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
			c.differ("%s: got %s, want %s", at, jsonText(got), jsonText(want))
			return
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			c.value(at+"."+name, want[name], got[name])
		}
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			c.differ("%s: got %s, want %s", at, jsonText(got), jsonText(want))
			return
		}
		if slices.ContainsFunc(sets, func(name string) bool { return strings.HasSuffix(at, "."+name) }) {
			byText := func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
			got, want = slices.SortedFunc(slices.Values(got), byText), slices.SortedFunc(slices.Values(want), byText)
		}
		for i := range want {
			c.value(at+"["+strconv.Itoa(i)+"]", want[i], got[i])
		}
	case string:
		if want == "<ms>" {
			if _, ok := got.(json.Number); ok {
				return
			}
		}
		if text, ok := got.(string); !ok || !c.text(want, text) {
			c.differ("%s: got %v, want %q", at, got, want)
		}
	default:
		if want != got {
			c.differ("%s: got %v, want %v", at, got, want)
		}
	}
}

// forms are what placeholders of each kind stand for.
var forms = map[string]string{
	"app": `app_[0-9A-Za-z]{27}`, "ep": `ep_[0-9A-Za-z]{27}`, "msg": `msg_[0-9A-Za-z]{27}`,
	"atmpt": `atmpt_[0-9A-Za-z]{27}`,
	"org":   `org_[0-9A-Za-z]{27}`, "qtask": `qtask_[0-9A-Za-z]{27}`,
	"sec": `whsec_[0-9A-Za-z+/]+=*|wh[ps]k_[0-9A-Za-z+/]+=*`,
	"jwt": `[\w-]+\.[\w-]+\.[\w-]+`, "ts": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`,
	"ts UTC": `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? UTC`,
}

var placeholder = regexp.MustCompile(`<(app|ep|msg|atmpt|org|qtask|sec|jwt|ts UTC|ts)(@\d+\.\d+)?>`)

// text compares a text that may have placeholders, and binds those that it meets first.
func (c *comparison) text(want, got string) bool {
	want = c.fill(want)
	var pattern strings.Builder
	var names []string
	pattern.WriteString(`\A`)
	rest := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		pattern.WriteString(regexp.QuoteMeta(want[rest:at[0]]))
		name, kind := want[at[0]:at[1]], want[at[2]:at[3]]
		rest = at[1]
		switch bound, known := c.bindings[name]; {
		case known:
			pattern.WriteString(regexp.QuoteMeta(bound))
		case at[4] < 0:
			pattern.WriteString("(?:" + forms[kind] + ")")
		default:
			names = append(names, name)
			pattern.WriteString("(" + forms[kind] + ")")
		}
	}
	pattern.WriteString(regexp.QuoteMeta(want[rest:]) + `\z`)
	found := regexp.MustCompile(pattern.String()).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range names {
		c.bindings[name] = found[i+1]
	}
	return true
}

func exactJSON(text []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return fmt.Sprintf("%s: %v", text, err)
	}
	return v
}
