package journaltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// brokerProcess is the environment variable under which a test binary is the broker of
// StartProcess.
const brokerProcess = "JOURNAL_TEST_BROKER"

// StartProcess is NewBroker in a process of its own: this test binary, run again. The package's
// TestMain has to call ServeIfAsked first.
func StartProcess(tb testing.TB, partitions int32) *Broker {
	tb.Helper()
	broker := exec.CommandContext(tb.Context(), os.Args[0]) //nolint:gosec // this test binary
	broker.Env = append(os.Environ(), brokerProcess+"=1")
	broker.Stderr = os.Stderr
	in, errIn := broker.StdinPipe()
	out, errOut := broker.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		tb.Fatal(err)
	}
	if err := broker.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // its end
		_ = broker.Wait()
	})
	b := &Broker{Addresses: make([]string, 1)}
	if _, err := fmt.Fscan(out, &b.Addresses[0]); err != nil {
		tb.Fatal(err)
	}
	b.Renew(tb, partitions)
	return b
}

// ServeIfAsked is the broker of StartProcess if this process is meant to be one, and then returns
// true when it is over, as it is at the latest with the process that has the other end of standard
// input.
func ServeIfAsked() bool {
	if os.Getenv(brokerProcess) == "" {
		return false
	}
	cluster, err := kfake.NewCluster(options()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true
	}
	defer cluster.Close()
	fmt.Println(cluster.ListenAddrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	return true
}
