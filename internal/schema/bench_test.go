package schema_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

const visit = `{"origin_url":"https://git.example.org/user/project","visit_type":"git",` +
	`"visit_date":"2026-11-23T01:02:03Z","visit_status":"full","snapshot_swhid":null}`

func visitSchema(tb testing.TB) []byte {
	tb.Helper()
	text, err := os.ReadFile("testdata/origin.visit.json")
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func BenchmarkCompile(b *testing.B) {
	text := visitSchema(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schema.Compile(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	s := compiled(b, string(visitSchema(b)))
	unknown := compiled(b, `{"allOf":[`+string(visitSchema(b))+`],"not":{"required":["x"]}}`)
	valid := parsed(b, visit)
	invalid := parsed(b, `{"origin_url":1,"visit_type":"git","visit_date":"","visit_status":"full",`+
		`"snapshot_swhid":"x"}`)
	b.Run("valid", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Validate(b.Context(), valid); err != nil {
				b.Fatal(err)
			}
		}
	})
	// A schema with a keyword that only the library knows.
	b.Run("valid, by the library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := unknown.Validate(b.Context(), valid); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("invalid", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Validate(b.Context(), invalid); err == nil {
				b.Fatal("got no error")
			}
		}
	})
}

// BenchmarkLibrary is what Validate is measured against.
func BenchmarkLibrary(b *testing.B) {
	s, err := jsonschema.CompileString("mem:///schema", string(visitSchema(b)))
	if err != nil {
		b.Fatal(err)
	}
	valid := parsed(b, visit)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(valid); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvent is all that becomes of a payload before it is sent.
func BenchmarkEvent(b *testing.B) {
	s := compiled(b, string(visitSchema(b)))
	payload := json.RawMessage(visit)
	b.ReportAllocs()
	for b.Loop() {
		v, err := canonical.FromGo(payload)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Validate(b.Context(), v); err != nil {
			b.Fatal(err)
		}
		canonical.Append(make([]byte, 0, len(payload)), v)
	}
}
