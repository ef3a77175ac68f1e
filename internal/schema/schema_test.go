package schema_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

// A case file is an entry of testdata/valid or testdata/broken.
type caseFile struct {
	Schema     json.RawMessage   `json:"schema"`
	SchemaFile string            `json:"schemaFile"`
	Accepts    []json.RawMessage `json:"accepts"`
	Refuses    []refusedCase     `json:"refuses"`
	Violations []violation       `json:"violations"`
}

type refusedCase struct {
	Value      json.RawMessage `json:"value"`
	Violations []violation     `json:"violations"`
}

// A violation is a [schema.Violation] with names for JSON.
type violation struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// caseFiles returns the case files of a folder by their names.
func caseFiles(tb testing.TB, folder string) map[string]caseFile {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no files in %s: %v", folder, err)
	}
	files := make(map[string]caseFile)
	for _, path := range paths {
		data, err := os.ReadFile(path) //nolint:gosec // a file of testdata
		if err != nil {
			tb.Fatal(err)
		}
		var file caseFile
		if err := json.Unmarshal(data, &file); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		if file.SchemaFile != "" {
			if file.Schema, err = os.ReadFile(file.SchemaFile); err != nil {
				tb.Fatal(err)
			}
		}
		files[strings.TrimSuffix(filepath.Base(path), ".json")] = file
	}
	return files
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, file := range caseFiles(t, "valid") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := compiled(t, string(file.Schema))
			for _, text := range file.Accepts {
				if err := s.Validate(t.Context(), parsed(t, string(text))); err != nil {
					t.Errorf("Validate(%s): %v", text, err)
				}
			}
			for _, refused := range file.Refuses {
				err := s.Validate(t.Context(), parsed(t, string(refused.Value)))
				if diff := cmp.Diff(refused.Violations, violations(t, err)); diff != "" {
					t.Errorf("Validate(%s) (-want +got):\n%s", refused.Value, diff)
				}
			}
		})
	}
}

// TestCheckRefuses what Compile accepts and the server does not.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`true`: "a schema must be a JSON object",
		`{"$schema":"http://json-schema.org/draft-04/schema#","maximum":1,` +
			`"exclusiveMaximum":true}`: "expected number, but got boolean",
		`{"properties":{"a":{"multipleOf":1e309}}}`: "multipleOf is too large a number for the server",
		`{"properties":{"a":{"maxLength":1e309}}}`:  "maxLength is too large a number for the server",
		`{"default":1e400}`:                         "a number of too many digits, zeros included",
		`{"examples":[{"a":-12e-399}]}`:             "a number of too many digits, zeros included",
		`{"properties":{"a\u0000":{}}}`:             "has the character U+0000, which the server cannot store",
		`{"const":"a\u0000"}`:                       "has the character U+0000, which the server cannot store",
	} {
		compiled(t, text)
		if found := violations(t, schema.Check([]byte(text))); found[0].Message != want {
			t.Errorf("%s: got %v, want %s", text, found, want)
		}
	}
	for _, text := range []string{
		`{"const":1e309,"default":{"minimum":1},"maxLength":1e20}`, `{"pattern":"\\x00","title":"a\\u0000"}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{}]}`,
	} {
		if err := schema.Check([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestKeywordsOfDraftSeven goes through all of them. The library decides in the same way.
func TestKeywordsOfDraftSeven(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/draft-7.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		About   string            `json:"about"`
		Schema  json.RawMessage   `json:"schema"`
		Accepts []json.RawMessage `json:"accepts"`
		Refuses []json.RawMessage `json:"refuses"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, tt := range cases {
		t.Run(tt.About, func(t *testing.T) {
			t.Parallel()
			s := compiled(t, string(tt.Schema))
			for _, value := range tt.Accepts {
				if err := s.Validate(t.Context(), parsed(t, string(value))); err != nil {
					t.Errorf("%s is refused: %v", value, err)
				}
				compareWithLibrary(t, s, string(tt.Schema), parsed(t, string(value)))
			}
			for _, value := range tt.Refuses {
				if err := s.Validate(t.Context(), parsed(t, string(value))); err == nil {
					t.Errorf("%s is accepted", value)
				}
				compareWithLibrary(t, s, string(tt.Schema), parsed(t, string(value)))
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for name, file := range caseFiles(t, "broken") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schema.Compile(file.Schema)
			if diff := cmp.Diff(file.Violations, violations(t, err)); diff != "" {
				t.Errorf("Compile (-want +got):\n%s", diff)
			}
			if s != nil {
				t.Error("got a schema beside the error")
			}
		})
	}
}

// violations returns those of an error, which must be an *Error of the promised form.
func violations(tb testing.TB, err error) []violation {
	tb.Helper()
	refused, ok := errors.AsType[*schema.Error](err)
	if !ok {
		tb.Fatalf("got error %v, want an *Error", err)
	}
	if n := len(refused.Violations); n == 0 || n > 20 {
		tb.Errorf("got %d violations", n)
	}
	var found []violation
	for _, v := range refused.Violations {
		found = append(found, violation(v))
		if len(v.Message) > 200 || v.Message == "" || !utf8.ValidString(v.Message) {
			tb.Errorf("message of %d bytes: %q", len(v.Message), v.Message)
		}
		if v.Path != "" && v.Path[0] != '/' {
			tb.Errorf("path %q is not a JSON pointer", v.Path)
		}
	}
	return found
}

func TestCompileRefusesText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want violation
	}{
		"empty": {"", violation{Message: "the JSON text ends where a value begins"}},
		"broken": {
			`{"type":}`,
			violation{"/type", "not valid JSON: unexpected '}' where a value begins (byte 8)"},
		},
		"trailing data": {`{}{}`, violation{Message: "not valid JSON: unexpected '{' after the value (byte 2)"}},
		"duplicate member": {
			`{"properties":{"a":{},"a":{}}}`,
			violation{"/properties/a", "there are two members of this name"},
		},
		"invalid UTF-8": {"{\"title\":\"\xff\"}", violation{"/title", "a string is not valid UTF-8"}},
		"deep": {
			strings.Repeat(`{"not":`, 65),
			violation{strings.Repeat("/not", 12) + "...", "nested more than 64 deep"},
		},
		"large": {
			`{"title":"` + strings.Repeat("x", schema.MaxSize) + `"}`,
			violation{Message: "the schema is longer than 256 KiB"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.Compile([]byte(tt.text))
			if diff := cmp.Diff([]violation{tt.want}, violations(t, err)); diff != "" {
				t.Errorf("Compile (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompileTakesTheLargestSchema(t *testing.T) {
	t.Parallel()
	const frame = `{"title":""}`
	compiled(t, `{"title":"`+strings.Repeat("x", schema.MaxSize-len(frame))+`"}`)
}

func TestErrorUnwraps(t *testing.T) {
	t.Parallel()
	_, err := schema.Compile([]byte(`{"a":1,"a":2}`))
	if _, ok := errors.AsType[*canonical.Error](err); !ok {
		t.Errorf("error %v does not wrap the parser's", err)
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"required":["origin_url"],"properties":{"a":{"type":"null"}}}`)
	err := s.Validate(t.Context(), parsed(t, `{"a":1}`))
	if got, want := err.Error(), "missing properties: 'origin_url'; /a: expected null, but got number"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMessagesAreShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 500)
	s := compiled(t, `{"properties":{"list":{"enum":["`+long+`","x"]},"number":{"maximum":1}},`+
		`"required":["`+long+`"],"additionalProperties":false}`)
	err := s.Validate(t.Context(), parsed(t, `{"list":1,"number":`+strings.Repeat("9", 400)+`,"`+long+`2":1}`))
	want := []string{
		"missing properties: '" + strings.Repeat("é", 88) + "...",
		`must be one of ["` + strings.Repeat("é", 90) + "...",
		"must be <= 1 but found " + strings.Repeat("9", 174) + "...",
		"not allowed",
	}
	var got []string
	for _, v := range violations(t, err) {
		got = append(got, v.Message)
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
