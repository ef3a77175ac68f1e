package schema_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

func FuzzCompile(f *testing.F) {
	for _, folder := range []string{"valid", "broken"} {
		for _, file := range caseFiles(f, folder) {
			f.Add([]byte(file.Schema))
		}
	}
	f.Add([]byte(doubling(5, `{"type":"string"}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := schema.Compile(text)
		if err != nil {
			checkViolations(t, err)
			return
		}
		for _, v := range []any{
			nil, "", json.Number("1e-400"),
			[]any{"a", nil, json.Number("1")},
			map[string]any{"": true, "a": map[string]any{"a": "b"}},
		} {
			if err := s.Validate(t.Context(), v); err != nil {
				checkViolations(t, err)
			}
		}
	})
}

func FuzzValidate(f *testing.F) {
	for _, file := range caseFiles(f, "valid") {
		for _, value := range file.Accepts {
			f.Add([]byte(file.Schema), []byte(value))
		}
		for _, refused := range file.Refuses {
			f.Add([]byte(file.Schema), []byte(refused.Value))
		}
	}
	f.Fuzz(func(t *testing.T, text, data []byte) {
		s, err := schema.Compile(text)
		if err != nil {
			return
		}
		v, err := canonical.Parse(data)
		if err != nil {
			return
		}
		compareWithLibrary(t, s, string(text), v)
	})
}

// compareWithLibrary checks that Validate decides as the unguarded library does.
func compareWithLibrary(t rapid.TB, s *schema.Schema, text string, v any) {
	t.Helper()
	got := s.Validate(context.Background(), v)
	if got != nil {
		checkViolations(t, got)
		if strings.Contains(got.Error(), "too long") {
			return // and so it would for the library
		}
	}
	library, err := unguarded(text)
	if err != nil || otherwise.MatchString(text) {
		return
	}
	want := library.Validate(v)
	if (got == nil) != (want == nil) {
		t.Fatalf("schema %s, value %s: got %v, want %v", text, canonical.Append(nil, v), got, want)
	}
}

// otherwise are what the library does in its own way: it asserts formats in the schemas of schemas,
// and takes large lengths for others.
var otherwise = regexp.MustCompile(`"\$ref"\s*:\s*"https?://json-schema.org|` +
	`"m(in|ax)(Length|Items|Properties|Contains)"\s*:\s*[0-9.]*([eE]|[0-9]{16})`)

// unguarded compiles a schema with nothing but formats and encodings switched off. It refuses lists
// of enum that are empty or have repetitions, and drafts that it does not know.
func unguarded(text string) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = func(string) (io.ReadCloser, error) { return nil, errors.New("no") }
	for name := range jsonschema.Formats {
		c.Formats[name] = func(any) bool { return true }
	}
	c.Decoders["base64"] = func(string) ([]byte, error) { return nil, nil }
	c.MediaTypes["application/json"] = func([]byte) error { return nil }
	if err := c.AddResource("mem:///schema", strings.NewReader(text)); err != nil {
		return nil, err
	}
	return c.Compile("mem:///schema")
}

// checkViolations checks what is promised of every error.
func checkViolations(t rapid.TB, err error) {
	t.Helper()
	var refused *schema.Error
	if !errors.As(err, &refused) {
		t.Fatalf("error %v is not an *Error", err)
	}
	if n := len(refused.Violations); n == 0 || n > 20 {
		t.Errorf("got %d violations", n)
	}
	for _, v := range refused.Violations {
		if len(v.Message) > 200 || v.Message == "" {
			t.Errorf("message of %d bytes: %q", len(v.Message), v.Message)
		}
		if v.Path != "" && v.Path[0] != '/' {
			t.Errorf("path %q is not a JSON pointer", v.Path)
		}
	}
	inOrder := slices.IsSortedFunc(refused.Violations, func(a, b schema.Violation) int {
		return slices.Compare([]string{a.Path, a.Message}, []string{b.Path, b.Message})
	})
	if !inOrder {
		t.Errorf("violations are not in order: %v", refused.Violations)
	}
}

// anySchema draws a schema of the keywords that are common, about the values
// of [anyValue].
func anySchema(depth int) *rapid.Generator[any] {
	child := rapid.Just(any(map[string]any{}))
	if depth > 0 {
		child = rapid.Deferred(func() *rapid.Generator[any] { return anySchema(depth - 1) })
	}
	some := func(g *rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.Map(rapid.SliceOfN(g, 1, 3), func(items []any) any { return items })
	}
	named := func(g *rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.Map(rapid.MapOfN(name(), g, 0, 3), func(members map[string]any) any { return members })
	}
	small := rapid.SampledFrom([]any{json.Number("0"), json.Number("1"), json.Number("2.0"), json.Number("3")})
	bound := rapid.SampledFrom([]any{
		json.Number("-1"), json.Number("0"), json.Number("1.5"),
		json.Number("10"), json.Number("1e2"), json.Number("9223372036854775808"),
	})
	flag := rapid.Map(rapid.Bool(), func(b bool) any { return b })
	types := rapid.SampledFrom([]any{
		"object", "array", "string", "number", "integer", "boolean",
		"null",
		[]any{"string", "null"},
		[]any{"integer", "object"},
	})
	keywords := map[string]*rapid.Generator[any]{
		"type": types, "enum": some(anyValue(1)), "const": anyValue(1),
		"properties": named(child), "required": uniqueNames(), "additionalProperties": rapid.OneOf(flag, child),
		"minProperties": small, "maxProperties": small, "items": child, "minItems": small, "maxItems": small,
		"minLength": small, "maxLength": small, "pattern": rapid.SampledFrom([]any{"a", "^b?$", "é"}),
		"minimum": bound, "maximum": bound, "exclusiveMinimum": bound, "exclusiveMaximum": bound,
		"allOf": some(child), "anyOf": some(child), "format": rapid.SampledFrom([]any{"iri", "date-time", "regex"}),
		"oneOf": some(child), "not": child, "uniqueItems": flag, "contains": child,
		"patternProperties": named(child), "multipleOf": rapid.Just(any(json.Number("0.5"))),
		"if": child, "then": child, "else": child, "propertyNames": child, "additionalItems": child,
		"dependencies": named(rapid.OneOf(child,
			uniqueNames())), "dependentSchemas": named(child), "dependentRequired": named(uniqueNames()),
		"prefixItems": some(child), "unevaluatedProperties": rapid.OneOf(flag,
			child), "unevaluatedItems": rapid.OneOf(flag, child), "minContains": small, "maxContains": small,
	}
	names := make([]string, 0, len(keywords))
	for keyword := range keywords {
		names = append(names, keyword)
	}
	slices.Sort(names)
	common := slices.DeleteFunc(slices.Clone(names), func(keyword string) bool {
		return !slices.Contains([]string{
			"type", "enum", "const", "properties", "required", "additionalProperties",
			"items", "pattern", "allOf", "anyOf", "minimum", "maxLength",
		}, keyword)
	})
	return rapid.Custom(func(t *rapid.T) any {
		choice := common
		if rapid.Bool().Draw(t, "every keyword") {
			choice = names
		}
		s := make(map[string]any)
		for _, keyword := range rapid.SliceOfNDistinct(rapid.SampledFrom(choice), 0, 4, rapid.ID).Draw(t, "keywords") {
			s[keyword] = keywords[keyword].Draw(t, keyword)
		}
		return s
	})
}

func name() *rapid.Generator[string] { return rapid.SampledFrom([]string{"a", "b", "c", "é", ""}) }

func uniqueNames() *rapid.Generator[any] {
	return rapid.Map(rapid.SliceOfNDistinct(name(), 0, 2, rapid.ID), func(names []string) any {
		items := make([]any, len(names))
		for i, n := range names {
			items[i] = n
		}
		return items
	})
}

func anyValue(depth int) *rapid.Generator[any] {
	scalar := rapid.SampledFrom([]any{
		nil, true, false, "", "a", "b", "éa", json.Number("0"), json.Number("-0"),
		json.Number("1"), json.Number("1.0"), json.Number("1.5"), json.Number("-7"),
		json.Number("1e1"), json.Number("10"), json.Number("9223372036854775807"), json.Number("9223372036854775808"),
	})
	if depth == 0 {
		return scalar
	}
	child := rapid.Deferred(func() *rapid.Generator[any] { return anyValue(depth - 1) })
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(child, 0, 3), func(items []any) any { return items }),
		rapid.Map(rapid.MapOfN(name(), child, 0, 4), func(members map[string]any) any { return members }),
	)
}

func TestValidateDecidesAsTheLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		document := anySchema(3).Draw(t, "schema")
		if draft := rapid.SampledFrom(append(drafts(), "")).Draw(t, "draft"); draft != "" {
			document.(map[string]any)["$schema"] = draft //nolint:forcetypeassert // it is an object
		}
		text := string(canonical.Append(nil, document))
		s, err := schema.Compile([]byte(text))
		if err != nil {
			checkViolations(t, err)
			t.Skip("not a schema")
		}
		for range 20 {
			compareWithLibrary(t, s, text, anyValue(3).Draw(t, "value"))
		}
	})
}

// lookingAt draws a schema that looks at some members or items, in one of the ways there are.
func lookingAt(depth int) *rapid.Generator[any] {
	texts := []string{
		`{"properties":{"a":{}}}`, `{"properties":{"b":{"type":"integer"}}}`,
		`{"patternProperties":{"^c":true}}`, `{"required":["a"]}`,
		`{"properties":{"a":{}},` +
			`"required":["b"]}`, `{"additionalProperties":{"type":"integer"}}`,
		`{"unevaluatedProperties":{"type":"integer"}}`,
		`{"prefixItems":[true]}`, `{"items":[true,` +
			`{"type":"integer"}]}`, `{"contains":{"const":1}}`,
		`{"unevaluatedItems":{"type":"integer"}}`, `{"minItems":2}`,
		`{"propertyNames":{"maxLength":1}}`, `true`, `false`,
	}
	plain := rapid.Map(rapid.SampledFrom(texts), func(text string) any {
		v, err := canonical.Parse([]byte(text))
		if err != nil {
			panic(err)
		}
		return v
	})
	if depth == 0 {
		return plain
	}
	child := rapid.Deferred(func() *rapid.Generator[any] { return lookingAt(depth - 1) })
	return rapid.OneOf(plain, rapid.Custom(func(t *rapid.T) any {
		members := map[string]any{}
		switch keyword := rapid.SampledFrom([]string{
			"allOf", "anyOf", "oneOf", "if", "not",
			"dependentSchemas",
		}).Draw(t, "keyword"); keyword {
		case "if":
			members["if"], members["then"], members["else"] = child.Draw(t, "if"), child.Draw(t,
				"then"), child.Draw(t, "else")
		case "not":
			members["not"] = child.Draw(t, "not")
		case "dependentSchemas":
			members[keyword] = map[string]any{"a": child.Draw(t, "schema")}
		default:
			members[keyword] = []any(rapid.SliceOfN(child, 1, 3).Draw(t, "schemas"))
		}
		for _, keyword := range []string{"unevaluatedProperties", "unevaluatedItems"} {
			if rapid.IntRange(0, 2).Draw(t, keyword) == 0 {
				members[keyword] = false
			}
		}
		return members
	}))
}

// TestUnevaluatedAsTheLibrary: what counts as looked at is what schemas that accept the value look
// at.
func TestUnevaluatedAsTheLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := string(canonical.Append(nil, map[string]any{
			"$schema":               rapid.SampledFrom(drafts()[3:]).Draw(t, "draft"),
			"allOf":                 []any{lookingAt(2).Draw(t, "schema"), lookingAt(1).Draw(t, "other")},
			"unevaluatedProperties": false, "unevaluatedItems": false,
		}))
		s, err := schema.Compile([]byte(text))
		if err != nil {
			t.Skip("not a schema of this draft")
		}
		for range 20 {
			compareWithLibrary(t, s, text, anyValue(2).Draw(t, "value"))
		}
	})
}
