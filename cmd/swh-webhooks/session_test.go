package main_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

var updateSession = flag.Bool("update-session", false,
	"write the output of the session's commands into its file")

// sessionFile is a session on a terminal: commands after "$ ", each with its output.
const sessionFile = "testdata/session.txt"

// TestSession runs the commands of the session on a terminal and wants the output that it shows,
// but for ids and times.
func TestSession(t *testing.T) {
	t.Parallel()
	steps := readSession(t)
	origins := readFile(t, "../../testdata/origins.ndjson")
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	var script strings.Builder
	for i, step := range steps {
		command := strings.ReplaceAll(step.command, sessionURL, receiver.URL)
		if strings.Contains(step.command, "event list") {
			fmt.Fprintf(&script, "deliveries %d\n", 1+strings.Count(origins, "\n"))
		}
		// Whether it succeeds is seen in what it shows.
		fmt.Fprintf(&script, "ttyin keys\nexec on-terminal sh -c '%s || :'\nshows %d\n",
			strings.ReplaceAll(command, "'", "''"), i)
	}
	script.WriteString("-- keys --\n" + echo + "\n-- visit.json --\n" + sessionVisit +
		"\n-- origins.ndjson --\n" + origins)
	if err := os.WriteFile(filepath.Join(dir, "session.txtar"), []byte(script.String()),
		0o600); err != nil {
		t.Fatal(err)
	}
	if *updateSession {
		t.Cleanup(func() { writeSession(t, steps) })
	}
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			s := newScript()
			handle(s.mock, "https://hooks.example.org", sessionReceiver())
			setUp(env, s)
			env.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"deliveries": deliveries,
			"shows": func(ts *testscript.TestScript, _ bool, args []string) {
				step := steps[number(ts, args[0])]
				got := onScreen(ts.ReadFile("ttyout"))
				got = strings.NewReplacer(ts.Getenv("SVIX_URL"), "https://svix.example.org",
					receiver.URL, sessionURL).Replace(got)
				if *updateSession {
					steps[number(ts, args[0])].output = got
					return
				}
				if diff := cmp.Diff(timeless(step.output), timeless(got)); diff != "" {
					ts.Fatalf("%s: output (-want +got):\n%s", step.command, diff)
				}
			},
		},
	})
}

// TestReadmeSession wants the session that the README shows to be the one that is tested.
func TestReadmeSession(t *testing.T) {
	t.Parallel()
	session := readFile(t, sessionFile)
	sessions := regexp.MustCompile("(?s)```console\n(.*?)```")
	for _, block := range sessions.FindAllStringSubmatch(readFile(t, "../../README.md"), -1) {
		if diff := cmp.Diff(session, block[1]); diff != "" {
			t.Errorf("a session in the README is not that of %s (-want +got):\n%s", sessionFile,
				diff)
		}
	}
}

// sessionURL is the program on the developer's machine.
const sessionURL = "http://localhost:3000"

// sessionReceiver is out of order when the first visit comes.
func sessionReceiver() http.HandlerFunc {
	var visits atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/kernel" && visits.Add(1) == 1 {
			http.Error(w, "the queue is full", http.StatusServiceUnavailable)
		}
	}
}

const sessionVisit = `{
  "origin_url": "https://github.com/torvalds/linux",
  "visit_type": "git",
  "visit_date": "2026-11-23T20:58:11.471271+00:00",
  "visit_status": "full",
  "snapshot_swhid": "swh:1:snp:8b530571dd1087789138c8eb9e666021a8034b6f"
}`

type sessionStep struct{ command, output string }

func readSession(t *testing.T) []sessionStep {
	t.Helper()
	var steps []sessionStep
	for i, part := range strings.Split("\n"+strings.TrimSuffix(readFile(t, sessionFile), "\n"),
		"\n$ ") {
		if i > 0 {
			command, output, _ := strings.Cut(part, "\n")
			steps = append(steps, sessionStep{command, output})
		}
	}
	return steps
}

func writeSession(t *testing.T, steps []sessionStep) {
	t.Helper()
	var text strings.Builder
	for _, step := range steps {
		text.WriteString("$ " + step.command + "\n")
		if step.output != "" {
			text.WriteString(step.output + "\n")
		}
	}
	if err := os.WriteFile(sessionFile, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // a file of the project
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// echo is typed on the terminal, which prints it.
const echo = "@@@"

// onScreen is what a terminal shows in the end of what is written to it, without the progress bar.
func onScreen(written string) string {
	written = strings.Replace(written, echo+"\r\n", "", 1)
	lines := strings.Split(strings.TrimSuffix(written, "\r\n"), "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		lines[i] = line[strings.LastIndex(line, "\r")+1:]
	}
	return strings.Join(lines, "\n")
}

var (
	changing = regexp.MustCompile(`msg_\w+|whsec_[^;]+|` +
		`20\d\d-\d\d-\d\dT[\d:.]+Z|\d\d-\d\d \d\d:\d\d:\d\d|<?\d+ ?ms|[\d.]+ s|\d+/s`)
	blanks = regexp.MustCompile(` {2,}`)
)

// timeless replaces what is different each time.
func timeless(output string) string {
	return blanks.ReplaceAllString(changing.ReplaceAllString(output, "~"), "  ")
}
