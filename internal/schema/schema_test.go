package schema_test

import (
	"errors"
	"testing"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"type":"obj"}`, `{"properties":{"a":{"pattern":"(?!x)"}}}`, `{"patternProperties":{"(?=a/b)":{}}}`, `{"$ref":"file:///etc/passwd"}`,
		`{"$ref":"#/definitions/x"}`, `{"$ref":"#"}`, `{"maxLength":1e30}`, `{"$ref":"http://json-schema.org/draft-07/schema#"}`, `{"items":{"$ref":"other.json"}}`,
		`{"regexProperties":1}`, `[]`, `{"$schema":"http://x"}`, `{"required":["origin_url"],"properties":{"a":{"enum":[1,"a"]},"":{"type":"string"}}}`,
	} {
		s, err := schema.Compile([]byte(text))
		if err != nil {
			var e *schema.Error
			t.Log(text, err, errors.As(err, &e))
			continue
		}
		v, _ := canonical.Parse([]byte(`{"a":3,"":1}`))
		t.Log(text, s.Validate(v))
	}
}
