package webhooks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// mockProcess is the environment variable under which this test binary is the
// mock server of a benchmark, so that the server has a process of its own.
const mockProcess = "WEBHOOKS_TEST_MOCK_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(mockProcess) == "" {
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: noNameServer}
		goleak.VerifyTestMain(m)
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

// serveMock writes the server's URL and token to out, then serves until in ends,
// as it does at the latest with the process that has the other end.
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
