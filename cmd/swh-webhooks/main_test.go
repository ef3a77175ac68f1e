package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"github.com/rogpeppe/go-internal/testscript"

	main "github.com/softwareheritage/webhooks/cmd/swh-webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/internal/svixmock/openapi"
)

const token = "testsk_of_the_command_line" //nolint:gosec // of the mock server

// The race detector keeps a program from ending for a second, unless it is told otherwise.
const (
	raceVariable = "GORACE"
	raceOptions  = "atexit_sleep_ms=0"
)

// The test binary is the program itself if it is called by that name.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		raceVariable:      raceOptions,
		"XDG_CONFIG_HOME": "/none", // whoever runs the tests may have a configuration
	} {
		if _, isSet := os.LookupEnv(name); isSet {
			continue // by a script, for the program that this is there
		}
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	testscript.Main(openapi.Checked(m), map[string]func(){
		"swh-webhooks": main.Main,
		"on-terminal":  onTerminal,
	})
}

// onTerminal runs a program with its output on the controlling terminal, see ttyin and ttyout of
// testscript. Its width is that of the variable COLS.
func onTerminal() {
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	if columns := os.Getenv("COLS"); columns != "" {
		stty := exec.CommandContext(context.Background(), "stty", "cols", columns) //nolint:gosec // too
		if stty.Stdin = tty; stty.Run() != nil {
			panic("the terminal keeps its width")
		}
	}
	name, args := os.Args[1], os.Args[2:]
	cmd := exec.CommandContext(context.Background(), name, args...) //nolint:gosec // of the script
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, tty, tty
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	} else if err != nil {
		panic(err)
	}
}

// Each script has a mock server of its own, which delivers what goes to http://receiver.example and
// is answered 200, or to http://broken.example, where the answer is 500. Besides the commands of
// testscript there are:
//
//	status N PROGRAM ARGS...     the exit status is N; output is checked as after exec
//	times N PROGRAM ARGS...      runs it N times, with "{}" in ARGS replaced by 1 to N
//	deliveries N                 N deliveries in all are made; they are in the file deliveries.ndjson
//	columns N                    no line on the terminal is wider than N columns, and one is nearly
//	fail N STATUS [BODY]         the next N requests are answered so; status 0 breaks the connection,
//	                             and with -1 there is no answer
//	failsend N STATUS [BODY]     the same for requests to send an event
//	requests N                   the server got at most N requests since the last time
//	capture NAME PATTERN         sets the variable to what the group of PATTERN matches in the output
//	repair URL                   the receivers of the URL's host answer 200 from now on
//	mark NAME                    sets the variable to the time, as the Python command line takes it
//	expand FILE                  replaces variables in it
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			setUp(env, newScript())
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":     status,
			"times":      times,
			"deliveries": deliveries,
			"fail": func(ts *testscript.TestScript, _ bool,
				args []string,
			) {
				fail(ts, nil, args)
			},
			"failsend": func(ts *testscript.TestScript, _ bool,
				args []string,
			) {
				fail(ts, isMessage, args)
			},
			"requests": requests,
			"columns":  columns,
			"capture":  capture,
			"repair":   repair,
			"mark":     mark,
			"expand":   expand,
		},
	})
}

// A script is what the commands of one script share.
type script struct {
	mock     *svixmock.Server
	requests int // looked at
}

type scriptKey struct{}

func setUp(env *testscript.Env, s *script) {
	server := httptest.NewServer(s.mock)
	env.Defer(server.Close)
	env.Defer(s.mock.Close) // first, so that it lets go of what hangs
	env.Setenv(raceVariable, raceOptions)
	env.Setenv("SVIX_URL", server.URL)
	env.Setenv("SVIX_TOKEN", token)
	env.Values[scriptKey{}] = s
}

// handle lets a mock server deliver to a function.
func handle(mock *svixmock.Server, url string, receive http.HandlerFunc) {
	mock.Handle(url, receive)
}

func newScript() *script {
	mock := svixmock.New(svixmock.Config{
		Token:         token,
		RetrySchedule: []time.Duration{}, KeepDeliveries: 1000, KeepRequests: 10_000,
	})
	handle(mock, "http://receiver.example", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("OK"))
	})
	handle(mock, "http://broken.example", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of order", http.StatusInternalServerError)
	})
	return &script{mock: mock}
}

func of(ts *testscript.TestScript) *script {
	s, _ := ts.Value(scriptKey{}).(*script)
	return s
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARGS...")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := number(ts, args[0]); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func times(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: times N PROGRAM ARGS...")
	}
	for i := range number(ts, args[0]) {
		var numbered []string
		for _, arg := range args[2:] {
			numbered = append(numbered, strings.ReplaceAll(arg, "{}", strconv.Itoa(i+1)))
		}
		ts.Check(ts.Exec(args[1], numbered...))
	}
}

func deliveries(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: deliveries N")
	}
	want, mock := number(ts, args[0]), of(ts).mock
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(mock.WaitForDeliveries(ctx, want))
	made := mock.Deliveries()
	if len(made) != want {
		ts.Fatalf("%d deliveries, want %d", len(made), want)
	}
	var text strings.Builder
	for _, d := range made {
		line, err := json.Marshal(map[string]any{
			"url": d.URL, "event": d.Header.Get("X-Swh-Event"),
			"body": json.RawMessage(d.Body),
		})
		ts.Check(err)
		text.Write(append(line, '\n'))
	}
	ts.Check(os.WriteFile(ts.MkAbs("deliveries.ndjson"), []byte(text.String()), 0o600))
}

func fail(ts *testscript.TestScript, only func(*http.Request) bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: fail N STATUS [BODY]")
	}
	fault := svixmock.Fault{
		Status: number(ts, args[1]), Body: strings.Join(args[2:], " "),
		Only: only,
	}
	switch fault.Status {
	case 0:
		fault.Reset = true
	case -1:
		fault.Status, fault.Hang = 0, true
	}
	of(ts).mock.FailNext(number(ts, args[0]), fault)
}

func requests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: requests N")
	}
	s := of(ts)
	all := s.mock.Requests()
	got := all[s.requests:]
	s.requests = len(all)
	if len(got) > number(ts, args[0]) {
		ts.Fatalf("%d requests, want at most %s", len(got), args[0])
	}
}

func columns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: columns N")
	}
	limit, widest := number(ts, args[0]), 0
	for line := range strings.Lines(onScreen(ts.ReadFile("ttyout"))) {
		widest = max(widest, uniseg.StringWidth(strings.TrimRight(line, "\r\n")))
	}
	if widest > limit || widest < limit*3/4 {
		ts.Fatalf("the widest line has %d columns of %d:\n%s", widest, limit, ts.ReadFile("ttyout"))
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATTERN")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("there is no %s in the output", args[1])
	}
	ts.Setenv(args[0], found[1])
}

func repair(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: repair URL")
	}
	handle(of(ts).mock, args[0], func(http.ResponseWriter, *http.Request) {})
}

func mark(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mark NAME")
	}
	ts.Setenv(args[0], time.Now().UTC().Format("2006-01-02T15:04:05.000000-07:00"))
}

func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expand FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}
