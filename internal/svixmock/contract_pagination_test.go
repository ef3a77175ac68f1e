package svixmock_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

const day = 24 * time.Hour

// comparePages lets cmp look into pages.
var comparePages = cmp.AllowUnexported(page{})

// series creates an application with n messages, a second apart from start on. The clock stays with
// the last.
func (a *api) series(n int) (app string, ids []string) {
	a.t.Helper()
	clock := a.clock()
	app = a.app()
	for i := range n {
		clock.set(time.Duration(i) * time.Second)
		ids = append(ids, a.message(app))
	}
	return app, ids
}

// names returns the JSON of an array of n names.
func names(n int) string {
	list := []string{}
	for i := range n {
		list = append(list, "n"+strconv.Itoa(i))
	}
	return jsonText(list)
}

// Sections 5.1 to 5.3: lists that are not limited in time, of five items a second apart: 0 is the
// first in the list's natural order, by creation, or by name.
func TestSimpleLists(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	var apps, endpoints []string
	for i := range 5 {
		clock.set(time.Duration(i) * time.Second)
		apps = append(apps, strings.TrimPrefix(a.app(), "/app/"))
	}
	app := "/app/" + apps[0]
	for i := range 5 {
		clock.set(time.Duration(i) * time.Second)
		endpoints = append(endpoints, a.endpoint(app, "https://a.example"))
	}
	types := []string{"B", "a", "a.b", "a_b", "b"}
	a.eventType("b", "a", "a_b", "B", "a.b")
	lists := map[string]struct {
		path   string
		ids    []string // ascending
		orders map[string]bool
		zero   string // an iterator below all items
		above  string // one above all
	}{
		"applications": {
			"/app",
			apps,
			map[string]bool{"": true, "ascending": true, "descending": false},
			"app_0",
			"app_zzz",
		},
		"endpoints": {
			app + "/endpoint",
			endpoints,
			map[string]bool{"": false, "ascending": true, "descending": false},
			"ep_0",
			"ep_zzz",
		},
		"event types": {
			"/event-type",
			types,
			map[string]bool{"": true, "ascending": true, "descending": true},
			"A",
			"c",
		},
	}
	for name, list := range lists {
		for order, ascending := range list.orders {
			t.Run(name+" "+order, func(t *testing.T) {
				a := a.with(t)
				path := list.path + "?"
				if order != "" {
					path += "order=" + order + "&"
				}
				ids, before, behind := slices.Clone(list.ids), list.zero, list.above
				if !ascending {
					slices.Reverse(ids)
					before, behind = behind, before
				}
				checkPages(t, a, path, ids, before, behind)
			})
		}
	}
}

// checkPages checks all ways through a list with the five ids in its order.
func checkPages(t *testing.T, a *api, path string, ids []string, before, behind string) {
	t.Helper()
	cut := func(from, to int, done bool) page {
		p := page{ids: ids[from:to], iterator: "null", done: done}
		if from < to {
			p.iterator, p.prev = ids[to-1], "-"+ids[from]
		}
		return p
	}
	for query, want := range map[string]page{
		"":                              cut(0, 5, true),
		"limit=250":                     cut(0, 5, true),
		"limit=5":                       cut(0, 5, true),
		"limit=4":                       cut(0, 4, false),
		"limit=2":                       cut(0, 2, false),
		"limit=0":                       cut(0, 0, false),
		"limit=0&iterator=" + ids[4]:    cut(5, 5, true),
		"limit=2&iterator=" + ids[1]:    cut(2, 4, false),
		"limit=2&iterator=" + ids[2]:    cut(3, 5, true),
		"limit=2&iterator=" + ids[3]:    cut(4, 5, true),
		"limit=2&iterator=" + ids[4]:    cut(5, 5, true),
		"limit=2&iterator=" + before:    cut(0, 2, false),
		"limit=2&iterator=" + behind:    cut(5, 5, true),
		"limit=2&iterator=-" + ids[4]:   cut(2, 4, false),
		"limit=2&iterator=-" + ids[2]:   cut(0, 2, true),
		"limit=2&iterator=-" + ids[1]:   cut(0, 1, true),
		"limit=2&iterator=-" + ids[0]:   cut(0, 0, true),
		"limit=2&iterator=-" + behind:   cut(3, 5, false),
		"limit=250&iterator=-" + ids[3]: cut(0, 3, true),
	} {
		if diff := cmp.Diff(want, a.list(path+query), comparePages); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestDefaultLimit(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app, ids := a.series(51)
	for range 51 {
		a.app()
		a.endpoint(app, "https://a.example")
	}
	for i := range 51 {
		a.eventType(fmt.Sprintf("type.%d", i))
	}
	for _, path := range []string{"/app", "/event-type", app + "/endpoint", app + "/msg"} {
		if p := a.list(path); len(p.ids) != 50 || p.done {
			t.Errorf("%s: got %d items and done %t, want 50 and false", path, len(p.ids), p.done)
		}
	}
	if got := a.list(app + "/msg?limit=250").ids; len(got) != len(ids) {
		t.Errorf("got %d messages, want %d", len(got), len(ids))
	}
}

func TestDeletedAreNotListed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app, gone := a.app(), a.app()
	endpoint, goneEndpoint := a.endpoint(app, "https://a.example"), a.endpoint(app, "https://a.example")
	a.do(http.MethodDelete, gone, "").expect(http.StatusNoContent, noBody)
	a.do(http.MethodDelete, app+"/endpoint/"+goneEndpoint, "").expect(http.StatusNoContent, noBody)
	if diff := cmp.Diff([]string{app[5:]}, a.list("/app").ids); diff != "" {
		t.Errorf("applications (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{endpoint}, a.list(app+"/endpoint").ids); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}

// Section 5.4: items 0 to 4, a second apart from start on. A page is written as the items on it,
// newest first.
func TestTimeLimitedLists(t *testing.T) {
	t.Parallel()
	lists := map[string]func(a *api) (path string, ids []string){
		"messages": func(a *api) (string, []string) {
			app, ids := a.series(5)
			return app + "/msg", ids
		},
		"attempts by endpoint": func(a *api) (string, []string) {
			clock := a.clock()
			app := a.app()
			endpoint := a.endpoint(app, "https://receiver.example")
			var ids []string
			for i := range 5 {
				clock.set(time.Duration(i) * time.Second)
				msg := a.message(app)
				a.delivered(i + 1)
				ids = append(ids, a.attempts(app, msg)[0]["id"].(string))
			}
			return app + "/attempt/endpoint/" + endpoint, ids
		},
		"attempts by message": func(a *api) (string, []string) {
			clock := a.clock()
			app := a.app()
			endpoint := a.endpoint(app, "https://receiver.example")
			msg := a.message(app)
			var ids []string
			for i := range 5 {
				if i > 0 {
					clock.set(time.Duration(i) * time.Second)
					a.post(app+"/msg/"+msg+"/endpoint/"+endpoint+"/resend", "").
						expect(http.StatusAccepted, `{}`)
				}
				a.delivered(i + 1)
				ids = append(ids, a.attempts(app, msg)[0]["id"].(string))
			}
			return app + "/attempt/msg/" + msg, ids
		},
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
			a.receiver("https://receiver.example")
			path, ids := list(a)
			checkWindows(t, a, path+"?", ids)
		})
	}
}

// window is a query of a list of five items and the page that answers it. In the query, #n stands
// for the id of item n and @n for the time n seconds after start.
type window struct {
	query string
	items []int
	done  bool
}

func checkWindows(t *testing.T, a *api, path string, ids []string) {
	t.Helper()
	for _, w := range []window{
		{"", []int{4, 3, 2, 1, 0}, true},
		{"limit=5", []int{4, 3, 2, 1, 0}, true},
		{"limit=2", []int{4, 3}, false},
		{"limit=0", nil, false},
		{"limit=2&iterator=#3", []int{2, 1}, false},
		{"limit=2&iterator=#2", []int{1, 0}, true},
		{"limit=2&iterator=#0", nil, true},
		{"limit=2&iterator=-#1", []int{3, 2}, false},
		{"limit=2&iterator=-#2", []int{4, 3}, true},
		{"limit=2&iterator=-#4", nil, true},
		{"limit=2&before=@3", []int{2, 1}, false},
		{"limit=2&before=@2", []int{1, 0}, true},
		{"limit=2&before=@0", nil, true},
		{"limit=2&after=@0", []int{1, 0}, false},
		{"limit=2&after=@1", []int{2, 1}, false},
		{"limit=2&after=@3", []int{4, 3}, true},
		{"limit=2&after=@5", nil, true},
		{"limit=2&after=@1&before=@4", []int{3, 2}, false},
		{"limit=3&after=@1&before=@4", []int{3, 2, 1}, true},
		{"limit=2&after=@4&before=@1", nil, true},
		{"limit=2&after=@1&before=@4&iterator=#3", []int{2, 1}, true},
		{"limit=2&after=@1&before=@4&iterator=-#1", []int{3, 2}, true},
		{"limit=1&after=@1&before=@4&iterator=-#1", []int{2}, false},
		{"limit=2&after=@2&iterator=#4", []int{3, 2}, true},
		{"limit=1&after=@1&iterator=-#1", []int{2}, false},
		{"limit=2&after=@1&iterator=#1", nil, true},
		{"limit=2&before=@3&iterator=-#0", []int{2, 1}, true},
		{"limit=2&before=@3&iterator=#2", []int{1, 0}, true},
	} {
		query := w.query
		for i, id := range ids {
			query = strings.ReplaceAll(query, "#"+strconv.Itoa(i), id)
		}
		for i := range 6 {
			query = strings.ReplaceAll(query, "@"+strconv.Itoa(i), at(time.Duration(i)*time.Second))
		}
		if diff := cmp.Diff(w.page(ids), a.list(path+query), comparePages); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.query, diff)
		}
	}
}

// page is the window's page in terms of ids.
func (w window) page(ids []string) page {
	p := page{ids: []string{}, iterator: "null", done: w.done}
	for _, i := range w.items {
		p.ids = append(p.ids, ids[i])
		p.iterator = ids[i]
	}
	if len(p.ids) > 0 {
		p.prev = "-" + p.ids[0]
	}
	return p
}

// Section 5.4: messages of days 0, 50, 100, 150 and 200; here #n and @n stand for days.
func TestNinetyDays(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	app := a.app()
	ids := map[int]string{}
	for d := 0; d <= 200; d += 50 {
		clock.set(time.Duration(d) * day)
		ids[d] = a.message(app)
	}
	tests := map[string]struct {
		now   time.Duration // default: day 200
		query string
		want  []int
	}{
		"none":                     {0, "", []int{200, 150}},
		"before":                   {0, "before=@170", []int{150, 100}},
		"before, edge":             {0, "before=@141", []int{100}},
		"after":                    {0, "after=@20", []int{100, 50}},
		"after, edge":              {0, "after=@9", []int{50}},
		"before and after":         {0, "after=@20&before=@170", []int{150, 100}},
		"iterator":                 {0, "iterator=#200", []int{150}},
		"previous iterator":        {0, "iterator=-#50", []int{100}},
		"iterator and after":       {0, "iterator=#200&after=@20", []int{100, 50}},
		"iterator and before":      {0, "iterator=#200&before=@195", []int{150}},
		"previous, and before":     {0, "iterator=-#0&before=@120", []int{100, 50}},
		"previous, and after":      {0, "iterator=-#0&after=@120", []int{200, 150}},
		"future":                   {160 * day, "", []int{150, 100}},
		"future, after":            {160 * day, "after=@140", []int{150}},
		"future, up to an hour":    {200*day - 59*time.Minute, "", []int{200, 150}},
		"future, over an hour":     {200*day - 61*time.Minute, "", []int{150}},
		"future, previous":         {160 * day, "iterator=-#150", nil},
		"the Unix epoch, after":    {0, "after=1970-01-01T00:00:00Z", nil},
		"the Unix epoch, before":   {0, "before=1970-01-01T00:00:00Z", nil},
		"zero time of Go, after":   {0, "after=0001-01-01T00:00:00Z", nil},
		"zero time of Go, before":  {0, "before=0001-01-01T00:00:00Z", nil},
		"last second before ksuid": {0, "after=2014-05-13T16:53:19Z", nil},
		"time zone": {
			0,
			"after=2026-02-20T01:29:59%2B01:30&before=2026-02-19T23:30:01-00:30",
			[]int{50},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clock.set(200 * day)
			if tt.now != 0 {
				clock.set(tt.now)
			}
			query, want := tt.query, []string{}
			for d := 200; d >= 0; d-- {
				query = strings.ReplaceAll(query, "@"+strconv.Itoa(d), at(time.Duration(d)*day))
				query = strings.ReplaceAll(query, "#"+strconv.Itoa(d), ids[d])
			}
			for _, d := range tt.want {
				want = append(want, ids[d])
			}
			if diff := cmp.Diff(want, a.with(t).list(app+"/msg?"+query).ids); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.query, diff)
			}
		})
	}
}

// Section 5.4: bounds are cut to the start of their 4 ms slot.
func TestSlots(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	app := a.app()
	const ms = time.Millisecond
	clock.set(5 * ms)
	id := a.message(app)
	for bound, before := range map[time.Duration]bool{ // whether the message is before the bound, not after it
		0: false, 3 * ms: false, 4 * ms: false, 5 * ms: false, 7 * ms: false, 7*ms +
			999*time.Microsecond: false, 8 * ms: true, 9 * ms: true,
	} {
		for query, want := range map[string]bool{"before=": before, "after=": !before} {
			if got := a.list(app + "/msg?" + query + at(bound)).ids; (len(got) == 1) != want {
				t.Errorf("%s%v: got %v, want %s: %t", query, bound, got, id, want)
			}
		}
	}
}

// Section 5.5.
func TestEventTypesParameter(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	clock := a.clock()
	a.receiver("https://receiver.example")
	app := a.app()
	endpoint := a.endpoint(app, "https://receiver.example")
	messages := map[string]string{} // message's type by id
	for i, name := range []string{"a", "b", "c"} {
		clock.set(time.Duration(i) * time.Second)
		id := a.post(app+"/msg", `{"eventType":"`+name+`","payload":{}}`).text("id")
		messages[id] = name
		a.delivered(i + 1)
	}
	for query, want := range map[string][]string{
		"":                                {"c", "b", "a"},
		"event_types=a":                   {"a"},
		"event_types=a,b":                 {"b", "a"},
		"event_types=a&event_types=b":     {"b", "a"},
		"event_types=a,b&event_types=c":   {"c", "b", "a"},
		"event_types[]=a":                 {"a"},
		"event_types[]=a&event_types[]=c": {"c", "a"},
		"event_types%5B3%5D=b":            {"b"},
		"event_types[0]=a&event_types=b":  {"b", "a"},
		"event_types=unknown":             {},
		"event_types=a%2Cb":               {"b", "a"},
	} {
		for _, path := range []string{app + "/msg?", app + "/attempt/endpoint/" + endpoint + "?"} {
			got := []string{}
			for _, item := range a.items(path + query) {
				id, ok := item["msgId"].(string)
				if !ok {
					id = item["id"].(string)
				}
				got = append(got, messages[id])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s%s (-want +got):\n%s", path, query, diff)
			}
		}
	}
	for _, query := range []string{
		"event_types=", "event_types=a,", "event_types=a%20b",
		"event_types=a&event_types=", "event_types[]=a/b",
	} {
		a.get(app+"/msg?"+query).expect(http.StatusUnprocessableEntity, invalidQuery("*", "__all__"))
	}
}
