package svixmock_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/softwareheritage/webhooks/internal/svixmock/openapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(openapi.Checked(m)) }
