package openapi

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// Main are the tests of a package, which fail if a mock server in their process gives an answer
// that the real server's document does not declare.
type Main struct{ tests interface{ Run() int } }

// Checked is for TestMain: it runs tests like m, and holds every answer of every mock server
// against the document. Answers that faults replace do not count. Benchmarks and fuzz targets are
// not checked, since checking takes time.
func Checked(m interface{ Run() int }) *Main { return &Main{m} }

// maxReports is how many different mistakes are told.
const maxReports = 20

// Run runs the tests and returns their exit code.
func (m *Main) Run() int {
	if !flag.Parsed() {
		flag.Parse()
	}
	if given("test.bench") || given("test.fuzz") {
		return m.tests.Run()
	}
	doc, err := Load()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var r reports
	svixmock.Watch(func(req *http.Request, status int, header http.Header, body []byte) {
		r.add(doc.Check(req.Method, req.URL.EscapedPath(), status, header, body))
	})
	defer svixmock.Watch(nil)
	code := m.tests.Run()
	if r.any() && code == 0 {
		return 1
	}
	return code
}

// given reports whether a flag of the test binary has a value.
func given(name string) bool {
	f := flag.Lookup(name)
	return f != nil && f.Value.String() != ""
}

// reports are the mistakes that were found.
type reports struct {
	mu   sync.Mutex
	told map[string]bool
}

func (r *reports) add(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[string]bool{}
	}
	if text := err.Error(); !r.told[text] && len(r.told) < maxReports {
		r.told[text] = true
		fmt.Fprintln(os.Stderr, "a mock server gave an answer that no Svix server gives:", text)
	}
}

func (r *reports) any() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.told) > 0
}
