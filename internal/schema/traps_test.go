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
	_ "github.com/santhosh-tekuri/jsonschema/v5/httploader" // part of trap J3: it lets the whole program load schemas

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

// The tests in this file are named after the traps of the library, J1 to J10,
// and show that none can be reached.

// Numbers that crash the library are refused before it sees them, in values
// and in schemas, and lengths that it garbles are refused after.
func TestJ1NumbersThatPanic(t *testing.T) {
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

func TestJ1LengthsThatMeanNothing(t *testing.T) {
	t.Parallel()
	keywords := []string{"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
	for _, keyword := range keywords {
		for _, length := range []string{"1e30", "99999999999999999999", "9223372036854775808"} {
			_, err := schema.Compile([]byte(`{"items":{"` + keyword + `":` + length + `}}`))
			want := []violation{{"/items/" + keyword, "is too large"}}
			if diff := cmp.Diff(want, violations(t, err)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", keyword, length, diff)
			}
		}
		compiled(t, `{"`+keyword+`":4294967296}`)
	}
	const draft = `"$schema":"https://json-schema.org/draft/2020-12/schema"`
	for _, keyword := range []string{"minContains", "maxContains"} {
		_, err := schema.Compile([]byte(`{` + draft + `,"contains":{},"` + keyword + `":1e30}`))
		if diff := cmp.Diff([]violation{{"/" + keyword, "is too large"}}, violations(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", keyword, diff)
		}
	}
}

// Numbers at the limits are computed with, and quickly so.
func TestJ1NumbersAtTheLimits(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"items":{"type":"integer","minimum":1e-400,"maximum":1e400,"multipleOf":1}}`)
	digits := strings.Repeat("9", canonical.MaxDigits)
	if err := s.Validate(parsed(t, `[1e400,`+digits+`,1]`)); err != nil {
		t.Error(err)
	}
	err := s.Validate(parsed(t, `[1e-400]`))
	if diff := cmp.Diff([]violation{{"/0", "expected integer, but got number"}}, violations(t, err)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// A file that a schema refers to makes no difference, whether it exists, does
// not, or blocks whoever opens it.
func TestJ3FilesAreNotOpened(t *testing.T) {
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
			`{"$schema":"file://%s"}`,
			`{"$ref":"%s"}`,
		} {
			if strings.Contains(text, "%[2]s") {
				text = fmt.Sprintf(text, path, filepath.Base(path))
			} else {
				text = fmt.Sprintf(text, path)
			}
			_, err := schema.Compile([]byte(text))
			for _, v := range violations(t, err) {
				if known := strings.Contains(v.Message, "references are never loaded") || strings.Contains(v.Message, "not a draft") ||
					strings.Contains(v.Message, "not found"); !known {
					t.Errorf("%s: %s", text, v.Message)
				}
			}
		}
	}
}

// A name without a scheme is not looked up in the working directory.
func TestJ3WorkingDirectoryIsNotRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"testdata/origin.visit.json", "./testdata/origin.visit.json", "schema.go"} {
		_, err := schema.Compile([]byte(`{"$ref":"` + name + `"}`))
		want := []violation{{Message: "refers to " + strings.TrimPrefix(name, "./") + ", which is not part of the schema: references are never loaded"}}
		if diff := cmp.Diff(want, violations(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestJ3NoRequestIsMade(t *testing.T) {
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
	for _, text := range []string{`{"$ref":"%s/x"}`, `{"$schema":"%s/x"}`, `{"$id":"%s/a/b","not":{"$ref":"c"}}`, `{"$id":"%s","properties":{"a":{"$id":"x","items":{"$ref":"y#z"}}}}`} {
		_, err := schema.Compile(fmt.Appendf(nil, text, server.URL))
		_ = violations(t, err)
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// The schemas of schemas that the library knows assert formats and take
// patterns from the value, so that they are not to be referred to.
func TestJ3BuiltInSchemasAreNotUsed(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2020-12/schema#/$defs/a",
		"https://json-schema.org/draft/2020-12/meta/core", "https://json-schema.org/draft/2019-09/meta/applicator#",
	} {
		_, err := schema.Compile([]byte(`{"items":{"$ref":"` + address + `"}}`))
		_ = violations(t, err)
	}
}

func TestJ4Cycles(t *testing.T) {
	t.Parallel()
	cyclic := map[string]any{}
	cyclic["next"] = []any{cyclic}
	if _, err := canonical.FromGo(cyclic); err == nil {
		t.Error("a cyclic value was accepted")
	}
	for _, text := range []string{
		`{"$ref":"#"}`, `{"allOf":[{"$ref":"#"}]}`, `{"not":{"$ref":"#"}}`, `{"if":{"$ref":"#"}}`,
		`{"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}},"properties":{"x":{"$ref":"#/definitions/a"}}}`,
	} {
		_, err := schema.Compile([]byte(text))
		if diff := cmp.Diff([]violation{{Message: "refers to itself without end"}}, violations(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	s := compiled(t, `{"properties":{"next":{"$ref":"#"}},"not":{"required":["end"]}}`)
	deepest := strings.Repeat(`{"next":`, 63) + `{}` + strings.Repeat(`}`, 63)
	if err := s.Validate(parsed(t, deepest)); err != nil {
		t.Error(err)
	}
}

func TestJ5DraftIs7UnlessNamed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		schemas []string // of which the first is the usual spelling
		body    string
		refused string
	}{
		// 2020-12 has no arrays as items.
		"default": {[]string{``}, `"items":[{"type":"string"}]`, `[1]`},
		// Before 2019-09 what is beside a $ref is ignored.
		"siblings of $ref": {[]string{``}, `"definitions":{"s":{"type":"string"}},"items":{"$ref":"#/definitions/s","minLength":5}`, `[1]`},
		"4": {
			[]string{"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-04/schema", "https://json-schema.org/draft-04/schema#"},
			`"maximum":3,"exclusiveMaximum":true`, `3`,
		},
		"6":       {[]string{"http://json-schema.org/draft-06/schema#", "https://json-schema.org/draft-06/schema#/"}, `"const":1`, `2`},
		"7":       {[]string{"http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft-07/schema"}, `"if":{},"then":false`, `1`},
		"2019-09": {[]string{"https://json-schema.org/draft/2019-09/schema", "http://json-schema.org/draft/2019-09/schema#"}, `"dependentRequired":{"a":["b"]}`, `{"a":1}`},
		"2020-12": {
			[]string{"https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft/2020-12/schema#", "https://json-schema.org/schema"},
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
				if err := compiled(t, text).Validate(parsed(t, tt.refused)); err == nil {
					t.Errorf("%s accepts %s", text, tt.refused)
				}
			}
		})
	}
	if err := compiled(t, `{"definitions":{"s":{}},"$ref":"#/definitions/s","minLength":5}`).Validate("x"); err != nil {
		t.Errorf("draft 7 looks beside $ref: %v", err)
	}
	for _, draft := range []string{"", "#", "http://json-schema.org/draft-03/schema#", "http://json-schema.org/draft-07/schema#/x", "draft-07", "https://example.org/schema", "https://json-schema.org/draft/2020-12/meta/core"} {
		if _, err := schema.Compile([]byte(`{"$schema":"` + draft + `"}`)); err == nil {
			t.Errorf("$schema %q is accepted", draft)
		}
	}
}

func drafts() []string {
	return []string{
		"http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#",
		"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema",
	}
}

func TestJ6FormatsAreAnnotations(t *testing.T) {
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
			if err := s.Validate(bad); err != nil {
				t.Errorf("%s, %s: %v", draft, format, err)
			}
		}
		s := compiled(t, `{"$schema":"`+draft+`","not":{"enum":[1]},"contentEncoding":"base64","contentMediaType":"application/json","contentSchema":{"type":"null"}}`)
		for _, v := range []any{"%", "e30=", "{"} {
			if err := s.Validate(v); err != nil {
				t.Errorf("%s: %v: %v", draft, v, err)
			}
		}
	}
}

// The draft's own check of a schema still knows the formats.
func TestJ6SchemasAreStillChecked(t *testing.T) {
	t.Parallel()
	_, err := schema.Compile([]byte(`{"format":"regex","pattern":"("}`))
	if diff := cmp.Diff([]violation{{"/pattern", "unsupported pattern: missing closing ): `(`"}}, violations(t, err)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestJ7InvalidSchemas(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `{`, `{} x`, `null`, `[]`, `"x"`, `1`, `true`, `false`, `{"type":"obj"}`, `{"type":5}`, `{"required":"a"}`, `{"properties":[]}`, `{"minLength":-1}`,
		`{"minLength":1.5}`, `{"enum":1}`, `{"$ref":1}`, `{"$ref":"#/nowhere"}`, `{"items":{"$ref":"#nowhere"}}`, `{"type":"string","type":"number"}`,
		`{"$id":1}`, `{"$id":":"}`, `{"regexProperties":1}`, `{"properties":{"a":1}}`, `{"$ref":"%zz"}`, `{"$ref":"#/%zz"}`, `{"dependencies":{"a":1}}`,
	} {
		s, err := schema.Compile([]byte(text))
		_ = violations(t, err)
		if s != nil {
			t.Errorf("%s: got a schema beside the error", text)
		}
	}
	_, err := schema.Compile([]byte(`{"type":"obj"}`))
	if _, ok := errors.AsType[*jsonschema.ValidationError](err); !ok {
		t.Errorf("error %v does not wrap the library's", err)
	}
}

func TestJ8Patterns(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{`(?=a)`, `(?<!a)b`, `(a)\\1`, `\\u00e9`, `\\cA`, `[^]`, `\\Z`, `a{1001}`, `(`, `(a{1000}){1000}`} {
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
		if got := s.Validate(text) == nil; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// Whatever Go value is sent, the library sees only types that it knows.
func TestJ9GoTypes(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"anyOf":[{"type":["object","array","string","number","boolean","null"]}],"not":{"const":"never"},"items":{"type":"string"}}`)
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
		if err := s.Validate(v); err != nil {
			t.Errorf("%T: %v", value, err)
		}
	}
}

func TestJ9LargeNumbersAreExact(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"items":{"maximum":9007199254740992}}`)
	_ = violations(t, s.Validate(parsed(t, `[9007199254740993]`)))
	v, err := canonical.FromGo([]any{int64(9007199254740993)})
	if err != nil {
		t.Fatal(err)
	}
	_ = violations(t, s.Validate(v))
}

func TestJ10Paths(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"definitions":{"any":{"type":["object","array"],"additionalProperties":{"$ref":"#/definitions/any"},"items":{"$ref":"#/definitions/any"}}},"$ref":"#/definitions/any"}`)
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
		"empty name at the end":         {`{"a":{"":1}}`, "/a"}, // the library leaves it out
		"empty name beside the culprit": {`{"":{},"a":1}`, "/a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.Validate(parsed(t, tt.value))
			want := []violation{{tt.want, "expected object or array, but got number"}}
			if diff := cmp.Diff(want, violations(t, err)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJ10OrderIsStable(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"additionalProperties":{"type":"string"},"properties":{"p":{"anyOf":[{"minLength":2},{"maxLength":0}],"additionalProperties":false}}}`)
	value := parsed(t, `{"a":1,"b":2,"c":{"d":1},"d e":null,"e/f":[],"p":"x","q":{"x":1,"y":2}}`)
	want := s.Validate(value).Error()
	for range 200 {
		if got := s.Validate(value).Error(); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestJ10ConcurrentUse(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"properties":{"a":{"type":"string","pattern":"^x"},"n":{"multipleOf":0.1}},"required":["a"]}`)
	valid, invalid := parsed(t, `{"a":"x","n":0.3}`), parsed(t, `{"n":0.25}`)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 100 {
				if err := s.Validate(valid); err != nil {
					t.Error(err)
				}
				if err := s.Validate(invalid); err == nil {
					t.Error("accepted")
				}
			}
		})
	}
	group.Wait()
}

// The printed forms of the library's error grow out of all bounds; ours do not.
func TestJ2PrintedErrorsAreShort(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"type":["object","array"],"additionalProperties":{"$ref":"#"},"items":{"$ref":"#"}}`)
	deep := strings.Repeat(`{"a":`, 60) + `[` + strings.Repeat("1,", 200) + `1]` + strings.Repeat(`}`, 60)
	err := s.Validate(parsed(t, deep))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if n := len(fmt.Sprintf(verb, err)); n > 20*400 {
			t.Errorf("%s takes %s bytes", verb, strconv.Itoa(n))
		}
	}
}
