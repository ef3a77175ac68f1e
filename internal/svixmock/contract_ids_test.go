package svixmock_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/ksuid"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// The ids of one 4 ms slot lie between that with all bits of its payload 0 and that with all bits 1
// (4.1).
const (
	firstOfStart = "37dGalnvVFpJFsmiFDGIwmudA4O"
	lastOfStart  = "37dGalpoUmKcES1AHZa779PPu0t"
	firstOfNext  = "37dGalpoUmKcES1AHZa779PPu0u"
)

// Section 4.1.
func TestIDs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	clock := a.clock()
	a.receiver("https://receiver.example")
	form := regexp.MustCompile(`^[0-9A-Za-z]{27}$`)
	attempts := 0
	for after, bounds := range map[time.Duration][2]string{
		0:                            {firstOfStart, lastOfStart},
		3*time.Millisecond + 999_999: {firstOfStart, lastOfStart},
		4 * time.Millisecond:         {firstOfNext, "37dGam"},
		-time.Nanosecond:             {"37dGa", firstOfStart},
	} {
		clock.set(after)
		app := a.app()
		endpoint := a.endpoint(app, "https://receiver.example")
		msg := a.message(app)
		attempts++
		a.delivered(attempts)
		for prefix, id := range map[string]string{
			"app_":   strings.TrimPrefix(app, "/app/"),
			"ep_":    endpoint,
			"msg_":   msg,
			"atmpt_": a.attempts(app, msg)[0]["id"].(string),
		} {
			got, ok := strings.CutPrefix(id, prefix)
			if !ok || !form.MatchString(got) || got < bounds[0] || got > bounds[1] {
				t.Errorf(
					"at %v: got id %s, want %s and 27 characters from %s to %s",
					after,
					id,
					prefix,
					bounds[0],
					bounds[1],
				)
			}
		}
	}
}

// Section 4.1: ids in different slots are in the order of creation.
func TestIDsGrow(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	_, ids := a.series(20)
	for i := 1; i < len(ids); i++ {
		if ids[i-1] >= ids[i] {
			t.Errorf("id %s is not less than %s, which was created later", ids[i-1], ids[i])
		}
	}
}

// Section 4.2 and 4.3: the same rules hold for every kind of name.
func TestNames(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	app := a.app()
	const tooLong, empty = "String too long", "String must be at least one character"
	long := strings.Repeat("n", 256)
	kinds := map[string]struct {
		path, body string // with NAME in it
		success    int
		loc        []string
		prefix     string // which a uid of the kind must not have
	}{
		"application uid": {"/app", `{"name":"a","uid":"NAME"}`, 201, []string{"uid", "__all__"}, "app_"},
		"endpoint uid": {
			app + "/endpoint",
			`{"url":"https://a.example","uid":"NAME"}`,
			201,
			[]string{"uid", "__all__"},
			"ep_",
		},
		"eventId": {
			app + "/msg",
			`{"eventType":"a","payload":{},"eventId":"NAME"}`,
			202,
			[]string{"uid", "__all__"},
			"msg_",
		},
		"event type": {
			"/event-type",
			`{"name":"NAME","description":""}`,
			201,
			[]string{"name", "__all__"},
			"",
		},
		"eventType": {
			app + "/msg",
			`{"eventType":"NAME","payload":{}}`,
			202,
			[]string{"event_type", "__all__"},
			"",
		},
		"filter type": {
			app + "/endpoint",
			`{"url":"https://a.example","filterTypes":["NAME"]}`,
			201,
			[]string{"event_types", "__all__"},
			"",
		},
		"message channel": {
			app + "/msg",
			`{"eventType":"a","payload":{},"channels":["NAME"]}`,
			202,
			[]string{"channels", "__all__"},
			"",
		},
		"channel": {
			app + "/endpoint",
			`{"url":"https://a.example","channels":["NAME"]}`,
			201,
			[]string{"channels", "__all__"},
			"",
		},
	}
	a.eventType("a", "svix.a", "A-Z_a.z", "..", "app_1")
	for kind, k := range kinds {
		send := func(t *testing.T, name string) answer {
			t.Helper()
			return a.with(t).post(k.path, strings.Replace(k.body, "NAME", name, 1))
		}
		for _, name := range []string{"a", "A-Z_a.z", "-_.", "..", long} {
			t.Run(kind+" accepted "+name[:min(len(name), 8)], func(t *testing.T) {
				if kind == "filter type" && name != "a" {
					a.with(t).
						do(http.MethodPut, "/event-type/"+strings.ReplaceAll(name, "..", "%2E%2E"),
							`{"description":""}`)
				}
				if kind == "event type" {
					a.with(t).
						do(http.MethodDelete, "/event-type/"+strings.ReplaceAll(name, "..",
							"%2E%2E")+"?expunge=true", "")
				}
				send(t, name).expect(k.success, "")
			})
		}
		for name, msg := range map[string]string{
			"": empty, long + "n": tooLong, "a/b": badCharacters,
			"a:b": badCharacters, "a b": badCharacters, "é": badCharacters, "a\\n": badCharacters,
		} {
			t.Run(kind+" refused "+name[:min(len(name), 8)], func(t *testing.T) {
				send(t, name).expect(http.StatusUnprocessableEntity, invalidBody(msg, k.loc...))
			})
		}
		if k.prefix == "" {
			continue
		}
		t.Run(kind+" prefix", func(t *testing.T) {
			loc := append([]string{"body"}, k.loc...)
			send(t, k.prefix).expect(http.StatusUnprocessableEntity, invalidBody(badUID, k.loc...))
			send(t, k.prefix+"é").expect(http.StatusUnprocessableEntity,
				invalid(issue{loc, badCharacters, "value_error"}, issue{loc, badUID, "value_error"}))
			send(t, "_"+k.prefix).expect(k.success, "")
			send(t, strings.ToUpper(k.prefix)).expect(k.success, "")
		})
	}
}

// Section 4.4.
func TestPathResolution(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	a.receiver("https://receiver.example")
	app := a.post("/app", `{"name":"a","uid":"Uid"}`).expect(http.StatusCreated, "").text("id")
	other := a.post("/app", `{"name":"a"}`).expect(http.StatusCreated, "").text("id")
	endpoint := a.endpoint("/app/Uid", "https://receiver.example", `"uid":"Uid"`)
	msg := a.message("/app/Uid", `"eventId":"Uid"`)
	a.delivered(1)
	attempt := a.attempts("/app/Uid", "Uid")[0]["id"].(string)
	for status, paths := range map[int][]string{
		http.StatusOK: {
			"/app/" + app,
			"/app/Uid",
			"/app/Uid/endpoint/" + endpoint,
			"/app/Uid/endpoint/Uid",
			"/app/Uid/msg/" + msg,
			"/app/Uid/msg/Uid",
			"/app/Uid/attempt/endpoint/Uid",
			"/app/Uid/attempt/msg/Uid",
			"/app/Uid/msg/Uid/attempt/" + attempt,
			"/app/Uid/endpoint/Uid/secret",
			"/app/Uid/endpoint/Uid/headers",
		},
		http.StatusNotFound: {
			"/app/uid",
			"/app/Uid/endpoint/UID",
			"/app/" + other + "/endpoint/" + endpoint,
			"/app/" + other + "/endpoint/Uid",
			"/app/" + other + "/msg/" + msg,
			"/app/Uid/attempt/msg/" + endpoint,
			"/app/Uid/msg/Uid/attempt/Uid",
			"/app/Uid/endpoint/ep_%20%2F%3F",
			"/app/app_%E2%82%AC",
			"/event-type/no%2Fsuch",
			"/app/" + strings.ToLower(app) + "/endpoint",
		},
	} {
		want := map[int]string{http.StatusNotFound: notFound}[status]
		for _, path := range paths {
			t.Run(path, func(t *testing.T) {
				a.with(t).get(path).expect(status, want)
			})
		}
	}
}

// Section 4.5, and 4.1: the id's time is the timestamp's, cut to 4 ms.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	a := newAPI(t, svixmock.Config{})
	clock := a.clock()
	app := a.app()
	for after, want := range map[time.Duration]string{
		0:                                  "2026-01-01T00:00:00Z",
		time.Second:                        "2026-01-01T00:00:01Z",
		123 * time.Millisecond:             "2026-01-01T00:00:00.123Z",
		120 * time.Millisecond:             "2026-01-01T00:00:00.120Z",
		123456 * time.Microsecond:          "2026-01-01T00:00:00.123456Z",
		100 * time.Microsecond:             "2026-01-01T00:00:00.000100Z",
		123456789 * time.Nanosecond:        "2026-01-01T00:00:00.123456Z",
		90*day + 7001*time.Microsecond:     "2026-04-01T00:00:00.007001Z",
		time.Hour + 999999*time.Nanosecond: "2026-01-01T01:00:00.000999Z",
	} {
		clock.set(after)
		msg := a.get(app + "/msg/" + a.message(app))
		if got := msg.text("timestamp"); got != want {
			t.Errorf("at %v: got timestamp %s, want %s", after, got, want)
		}
		id, err := ksuid.Parse(strings.TrimPrefix(msg.text("id"), "msg_"))
		if err != nil {
			t.Fatal(err)
		}
		slot := id.Time().Add(time.Duration(id.Payload()[0]) * 4 * time.Millisecond)
		if want := start.Add(after).Truncate(4 * time.Millisecond); !slot.Equal(want) {
			t.Errorf("at %v: got id of %v, want one of %v", after, slot.UTC(), want)
		}
	}
}
