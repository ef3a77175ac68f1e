package schema_test

import (
	"testing"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

func compiled(tb testing.TB, text string) *schema.Schema {
	tb.Helper()
	s, err := schema.Compile([]byte(text))
	if err != nil {
		tb.Fatalf("Compile(%.100s): %v", text, err)
	}
	return s
}

func parsed(tb testing.TB, text string) any {
	tb.Helper()
	v, err := canonical.Parse([]byte(text))
	if err != nil {
		tb.Fatalf("Parse(%.100s): %v", text, err)
	}
	return v
}
