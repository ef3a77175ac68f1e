package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/softwareheritage/webhooks/internal/svixmock/openapi"

	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(openapi.Checked(m)) }

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := demo.Run(t.Context(), demo.Options{Out: &out}); err != nil {
		t.Fatalf("Run: %v\n%s", err, &out)
	}
	origins, visits := sample(t, "origins"), sample(t, "visits")
	watched := visitsOf(t, visits, watchedChannel(t, out.String()))
	if watched == 0 {
		t.Error("the endpoint on a channel has nothing to receive")
	}
	events := len(origins) + len(visits)
	deliveries := events + watched

	want := map[string]string{
		"events sent":         fmt.Sprintf("%d of %d", events, events),
		"deliveries verified": fmt.Sprintf("%d of %d", deliveries, deliveries),
		"deliveries listed":   fmt.Sprintf("%d of %d", deliveries, deliveries),
	}
	if diff := cmp.Diff(want, summary(t, out.String())); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	for _, line := range []string{
		fmt.Sprintf("✓ /origins  %d of %d deliveries verified\n", len(origins), len(origins)),
		fmt.Sprintf("✓ /visits   %d of %d deliveries verified\n", len(visits), len(visits)),
		fmt.Sprintf("✓ /watched  %d of %d deliveries verified\n", watched, watched),
		fmt.Sprintf("✓ refused; messages on the server before: %d, after: %d\n", events, events),
		"/visit_status ",
		"/snapshot_swhid ",
		fmt.Sprintf("✓ /watched  %d of %d deliveries listed: %d answered 204\n", watched, watched,
			watched),
		"✓ Every event was sent",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("missing: %q", line)
		}
	}
	for _, never := range []string{"✗", "\x1b", "whsec_", "eyJhbGci"} {
		if strings.Contains(out.String(), never) {
			t.Errorf("the output has %q", never)
		}
	}
}

func TestRunWithRefusedDeliveries(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := demo.Run(t.Context(), demo.Options{Out: &out, Refuse: 2})
	if err == nil {
		t.Fatalf("no error although deliveries were lost:\n%s", &out)
	}
	events := len(sample(t, "origins")) + len(sample(t, "visits"))
	deliveries := events + visitsOf(t, sample(t, "visits"), watchedChannel(t, out.String()))

	want := map[string]string{
		"events sent":         fmt.Sprintf("%d of %d", events, events),
		"deliveries verified": fmt.Sprintf("%d of %d", deliveries-2, deliveries),
		"deliveries listed":   fmt.Sprintf("%d of %d", deliveries, deliveries), // attempted
	}
	if diff := cmp.Diff(want, summary(t, out.String())); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if !strings.Contains(err.Error(), want["deliveries verified"]+" deliveries verified") {
		t.Errorf("the error does not tell what is missing: %v", err)
	}
	for _, line := range []string{" missing\n", "answered 503", "✗ Not all went well"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("missing: %q", line)
		}
	}
	if strings.Contains(out.String(), "✓ Every event") {
		t.Error("claims that all was well")
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	for _, step := range []int{1, 4, 5} {
		t.Run(fmt.Sprintf("step %d", step), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &trigger{text: fmt.Sprintf("\n%d. ", step), act: cancel}
			err := demo.Run(ctx, demo.Options{Out: out})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the error of the context", err)
			}
			if strings.Contains(out.String(), "Summary") {
				t.Error("sums up what was not done")
			}
		})
	}
}

func TestRunWithoutOutput(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	if err := demo.Run(t.Context(), demo.Options{Out: failingWriter{full}}); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func TestRunWithColor(t *testing.T) {
	t.Parallel()
	var plain, colored bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the first heading is enough
	for out, color := range map[*bytes.Buffer]bool{&plain: false, &colored: true} {
		_ = demo.Run(ctx, demo.Options{Out: out, Color: color})
	}
	escapes := regexp.MustCompile(`\x1b\[\d+m`)
	if plain.Len() == 0 || escapes.Match(plain.Bytes()) {
		t.Errorf("without colours: %q", &plain)
	}
	if !escapes.Match(colored.Bytes()) {
		t.Errorf("with colours: %q", &colored)
	}
}

// sample are the objects of a file of samples, read anew.
func sample(t *testing.T, name string) []map[string]any {
	t.Helper()
	path := "../../../../testdata/" + name + ".ndjson"
	data, err := os.ReadFile(path) //nolint:gosec // one of the project's own files
	if err != nil {
		t.Fatal(err)
	}
	var objects []map[string]any
	for line := range strings.Lines(string(data)) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

func visitsOf(t *testing.T, visits []map[string]any, origin string) int {
	t.Helper()
	n := 0
	for _, v := range visits {
		if v["origin"] == origin {
			n++
		}
	}
	return n
}

// watchedChannel is the channel of the endpoint /watched as the output lists it.
func watchedChannel(t *testing.T, out string) string {
	t.Helper()
	found := regexp.MustCompile(`/watched +(\S+)\n`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no endpoint on a channel:\n%s", out)
	}
	return found[1]
}

// summary are the figures below the last heading, without the time.
func summary(t *testing.T, out string) map[string]string {
	t.Helper()
	_, text, ok := strings.Cut(out, "\nSummary\n")
	if !ok {
		t.Fatalf("no summary:\n%s", out)
	}
	figures := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^ +(\w+ \w+) +(\d+ of \d+)$`).FindAllStringSubmatch(text, -1) {
		figures[line[1]] = line[2]
	}
	return figures
}

// A trigger is a writer that acts when it sees a text.
type trigger struct {
	bytes.Buffer

	text string
	act  func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.act()
	}
	return w.Buffer.Write(p)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
