package svixmock_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// These tests are about section 7.9 of the contract: which schemas the server takes.

// takes reports whether the server takes a schema.
func (a *api) takes(schema string) bool {
	a.t.Helper()
	got := a.do(http.MethodPut, "/event-type/origin.visit", `{"description":"","schemas":{"1":`+schema+`}}`)
	switch got.status {
	case http.StatusOK, http.StatusCreated:
		return true
	}
	got.expect(http.StatusUnprocessableEntity, undecodable("schemas"))
	return false
}

func TestPatternsThatTheServerTakes(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	for _, pattern := range []string{
		"", "a+", "^https?://", "(?!x)", "(?=x)", "(?<=a)b", "(?<!a)b", `(a)\1`, `\u00e9`, `\cA`, "a++",
		"a*+", "a?+", "a{2}+", "a??", "a{2,}?",
		"(?P<n>a)", "(?<n>a)", "(?i)a", "(?i:a)", "(?:a|b)", `\p{Lu}`, `\pL`, `\P{Greek}`, "[[:alpha:]]",
		"[^[:digit:]]", "[[a-z]&&[aeiou]]", `\A`, `\z`, `\b`, `\x{41}`,
		`\x41`, `\/`, `\-`, `\_`, "}", "]", "a{2}", "a{2,}", "a{2,3}", `[\w-]`, `[-\w]`, `[a\-z]`, `[a-z-9]`,
		`\d\D\s\S\w\W`, "[.]", "a|", "()", "é+",
	} {
		if !a.takes(`{"pattern":` + jsonText(pattern) + `}`) {
			t.Errorf("pattern %s was refused", pattern)
		}
	}
}

func TestPatternsThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	for _, pattern := range []string{
		"(", ")", "(a", "a)", "[", "[a", `[\w-.]`, `[a-\d]`, `[\b]`, "[]", "[^]", `\0`, `\e`, `\h`, `\R`,
		`\Z`, `\k<n>`, `(?<n>x)\k<n>`, "(?>a)", "(?#c)a", "{", "a{",
		"a{5", "a{,5}", "a{2,1}", "a**", "a+*", "*", "+a", "?", "|*", "(*)", `\`, `\d{1000000}`, `\1`, `\q`,
		`\p{Nope}`, `\u12`, `\x{}`,
	} {
		if a.takes(`{"pattern":` + jsonText(pattern) + `}`) {
			t.Errorf("pattern %s was taken", pattern)
		}
		if a.takes(`{"patternProperties":{` + jsonText(pattern) + `:{}}}`) {
			t.Errorf("pattern %s was taken as the name of properties", pattern)
		}
	}
}

func TestSchemasThatTheServerTakes(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	for _, schema := range []string{
		`true`, `{"enum":[]}`, `{"enum":[1,1.0]}`, `{"$ref":"#"}`, `{"$ref":""}`,
		`{"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}},"$ref":"#/definitions/a"}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":5,"$dynamicRef":7}`,
		`{"$schema":"https://archive.example/dialect"}`, `{"format":"swhid"}`, `{"$defs":{"a":{"type":"nope"}}}`,
		`{"enum":[{"$ref":"http://elsewhere.example/"}],"const":{"$ref":5},"default":{"$ref":"#/nope"},` +
			`"examples":[{"$ref":"x y"}]}`,
		`{"definitions":{"a":{"$id":"#origin","type":"string"}},"properties":{"o":{"$ref":"#origin"}}}`,
		`{"$id":"https://archive.example/root","definitions":{"a":{"$id":"visit"}},` +
			`"properties":{"v":{"$ref":"visit"}}}`,
		`{"$ref":"http://json-schema.org/draft-07/schema#"}`,
		`{"definitions":{"unused":{"minimum":1e400,"$ref":"#/nope"}}}`, `{"const":1e400,"x":-1e999}`,
		`{"minimum":` + strings.Repeat("7", 300) + `}`,
		`{"properties":{"a~/b":{}},"items":{"$ref":"#/properties/a~0~1b"}}`, `{"items":[{},{"$ref":"#/items/0"}]}`,
	} {
		if !a.takes(schema) {
			t.Errorf("%s was refused", schema)
		}
	}
}

func TestSchemasThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	for _, schema := range []string{
		`null`, `5`, `"x"`, `[]`, `{"type":"nope"}`, `{"$schema":""}`, `{"$schema":"nope"}`, `{"$schema":5}`,
		`{"$id":"x y"}`, `{"$id":5}`,
		`{"$ref":"x y"}`, `{"$ref":5}`, `{"$ref":"http://elsewhere.example/schema"}`,
		`{"$ref":"other.json"}`, `{"$ref":"urn:x:y"}`,
		`{"$ref":"#/definitions/x"}`, `{"$ref":"#nope"}`, `{"multipleOf":0}`, `{"multipleOf":1e-400}`,
		`{"exclusiveMinimum":true,"minimum":1}`,
		`{"$schema":"http://json-schema.org/draft-04/schema#","exclusiveMinimum":true,"minimum":1}`,
		`{"$defs":{"a":{"type":"nope"}},"$ref":"#/$defs/a"}`, `{"properties":{"a":{"items":[{"type":7}]}}}`,
		`{"allOf":[]}`, `{"enum":5}`,
		`{"items":{"$ref":"#/items/7"}}`, `{"examples":5}`,
	} {
		if a.takes(schema) {
			t.Errorf("%s was taken", schema)
		}
	}
	for levels, want := range map[int]int{127: http.StatusOK, 128: http.StatusUnprocessableEntity} { // of the body
		schema := `{"a":` + strings.Repeat("[", levels-3) + strings.Repeat("]", levels-3) + `}`
		got := a.do(
			http.MethodPut,
			"/event-type/deep?"+strconv.Itoa(levels),
			`{"description":"","schemas":{"1":`+schema+`}}`,
		)
		if got.status != want && got.status != want+1 {
			t.Errorf("%d levels: got status %d, want %d", levels, got.status, want)
		}
	}
}

// A number that no double holds, in a keyword that compares, kills the handler, and nothing is
// stored.
func TestSchemaWithANumberBeyondADouble(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{"minimum":1e400}`, `{"maximum":-1e999}`, `{"exclusiveMinimum":1e400}`, `{"multipleOf":1e400}`,
		`{"minLength":1e400}`, `{"maxItems":1e400}`,
		`{"properties":{"a":{"minimum":1e400}}}`, `{"definitions":{"a":{"minimum":1e400}},` +
			`"items":{"$ref":"#/definitions/a"}}`,
	} {
		a := newMemoryAPI(t, svixmock.Config{})
		a.drops(http.MethodPost, "/event-type", `{"name":"a.b","description":"","schemas":{"1":`+schema+`}}`)
		if got := a.items("/event-type"); len(got) > 0 {
			t.Errorf("%s: stored %v", schema, got)
		}
	}
}
