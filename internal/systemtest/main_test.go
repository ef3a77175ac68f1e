package systemtest_test

import (
	"testing"

	"github.com/softwareheritage/webhooks/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
