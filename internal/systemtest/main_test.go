package systemtest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/softwareheritage/webhooks/internal/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv(senderProcess) == "" {
		harness.Main(m)
		return
	}
	if err := runSender(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
