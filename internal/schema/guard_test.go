package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v5"
	_ "github.com/santhosh-tekuri/jsonschema/v5/httploader" // it lets the whole program load schemas

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

// Numbers that crash the library are refused before it sees them, in values
// and in schemas, and lengths that it garbles are refused after.
func TestNumbersBeyondTheLimitsAreRefused(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"1e9999999", "1e-9999999", "1E+401", strings.Repeat("1", 401)} {
		if _, err := canonical.Parse([]byte(`{"a":` + number + `}`)); err == nil {
			t.Errorf("value %.20s was accepted", number)
		}
		for _, keyword := range []string{"maxLength", "minItems", "multipleOf", "minimum", "const", "default"} {
			if _, err := schema.Compile([]byte(`{"` + keyword + `":` + number + `}`)); err == nil {
				t.Errorf("schema with %s %.20s was accepted", keyword, number)
			}
		}
		if _, err := schema.Compile([]byte(`{"enum":[` + number + `]}`)); err == nil {
			t.Errorf("schema with enum %.20s was accepted", number)
		}
	}
	for _, v := range []any{json.Number(""), json.Number("x"), json.Number("1e9999999"), math.NaN(), math.Inf(1)} {
		if _, err := canonical.FromGo(v); err == nil {
			t.Errorf("value %v was accepted", v)
		}
	}
}

// Numbers at the limits are computed with, and quickly so.
func TestNumbersAtTheLimits(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"items":{"type":"integer","minimum":1e-400,"maximum":1e400,"multipleOf":1}}`)
	digits := strings.Repeat("9", canonical.MaxDigits)
	if err := s.Validate(t.Context(), parsed(t, `[1e400,`+digits+`,1]`)); err != nil {
		t.Error(err)
	}
	err := s.Validate(t.Context(), parsed(t, `[1e-400]`))
	if diff := cmp.Diff([]violation{{"/0", "expected integer, but got number"}}, violations(t, err)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// A file that a schema refers to makes no difference, whether it exists, does
// not, or blocks whoever opens it.
func TestFilesAreNotOpened(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	existing := filepath.Join(folder, "existing.json")
	if err := os.WriteFile(existing, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(folder, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{existing, fifo, filepath.Join(folder, "missing.json")} {
		for _, text := range []string{
			`{"$ref":"file://%s"}`,
			`{"$id":"file://%[1]s.d/x","items":{"$ref":"../%[2]s"}}`,
			`{"$id":"file://%s","allOf":[{"$ref":"#/a"}]}`,
			`{"$ref":"%s"}`,
		} {
			if strings.Contains(text, "%[2]s") {
				text = fmt.Sprintf(text, path, filepath.Base(path))
			} else {
				text = fmt.Sprintf(text, path)
			}
			_, err := schema.Compile([]byte(text))
			for _, v := range violations(t, err) {
				if known := strings.Contains(v.Message, "references are never loaded") ||
					strings.Contains(v.Message, "not found"); !known {
					t.Errorf("%s: %s", text, v.Message)
				}
			}
		}
	}
}

// A name without a scheme is not looked up in the working directory.
func TestWorkingDirectoryIsNotRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"testdata/origin.visit.json", "./testdata/origin.visit.json", "schema.go"} {
		_, err := schema.Compile([]byte(`{"$ref":"` + name + `"}`))
		want := []violation{{Message: "refers to " + strings.TrimPrefix(name, "./") +
			", which is not part of the schema: references are never loaded"}}
		if diff := cmp.Diff(want, violations(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNoRequestIsMade(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	if jsonschema.Loaders["http"] == nil {
		t.Fatal("the program has no loader for http, so that the test shows nothing")
	}
	for _, text := range []string{
		`{"$ref":"%s/x"}`, `{"$id":"%s/a/b","not":{"$ref":"c"}}`,
		`{"$id":"%s","properties":{"a":{"$id":"x","items":{"$ref":"y#z"}}}}`,
	} {
		_, err := schema.Compile(fmt.Appendf(nil, text, server.URL))
		_ = violations(t, err)
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestCyclesAreRefused(t *testing.T) {
	t.Parallel()
	cyclic := map[string]any{}
	cyclic["next"] = []any{cyclic}
	if _, err := canonical.FromGo(cyclic); err == nil {
		t.Error("a cyclic value was accepted")
	}
	for _, text := range []string{
		`{"$ref":"#"}`, `{"allOf":[{"$ref":"#"}]}`, `{"not":{"$ref":"#"}}`, `{"if":{"$ref":"#"}}`,
		`{"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}},` +
			`"properties":{"x":{"$ref":"#/definitions/a"}}}`,
	} {
		_, err := schema.Compile([]byte(text))
		if diff := cmp.Diff([]violation{{Message: "refers to itself without end"}}, violations(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	s := compiled(t, `{"properties":{"next":{"$ref":"#"}},"not":{"required":["end"]}}`)
	deepest := strings.Repeat(`{"next":`, 63) + `{}` + strings.Repeat(`}`, 63)
	if err := s.Validate(t.Context(), parsed(t, deepest)); err != nil {
		t.Error(err)
	}
}

func TestDraftIsSevenUnlessAnotherIsKnown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		schemas []string // of which the first is the usual spelling
		body    string
		refused string
	}{
		// 2020-12 has no arrays as items.
		"default": {[]string{``}, `"items":[{"type":"string"}]`, `[1]`},
		// Before 2019-09 what is beside a $ref is ignored.
		"siblings of $ref": {
			[]string{``},
			`"definitions":{"s":{"type":"string"}},"items":{"$ref":"#/definitions/s",` +
				`"minLength":5}`, `[1]`,
		},
		"4": {
			[]string{
				"http://json-schema.org/draft-04/schema#",
				"http://json-schema.org/draft-04/schema", "https://json-schema.org/draft-04/schema#",
			},
			`"maximum":3,"exclusiveMaximum":true`, `3`,
		},
		"6": {[]string{
			"http://json-schema.org/draft-06/schema#",
			"https://json-schema.org/draft-06/schema#/",
		}, `"const":1`, `2`},
		"7": {[]string{
			"http://json-schema.org/draft-07/schema#",
			"https://json-schema.org/draft-07/schema",
		}, `"if":{},"then":false`, `1`},
		"2019-09": {[]string{
			"https://json-schema.org/draft/2019-09/schema",
			"http://json-schema.org/draft/2019-09/schema#",
		}, `"dependentRequired":{"a":["b"]}`, `{"a":1}`},
		"2020-12": {
			[]string{
				"https://json-schema.org/draft/2020-12/schema",
				"http://json-schema.org/draft/2020-12/schema#", "https://json-schema.org/schema",
			},
			`"prefixItems":[{"type":"string"}]`, `[1]`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, draft := range tt.schemas {
				text := "{" + tt.body + "}"
				if draft != "" {
					text = `{"$schema":"` + draft + `",` + tt.body + "}"
				}
				if err := compiled(t, text).Validate(t.Context(), parsed(t, tt.refused)); err == nil {
					t.Errorf("%s accepts %s", text, tt.refused)
				}
			}
		})
	}
	if err := compiled(t, `{"definitions":{"s":{}},"$ref":"#/definitions/s",`+
		`"minLength":5}`).Validate(t.Context(), "x"); err != nil {
		t.Errorf("draft 7 looks beside $ref: %v", err)
	}
	for _, draft := range []string{"", "#", "draft-07", "schema", "//json-schema.org/schema"} {
		_, err := schema.Compile([]byte(`{"$schema":"` + draft + `"}`))
		want := []violation{{"/$schema", "'" + draft + "' is not a valid uri"}}
		if diff := cmp.Diff(want, violations(t, err)); diff != "" {
			t.Errorf("$schema %q (-want +got):\n%s", draft, diff)
		}
	}
	for _, draft := range []string{
		"http://json-schema.org/draft-03/schema#",
		"https://example.org/schema", "https://json-schema.org/draft/2020-12/meta/core",
	} {
		s := compiled(t, `{"$schema":"`+draft+`","prefixItems":[false],"items":[{"type":"string"}]}`)
		if s.Validate(t.Context(), parsed(t, `[""]`)) != nil || s.Validate(t.Context(), parsed(t, `[1]`)) == nil {
			t.Errorf("$schema %q is not read as draft 7", draft)
		}
	}
}

func drafts() []string {
	return []string{
		"http://json-schema.org/draft-04/schema#",
		"http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#",
		"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema",
	}
}

func TestFormatsAreAnnotations(t *testing.T) {
	t.Parallel()
	formats := []string{"unknown"}
	for format := range jsonschema.Formats {
		formats = append(formats, format)
	}
	if len(formats) < 20 {
		t.Fatalf("the library knows only the formats %v", formats)
	}
	bad := parsed(t, `["", "\u0000 no % ${format} /~2 ("]`)
	for _, draft := range drafts() {
		for _, format := range formats {
			s := compiled(t, `{"$schema":"`+draft+`","items":{"allOf":[{"format":"`+format+`"}],"not":{"enum":[1]}}}`)
			if err := s.Validate(t.Context(), bad); err != nil {
				t.Errorf("%s, %s: %v", draft, format, err)
			}
		}
		s := compiled(t, `{"$schema":"`+draft+`","not":{"enum":[1]},"contentEncoding":"base64",`+
			`"contentMediaType":"application/json","contentSchema":{"type":"null"}}`)
		for _, v := range []any{"%", "e30=", "{"} {
			if err := s.Validate(t.Context(), v); err != nil {
				t.Errorf("%s: %v: %v", draft, v, err)
			}
		}
	}
}

// The draft's own check of a schema still knows the formats.
func TestPatternsOfSchemasAreChecked(t *testing.T) {
	t.Parallel()
	_, err := schema.Compile([]byte(`{"format":"regex","pattern":"("}`))
	if diff := cmp.Diff([]violation{{
		"/pattern",
		"unsupported pattern: error parsing regexp: missing closing ): `(`",
	}}, violations(t, err)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestInvalidSchemas(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `{`, `{} x`, `null`, `[]`, `"x"`, `1`, `{"type":"obj"}`, `{"type":5}`,
		`{"required":"a"}`, `{"properties":[]}`, `{"minLength":-1}`,
		`{"minLength":1.5}`, `{"enum":1}`, `{"$ref":1}`, `{"$ref":"#/nowhere"}`,
		`{"items":{"$ref":"#nowhere"}}`, `{"type":"string","type":"number"}`,
		`{"$id":1}`, `{"$id":":"}`, `{"regexProperties":1}`, `{"properties":{"a":1}}`,
		`{"$ref":"%zz"}`, `{"$ref":"#/%zz"}`, `{"dependencies":{"a":1}}`,
	} {
		s, err := schema.Compile([]byte(text))
		_ = violations(t, err)
		if s != nil {
			t.Errorf("%s: got a schema beside the error", text)
		}
	}
	_, err := schema.Compile([]byte(`{"$ref":"#/nowhere"}`))
	if _, ok := errors.AsType[*jsonschema.SchemaError](err); !ok {
		t.Errorf("error %v does not wrap the library's", err)
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`(?=a)`, `(?<!a)b`, `(a)\\1`, `\\u00e9`, `\\cA`, `[^]`, `\\Z`,
		`a{1001}`, `(`, `(a{1000}){1000}`,
	} {
		for _, text := range []string{`{"pattern":"` + pattern + `"}`, `{"patternProperties":{"` + pattern + `":{}}}`} {
			_, err := schema.Compile([]byte(text))
			for _, v := range violations(t, err) {
				if !strings.HasPrefix(v.Message, "unsupported pattern: ") {
					t.Errorf("%s: %s: %s", text, v.Path, v.Message)
				}
			}
		}
	}
	// In data, and as the name of a property, it is no pattern.
	compiled(t, `{"default":{"pattern":"("},"properties":{"pattern":{"const":{"patternProperties":{"(":1}}}}}`)

	s := compiled(t, `{"pattern":"^(?P<n>\\p{L}+|\\d)$"}`)
	for text, want := range map[string]bool{"é": true, "7": true, "7\n": false, "-": false} {
		if got := s.Validate(t.Context(), text) == nil; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// Whatever Go value is sent, the library sees only types that it knows.
func TestGoTypes(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"anyOf":[{"type":["object","array","string","number","boolean","null"]}],`+
		`"not":{"const":"never"},"items":{"type":"string"}}`)
	type named map[string]any
	values := []any{
		[]string{"a"},
		map[string]string{"a": "b"},
		map[string]any{"a": []string{"b"}},
		map[int]string{1: "a"},
		struct{ A []byte }{[]byte("a")},
		named{"a": 1},
		time.Unix(0, 0), json.RawMessage(`{"a":1}`), []byte("a"), (*int)(nil),
		[]any{"a"},
		uint16(7), int16(7), uintptr(7), float32(1),
		map[string]any{"a": int8(1)},
		'a',
	}
	for _, value := range values {
		v, err := canonical.FromGo(value)
		if err != nil {
			t.Errorf("FromGo(%T): %v", value, err)
			continue
		}
		if err := s.Validate(t.Context(), v); err != nil {
			t.Errorf("%T: %v", value, err)
		}
	}
}

func TestLargeNumbersAreExact(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"items":{"maximum":9007199254740992}}`)
	_ = violations(t, s.Validate(t.Context(), parsed(t, `[9007199254740993]`)))
	v, err := canonical.FromGo([]any{int64(9007199254740993)})
	if err != nil {
		t.Fatal(err)
	}
	_ = violations(t, s.Validate(t.Context(), v))
}

func TestPaths(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"definitions":{"any":{"type":["object","array"],`+
		`"additionalProperties":{"$ref":"#/definitions/any"},"items":{"$ref":"#/definitions/any"}}},`+
		`"$ref":"#/definitions/any"}`)
	tests := map[string]struct {
		value string
		want  string
	}{
		"plain":                         {`{"a":1}`, "/a"},
		"slash and tilde":               {`{"a/b~c":1}`, "/a~1b~0c"},
		"tilde and digit":               {`{"~1":1}`, "/~01"},
		"blank, percent and letter":     {`{"a b":{"50%":{"é":1}}}`, "/a b/50%/é"},
		"percent and digits":            {`{"%2F%7e1":1}`, "/%2F%7e1"},
		"items":                         {`{"a":[[],[{},1]]}`, "/a/1/1"},
		"empty name before a name":      {`{"":{"a":1}}`, "//a"},
		"empty names before a name":     {`{"a":{"":{"":{"b":1}}}}`, "/a///b"},
		"empty name before an index":    {`{"":[1]}`, "//0"},
		"empty name at the end":         {`{"a":{"":1}}`, "/a/"},
		"empty name beside the culprit": {`{"":{},"a":1}`, "/a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.Validate(t.Context(), parsed(t, tt.value))
			want := []violation{{tt.want, "expected object or array, but got number"}}
			if diff := cmp.Diff(want, violations(t, err)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrderIsStable(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"additionalProperties":{"type":"string"},`+
		`"properties":{"p":{"anyOf":[{"minLength":2},{"maxLength":0}],"additionalProperties":false}}}`)
	value := parsed(t, `{"a":1,"b":2,"c":{"d":1},"d e":null,"e/f":[],"p":"x","q":{"x":1,"y":2}}`)
	want := s.Validate(t.Context(), value).Error()
	for range 200 {
		if got := s.Validate(t.Context(), value).Error(); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"properties":{"a":{"type":"string","pattern":"^x"},"n":{"multipleOf":0.1}},"required":["a"]}`)
	valid, invalid := parsed(t, `{"a":"x","n":0.3}`), parsed(t, `{"n":0.25}`)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 100 {
				if err := s.Validate(t.Context(), valid); err != nil {
					t.Error(err)
				}
				if err := s.Validate(t.Context(), invalid); err == nil {
					t.Error("accepted")
				}
			}
		})
	}
	group.Wait()
}

// The printed forms of the library's error grow out of all bounds; ours do not.
func TestPrintedErrorsAreShort(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"type":["object","array"],"additionalProperties":{"$ref":"#"},"items":{"$ref":"#"}}`)
	deep := strings.Repeat(`{"a":`, 60) + `[` + strings.Repeat("1,", 200) + `1]` + strings.Repeat(`}`, 60)
	err := s.Validate(t.Context(), parsed(t, deep))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if n := len(fmt.Sprintf(verb, err)); n > 20*400 {
			t.Errorf("%s takes %s bytes", verb, strconv.Itoa(n))
		}
	}
}
