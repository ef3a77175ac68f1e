package schema_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/schema"
)

// The attacks in this file take the unguarded library from many seconds to for ever, or gigabytes
// of memory. BenchmarkAttacks tells what they take here.

// patience is what no call may take, on a busy machine and with the race detector.
const patience = time.Minute

// within fails the test where f takes too long.
func within(t *testing.T, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > patience {
		t.Errorf("took %v", took)
	}
}

// list joins n texts with commas.
func list(n int, text func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(text(i))
	}
	return b.String()
}

// repeat joins n times the same text with commas.
func repeat(n int, text string) string {
	return list(n, func(int) string { return text })
}

// numbered joins a format applied to 0 to n-1 with commas.
func numbered(n int, format string) string {
	return list(n, func(i int) string { return strings.ReplaceAll(format, "%d", strconv.Itoa(i)) })
}

func nested(n int, before, middle string) string {
	return strings.Repeat(before, n) + middle + strings.Repeat("}", n)
}

// doubling is a schema that applies the last definition 2ⁿ times to one value.
func doubling(n int, last string) string {
	definitions := list(n, func(i int) string {
		return fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]}`, i, i+1, i+1)
	})
	return fmt.Sprintf(`{"definitions":{%s,"d%d":%s},"allOf":[{"$ref":"#/definitions/d0"}]}`, definitions, n, last)
}

// chain is a schema of n references, one leading to the next and the last to
// the members named a, to which the first applies again.
func chain(n int) string {
	definitions := list(n, func(i int) string { return fmt.Sprintf(`"d%d":{"$ref":"#/definitions/d%d"}`, i, i+1) })
	return fmt.Sprintf(`{"definitions":{%s,"d%d":{"properties":{"a":{"$ref":"#/definitions/d0"}}}},`+
		`"allOf":[{"$ref":"#/definitions/d0"}],"not":false}`, definitions, n)
}

// An attack is a schema and a value that were made to take long together.
type attack struct{ schema, value string }

func attacks() map[string]attack {
	deep := nested(60, `{"a":`, `1`)
	return map[string]attack{
		"doubling references":         {doubling(30, `{"not":{"type":"null"}}`), `{}`},
		"doubling references, simple": {doubling(30, `{"type":"object"}`), `{}`},
		"doubling at every level": {`{"type":"object","properties":{"a":{"allOf":[{"$ref":"#"},` +
			`{"$ref":"#"}]}}}`, deep},
		"chain at every level": {chain(500), deep},
		"deep errors": {`{"type":["object","array"],"items":{"$ref":"#"},` +
			`"properties":{"a":{"$ref":"#"}}}`, `[` + repeat(2000, deep) + `]`},
		"long alternatives": {`{"items":{"anyOf":[` + repeat(2000, `{"type":"string"}`) +
			`]}}`, `[` + repeat(100_000, `1`) + `]`},
		"long conditions": {`{"items":` +
			nested(60, `{"if":{"minimum":3},"else":`, `{}`) + `}`, `[` + repeat(100_000, `1`) + `]`},
		"large errors": {`{"items":{"enum":[` +
			numbered(2000, `"`+strings.Repeat("x", 50)+`%d"`) + `]}}`, `[` + repeat(100_000, `1`) + `]`},
		"listed numbers": {`{"items":{"enum":[` + numbered(2000, `1%d`) + `]}}`, `[` +
			repeat(100_000, `1`) + `]`},
		"listed arrays": {`{"items":{"enum":[` + numbered(900, `[1,1,1,1,1,1,%d]`) +
			`]}}`, `[` + repeat(50_000, `[1,1,1,1,1,1,-1]`) + `]`},
		"required names": {`{"items":{"required":[` + numbered(10_000, `"a%d"`) +
			`]}}`, `[` + repeat(100_000, `{}`) + `]`},
		"dependent names": {`{"items":{"dependencies":{"a":[` +
			numbered(10_000, `"a%d"`) + `]}}}`, `[` + repeat(100_000, `{"a":1}`) + `]`},
		"names not allowed": {`{"anyOf":[` +
			repeat(2000, `{"additionalProperties":false}`) + `]}`, `{` + numbered(50_000,
			`"member%d":1`) + `}`},
		"names not evaluated": {
			`{"$schema":"https://json-schema.org/draft/2020-12/schema","allOf":[` + repeat(1000,
				`{"properties":{"a":{}}}`) + `],"unevaluatedProperties":false}`,
			`{` + numbered(50_000, `"member%d":1`) + `}`,
		},
		"patterns for names": {
			`{"patternProperties":{` + numbered(800, `"^a%d$":{}`) + `}}`,
			`{` + numbered(50_000, `"member%d":1`) + `}`,
		},
		"long names": {
			`{"additionalProperties":{"additionalProperties":{"type":"string"}}}`,
			`{"` + strings.Repeat("k", 500_000) + `":{` + numbered(30_000, `"%d":1`) + `}}`,
		},
		"pattern on long text": {`{"pattern":"(x?){500}y"}`, `"` + strings.Repeat("x", 1_000_000) + `"`},
		"classes on long text": {`{"pattern":"[^\\pL]*\\pL{900}c"}`, `"` + strings.Repeat("éa", 300_000) + `"`},
		"arithmetic": {
			`{"items":{"multipleOf":0.` + strings.Repeat("7", 399) + `}}`,
			`[` + repeat(100_000, `1e-399`) + `]`,
		},
		"unique pairs":        {`{"uniqueItems":true}`, `[` + numbered(20, `[`+repeat(20_000, `1`)+`,%d]`) + `]`},
		"unique, of one hash": {`{"uniqueItems":true}`, `[` + list(10_000, ofOneHash) + `]`},
		"numbers": {`{"items":{"type":"integer","not":{"minimum":5}}}`, `[` +
			repeat(500_000, `1`) + `]`},
		"length of a long text": {
			`{"allOf":[` + repeat(5000, `{"minLength":2000000}`) + `]}`,
			`"` + strings.Repeat("é", 500_000) + `"`,
		},
		"lengths, in alternatives": {`{"anyOf":[` + repeat(5000, `{"maxLength":1}`) + `]}`, `"` +
			strings.Repeat("x", 1_000_000) + `"`},
		"doubling, and an array": {doubling(12, `{"items":{"type":"string"}}`), `[` + repeat(200_000, `1`) + `]`},
		"doubling alternatives": {strings.ReplaceAll(doubling(12, `{"items":{"type":"string"}}`),
			"allOf", "anyOf"), `[` + repeat(200_000, `""`) + `,1]`},
		"doubling conditions": {doublingConditions(20), `[` + repeat(100_000, `1`) + `]`},
		"large constants": {`{"items":{"anyOf":[` +
			repeat(1000, `{"const":{"a":[1,2,3,4,5,6,7,8,9,10,11,12,`+
				`13]}}`) + `]}}`, `[` + repeat(10_000, `{"a":[1,2,3,4,5,6,7,8,9,10,11,12,14]}`) + `]`},
		"a large constant": {`{"items":{"const":[` + repeat(100_000, `1`) + `]}}`, `[` +
			repeat(500_000, `1`) + `]`},
		"many long numbers": {`{"items":{"anyOf":[` + repeat(500, `{"multipleOf":1e-400}`) +
			`,{"maximum":-1e400}]}}`, `[` + repeat(2500, strings.Repeat("7", 400)) + `]`},
		"long numbers, listed": {`{"items":{"enum":[` +
			numbered(500, strings.Repeat("7", 300)+`%d`) + `]}}`, `[` + repeat(2500,
			strings.Repeat("7", 400)) + `]`},
		"long numbers, unique": {`{"uniqueItems":true}`, `[` +
			numbered(20_000, `%d.7777777777777777777777777777777777777777e-300`) + `]`},
		"unique within unique": {
			`{"uniqueItems":true,"items":{"$ref":"#"}}`,
			strings.Repeat(`[`, 60) + numbered(170_000, `%d`) + strings.Repeat(`]`, 60),
		},
		"search in arrays": {`{"allOf":[` + repeat(2000, `{"contains":{"minimum":7}}`) +
			`]}`, `[` + repeat(500_000, `1`) + `]`},
		"search in search": {
			`{"contains":{"contains":{"contains":{"contains":{"const":7}}}}}`,
			`[` + repeat(100, `[`+repeat(100, `[[1],[1],[1],[1]]`)+`]`) + `]`,
		},
		"names of members": {`{"propertyNames":{"anyOf":[` +
			repeat(1000, `{"pattern":"^(a|b)*c$"}`) + `]}}`, `{` + numbered(50_000, `"%d":1`) + `}`},
		"dependent schemas": {`{"items":{"dependencies":{` +
			numbered(5000, `"a%d":{"minProperties":9}`) + `}}}`, `[` + repeat(50_000, `{"a1":1}`) + `]`},
		"recursion at every level": {`{"additionalProperties":{"$ref":"#"},"items":{"$ref":"#"},` +
			`"anyOf":[{"additionalProperties":{"$ref":"#"}},{"items":{"$ref":"#"}}],` +
			`"not":{"type":"null"}}`, `[` + repeat(2000, deep) + `]`},
		"names not evaluated, nested": {
			`{"$schema":"https://json-schema.org/draft/2020-12/schema",` +
				`"properties":{"a":{"$ref":"#"}},"anyOf":[{"unevaluatedProperties":{"$ref":"#"}},` +
				`{"required":["b"]}],"unevaluatedProperties":false}`,
			deep,
		},
		"conjuncts after a failure": {`{"items":{"not":{"allOf":[false,` +
			repeat(20_000, `true`) + `]}}}`, `[` + repeat(500_000, `1`) + `]`},
		"values of other types": {`{"items":{"not":{"enum":[` + numbered(20_000, `"%d"`) +
			`]}}}`, `[` + repeat(500_000, `1`) + `]`},
		"names required, in not": {`{"items":{"not":{"required":[` + numbered(20_000, `"%d"`) +
			`]}}}`, `[` + repeat(300_000, `{}`) + `]`},
		"members of patterns, in not": {`{"items":{"not":{"patternProperties":{` +
			numbered(3000, `"^a%d":false`) + `}}}}`, `[` + repeat(100_000, `{"a":1}`) + `]`},
		"alternatives that fail": {`{"items":{"not":{"oneOf":[` + repeat(20_000, `false`) +
			`]}}}`, `[` + repeat(500_000, `1`) + `]`},
		"required, all missing": {`{"anyOf":[` +
			repeat(20, `{"required":[`+numbered(1000, `"`+strings.Repeat("n", 3)+`%d"`)+`]}`) + `]}`, `{}`},
	}
}

// doublingConditions is a schema of conditions within conditions, which lead to two each.
func doublingConditions(n int) string {
	definitions := list(n, func(i int) string {
		next := fmt.Sprintf(`{"$ref":"#/definitions/d%d"}`, i+1)
		return fmt.Sprintf(`"d%d":{"if":%s,"then":%[2]s,"else":%[2]s}`, i, next)
	})
	return fmt.Sprintf(`{"definitions":{%s,"d%d":{"items":{"type":"string"}}},`+
		`"allOf":[{"$ref":"#/definitions/d0"}]}`, definitions, n)
}

var full = flag.Bool("full", false, "let all attacks run, not only every fifth")

// some returns the names of all attacks with -full, else of every fifth.
func some[V any](all map[string]V) []string {
	names := slices.Sorted(maps.Keys(all))
	if *full {
		return names
	}
	var chosen []string
	for i := 0; i < len(names); i += 5 {
		chosen = append(chosen, names[i])
	}
	return chosen
}

func TestAttacksAreAnswered(t *testing.T) {
	t.Parallel()
	all := attacks()
	for _, name := range some(all) {
		tt := all[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := compiled(t, tt.schema)
			value := parsed(t, tt.value)
			within(t, func() {
				if err := s.Validate(t.Context(), value); err != nil {
					checkViolations(t, err)
				}
			})
		})
	}
}

func TestValidationEndsWithItsContext(t *testing.T) {
	t.Parallel()
	all := attacks()
	for _, name := range some(all) {
		tt := all[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := compiled(t, tt.schema).Validate(ctx, parsed(t, tt.value)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the error of the context", err)
			}
		})
	}
}

// ofOneHash returns the text of different arrays that have one hash in the
// library: it does not see whether there is a \u0003 or the next item.
func ofOneHash(i int) string {
	var text strings.Builder
	text.WriteString(`["a`)
	for bit := range 15 {
		if i>>bit&1 == 1 {
			text.WriteString(`","b`)
		} else {
			text.WriteString(`\u0003b`)
		}
	}
	return text.String() + `"]`
}

func slowSchemas() map[string]string {
	const draft2020 = `"$schema":"https://json-schema.org/draft/2020-12/schema"`
	return map[string]string{
		"many schemas":       `{` + draft2020 + `,"allOf":[` + repeat(50_000, `{}`) + `]}`,
		"many booleans":      `{` + draft2020 + `,"allOf":[` + repeat(40_000, `true`) + `]}`,
		"deep and wrong":     `{` + draft2020 + `,"allOf":[` + repeat(400, nested(60, `{"not":`, `1`)) + `]}`,
		"large pattern":      `{"pattern":"` + strings.Repeat(`(x{1000})`, 3000) + `"}`,
		"many patterns":      `{"properties":{` + numbered(3000, `"a%d":{"pattern":"x{1000}"}`) + `}}`,
		"many classes":       `{"pattern":"` + strings.Repeat(`\\pL`, 50_000) + `"}`,
		"pattern properties": `{"patternProperties":{` + numbered(3000, `"x{1000}%d":{}`) + `}}`,
		"long names": `{"properties":{"` + strings.Repeat("k",
			150_000) + `":{"allOf":[` + repeat(1000, `{}`) + `]}}}`,
		// Each spelling of a reference makes the library compile the place again.
		"respelled references": `{"x":{"allOf":[` + repeat(2000,
			`{}`) + `]},"properties":{` + list(1000, func(i int) string {
			return fmt.Sprintf(`"a%d":{"$ref":"#%s/x"}`, i,
				strings.Repeat("/%78/..", i%5)) + fmt.Sprintf(`,"b%d":{"$ref":"#/x?%%%02x"}`, i, i%200)
		}) + `}}`,
		"references into places that are no schemas": `{"x":` + nested(50, `{"y":`,
			`{"allOf":[`+repeat(1000, `{}`)+`]}`) + `,"properties":{` + list(50, func(i int) string {
			return fmt.Sprintf(`"a%d":{"$ref":"#/x%s"}`, i, strings.Repeat("/y", i))
		}) + `}}`,
		"relative references": `{"definitions":{` + numbered(1500,
			`"d%d":{"$id":"d%d"}`) + `},"properties":{` + numbered(1500, `"p%d":{"$ref":"d%d"}`) + `}}`,
		"names as references": `{"definitions":{` + numbered(1500,
			`"d%d":{"$id":"#d%d"}`) + `},"properties":{` + numbered(1500, `"p%d":{"$ref":"#d%d"}`) + `}}`,
		"required, of one hash": `{"required":[` + list(2500, ofOneHash) + `]}`,
		"listed, of one hash": `{"$schema":"http://json-schema.org/draft-04/schema#",` +
			`"enum":[` + list(2500, ofOneHash) + `]}`,
		"listed long numbers": `{"enum":[` + numbered(9_000, `%d.777777777e-300`) + `]}`,
		"deep items":          `{"allOf":[` + repeat(400, nested(60, `{"items":`, `{}`)) + `]}`,
		"many types":          `{"properties":{` + numbered(6000, `"a%d":{"type":["string","null"]}`) + `}}`,
		"many members":        `{"properties":{` + numbered(12_000, `"a%d":true`) + `}}`,
	}
}

func TestSlowSchemasAreAnswered(t *testing.T) {
	t.Parallel()
	all := slowSchemas()
	for _, name := range some(all) {
		text := all[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func() {
				if err := schema.Check([]byte(text)); err != nil {
					checkViolations(t, err)
				}
			})
		})
	}
}

// BenchmarkAttacks tells how much processor time the slowest attack takes, of a bar of one second.
//
//	go test -run '^$' -bench Attacks -benchtime 1x ./internal/schema
func BenchmarkAttacks(b *testing.B) {
	var slowest time.Duration
	measure := func(name string, f func()) {
		runtime.GC()
		before := cpuTime(b)
		f()
		took := cpuTime(b) - before
		if slowest = max(slowest, took); took > 200*time.Millisecond {
			b.Logf("%s: %v", name, took)
		}
	}
	for b.Loop() {
		for name, tt := range attacks() {
			s, value := compiled(b, tt.schema), parsed(b, tt.value)
			measure(name, func() { _ = s.Validate(b.Context(), value) })
		}
		for name, text := range slowSchemas() {
			measure(name, func() { _ = schema.Check([]byte(text)) })
		}
	}
	b.ReportMetric(slowest.Seconds()*1000, "slowest-cpu-ms")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// The limits leave room for what a real service may send.
func TestLargeValuesAreValidated(t *testing.T) {
	t.Parallel()
	const record = `{"id":%d,"name":"some record","tags":["a","b"],"size":12.5}`
	const item = `{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string",` +
		`"maxLength":100},"tags":{"items":{"type":"string"}},"size":{"type":"number"}},"required":["id"]}`
	tests := map[string]struct{ schema, value string }{
		"a mebibyte of records": {`{"items":` + item + `}`, `[` + numbered(17_000, record) + `]`},
		"a mebibyte of numbers": {`{"items":{"type":"integer","minimum":0}}`, `[` +
			repeat(500_000, `7`) + `]`},
		"a mebibyte of text": {`{"type":"string","pattern":"^[a-z]+$"}`, `"` +
			strings.Repeat("x", 1<<20) + `"`},
		"records, by the library": {`{"definitions":{"r":` + item +
			`},"items":{"$ref":"#/definitions/r"},"not":{"type":"null"}}`, `[` + numbered(4000,
			record) + `]`},
		"records that are unique": {`{"uniqueItems":true}`, `[` + numbered(4000, record) + `]`},
		"a member of a long list": {`{"items":{"enum":[` + numbered(500, `"word%d"`) +
			`]}}`, `[` + repeat(10_000, `"word499"`) + `]`},
		"depth, by a recursive schema": {`{"properties":{"a":{"$ref":"#"}},` +
			`"not":{"type":"null"}}`, nested(60, `{"a":`, `1`)},
		"a schema of a hundred types": {`{"properties":{` + numbered(100, `"a%d":`+item) + `}}`, `{}`},
		"a hundred references to one": {`{"definitions":{"r":` + item + `},"properties":{` +
			numbered(100, `"a%d":{"$ref":"#/definitions/r"}`) + `}}`, `{}`},
		"a hundred patterns": {`{"properties":{` +
			numbered(100, `"a%d":{"pattern":"^swh:1:(cnt|dir|rev|rel|snp):[0-9a-f]{40}$"}`) + `}}`, `{}`},
		"a schema in several parts": {`{"definitions":{` +
			numbered(30, `"d%d":{"$id":"d%d","properties":{"x":{"type":"string"}}}`) + `},` +
			`"properties":{` + numbered(30, `"p%d":{"$ref":"d%d"}`) + `}}`, `{}`},
		"names in fragments, as is usual": {`{"properties":{` +
			numbered(300, `"p%d":{"$id":"#/properties/p%d","type":"string"}`) + `}}`, `{}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func() {
				if err := compiled(t, tt.schema).Validate(t.Context(), parsed(t, tt.value)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Where almost all that may be spent is spent, the time is still bounded.
func TestMostExpensiveErrors(t *testing.T) {
	t.Parallel()
	s := compiled(t, `{"items":{"minLength":3,"pattern":"^x","enum":["1"],"not":{},`+
		`"allOf":[{"type":"null"}],"const":1}}`)
	value, err := canonical.Parse([]byte(`[` + repeat(15_000, `""`) + `]`))
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() {
		if n := len(violations(t, s.Validate(t.Context(), value))); n != 20 {
			t.Errorf("got %d violations", n)
		}
	})
}
