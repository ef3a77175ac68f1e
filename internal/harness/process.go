package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/internal/svixmock/openapi"
)

// mockProcess is the environment variable under which a test binary is the mock server of
// StartProcess.
const mockProcess = "WEBHOOKS_TEST_MOCK_PROCESS"

// Main is the TestMain of every package whose tests use this one: no goroutine outlives the tests,
// and none of them asks a name server.
func Main(m *testing.M) {
	if os.Getenv(mockProcess) == "" {
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: noNameServer}
		goleak.VerifyTestMain(openapi.Checked(m))
		return
	}
	if err := serveMock(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// noNameServer is why a host name that is not in a file of this machine resolves to nothing: no
// test may depend on a name server, or wait for one.
func noNameServer(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("tests ask no name server")
}

// StartProcess starts a mock server in a process of its own: this test binary, run again. The
// package's TestMain must call Main.
func StartProcess(tb testing.TB) (serverURL, token string) {
	tb.Helper()
	server := exec.CommandContext(tb.Context(), os.Args[0]) //nolint:gosec // this test binary
	server.Env = append(os.Environ(), mockProcess+"=1")
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	must(tb, err)
	out, err := server.StdoutPipe()
	must(tb, err)
	must(tb, server.Start())
	tb.Cleanup(func() {
		_ = in.Close() // its end
		_ = server.Wait()
	})
	_, err = fmt.Fscan(out, &serverURL, &token)
	must(tb, err)
	return serverURL, token
}

// serveMock writes the server's URL and token to out, then serves until in ends, as it does at the
// latest with the process that has the other end.
func serveMock(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		return err
	}
	mock := svixmock.New(svixmock.Config{})
	defer mock.Close()
	server := &http.Server{Handler: mock, ReadHeaderTimeout: time.Minute}
	defer func() { _ = server.Close() }()
	go func() { _ = server.Serve(listener) }() // ends with Close
	if _, err := fmt.Fprintf(out, "http://%s %s\n", listener.Addr(), mock.Token()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
