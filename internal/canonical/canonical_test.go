package canonical_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// A vector is an entry of testdata/valid.json or testdata/invalid.json.
type vector struct {
	Name      string `json:"name"`
	Text      string `json:"text"`
	Canonical string `json:"canonical"`
	Error     string `json:"error"`
}

func vectors(tb testing.TB, path string) []vector {
	tb.Helper()
	data, err := os.ReadFile(path) //nolint:gosec // a file of testdata
	if err != nil {
		tb.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(data, &vs); err != nil {
		tb.Fatal(err)
	}
	return vs
}

func TestParseAndAppend(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t, "testdata/valid.json") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			value, err := canonical.Parse([]byte(v.Text))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(v.Canonical, string(canonical.Append(nil, value))); diff != "" {
				t.Errorf("Append (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t, "testdata/invalid.json") {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			wantError(t, v.Error)(canonical.Parse([]byte(v.Text)))
		})
	}
}

// wantError returns a function that checks the results of Parse or FromGo.
func wantError(t *testing.T, want string) func(any, error) {
	t.Helper()
	return func(v any, err error) {
		t.Helper()
		refused, ok := errors.AsType[*canonical.Error](err)
		if !ok {
			t.Fatalf("got value %v and error %v, want an *Error", v, err)
		}
		if v != nil {
			t.Errorf("got value %v beside the error", v)
		}
		if diff := cmp.Diff(want, refused.Error()); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	}
}

func TestParseRefusesInvalidUTF8(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want string
	}{
		"lone byte":           {"\"a\xff\"", "a string is not valid UTF-8"},
		"cut character":       {"{\"a\":\"\xc3\"}", "/a: a string is not valid UTF-8"},
		"encoded surrogate":   {"\"\xed\xa0\x80\"", "a string is not valid UTF-8"},
		"overlong encoding":   {"\"\xc0\x80\"", "a string is not valid UTF-8"},
		"after an escape":     {"\"\\n\xff\"", "a string is not valid UTF-8"},
		"in a name":           {"{\"\xff\":1}", "a string is not valid UTF-8"},
		"outside of a string": {"\xff", "not valid JSON: unexpected '\uFFFD' where a value begins (byte 0)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, tt.want)(canonical.Parse([]byte(tt.text)))
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	tests := map[string]struct {
		text string
		want string // reason of the error, without its path
	}{
		"depth at the limit":  {nested(canonical.MaxDepth), ""},
		"depth above it":      {nested(canonical.MaxDepth + 1), "nested more than 64 deep"},
		"objects above it":    {strings.Repeat(`{"a":`, canonical.MaxDepth+1), "nested more than 64 deep"},
		"a million brackets":  {strings.Repeat(`[`, 1<<20), "nested more than 64 deep"},
		"digits at the limit": {strings.Repeat("9", canonical.MaxDigits), ""},
		"digits above it":     {strings.Repeat("9", canonical.MaxDigits+1), "a number of more than 400 digits"},
		"fraction counts": {
			"0." + strings.Repeat("1", canonical.MaxDigits),
			"a number of more than 400 digits",
		},
		"zeros of exponents count": {
			"1e" + strings.Repeat("0", canonical.MaxDigits),
			"a number of more than 400 digits",
		},
		"sign does not count":   {"-" + strings.Repeat("9", canonical.MaxDigits), ""},
		"exponent at the limit": {"1e-400", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refused *canonical.Error
			switch _, err := canonical.Parse([]byte(tt.text)); {
			case tt.want == "" && err != nil:
				t.Errorf("Parse: %v", err)
			case tt.want != "" && !errors.As(err, &refused):
				t.Errorf("got error %v, want %q", err, tt.want)
			case tt.want != "" && refused.Reason != tt.want:
				t.Errorf("got reason %q, want %q", refused.Reason, tt.want)
			}
		})
	}
}

func TestErrorShowsLittleOfTheInput(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("secret", 100)
	inputs := map[string]any{
		"name":            json.RawMessage(`{"` + long + `":01}`),
		"nested names":    json.RawMessage(`{"` + long + `":{"` + long + `":01}}`),
		"duplicate":       json.RawMessage(`{"` + long + `":1,"` + long + `":2}`),
		"number":          json.Number(long),
		"number inside":   struct{ N json.Number }{json.Number(long)},
		"text":            json.RawMessage(long),
		"failing encoder": failing(long),
	}
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := canonical.FromGo(input)
			if err == nil {
				t.Fatal("got no error")
			}
			if n := strings.Count(err.Error(), "secret") * len("secret"); n > 100 || len(err.Error()) > 200 {
				t.Errorf("error shows %d bytes of the input: %v", n, err)
			}
		})
	}
}

// failing is what encoding/json cannot encode.
type failing string

func (f failing) MarshalJSON() ([]byte, error) { return nil, encodeError{string(f)} }

type encodeError struct{ text string }

func (e encodeError) Error() string { return e.text }

func TestFromGo(t *testing.T) {
	t.Parallel()
	type visit struct {
		URL   string            `json:"origin_url"`
		Count uint64            `json:"count"`
		Extra map[string]string `json:"extra,omitempty"`
	}
	number := json.Number("1.10")
	tests := map[string]struct {
		value any
		want  string
	}{
		"nil":         {nil, `null`},
		"nil map":     {map[string]any(nil), `null`},
		"nil slice":   {[]any(nil), `null`},
		"nil pointer": {(*visit)(nil), `null`},
		"raw message": {
			json.RawMessage(` {"b":1.10, "a":9007199254740993} `),
			`{"a":9007199254740993,"b":1.10}`,
		},
		"raw message, U+FFFD": {json.RawMessage(`"\ufffd"`), "\"\uFFFD\""},
		"bytes are base64":    {[]byte("hi"), `"aGk="`},
		"map":                 {map[string]any{"b": true, "a": "é\n"}, `{"a":"é\n","b":true}`},
		"nested": {
			map[string]any{"a": []any{nil, map[string]any{"n": number}}},
			`{"a":[null,{"n":1.10}]}`,
		},
		"typed map":          {map[string]string{"b": "<>&", "a": "\u2028"}, "{\"a\":\"\u2028\",\"b\":\"<>&\"}"},
		"typed map in a map": {map[string]any{"m": map[string]int{"b": 1, "a": 2}}, `{"m":{"a":2,"b":1}}`},
		"struct": {visit{
			URL:   "https://example.org/?a=1&b=2",
			Count: math.MaxUint64,
		}, `{"count":18446744073709551615,` +
			`"origin_url":"https://example.org/?a=1&b=2"}`},
		"pointer to a struct":  {&visit{}, `{"count":0,"origin_url":""}`},
		"struct in a map":      {map[string]any{"v": visit{}}, `{"v":{"count":0,"origin_url":""}}`},
		"raw message in a map": {map[string]any{"r": json.RawMessage(`{"z":1,"y":1E2}`)}, `{"r":{"y":1e+2,"z":1}}`},
		"U+FFFD in a string":   {"a\uFFFDb", "\"a\uFFFDb\""},
		"U+FFFD in a struct":   {visit{URL: "a\uFFFDb"}, "{\"count\":0,\"origin_url\":\"a\uFFFDb\"}"},
		"text of the escape":   {visit{URL: `\ufffd`}, `{"count":0,"origin_url":"\\ufffd"}`},
		"int":                  {-7, `-7`},
		"int64":                {int64(math.MinInt64), `-9223372036854775808`},
		"uint8":                {uint8(200), `200`},
		"float64": {
			[]any{1.0, 0.1, 1e21, 1e-7, math.Copysign(0, -1), 100000000.0},
			`[1,0.1,1e+21,1e-7,0,100000000]`,
		},
		"float64, largest": {math.MaxFloat64, `1.7976931348623157e+308`},
		"float32":          {float32(0.1), `0.1`},
		"json.Number":      {json.Number("1E400"), `1e+400`},
		"time":             {time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC), `"2026-11-23T01:02:03Z"`},
		"depth of a raw message": {[]any{json.RawMessage(strings.Repeat("[", 63) +
			strings.Repeat("]", 63))}, strings.Repeat("[", 64) + strings.Repeat("]", 64)},
		"empty map stays an empty": {map[string]any{"a": map[string]any{}, "b": []any{}}, `{"a":{},"b":[]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, err := canonical.FromGo(tt.value)
			if err != nil {
				t.Fatalf("FromGo: %v", err)
			}
			if diff := cmp.Diff(tt.want, string(canonical.Append(nil, value))); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromGoRefuses(t *testing.T) {
	t.Parallel()
	cyclicMap := map[string]any{}
	cyclicMap["a"] = cyclicMap
	cyclicSlice := make([]any, 1)
	cyclicSlice[0] = cyclicSlice
	type node struct{ Next *node }
	cyclicStruct := &node{}
	cyclicStruct.Next = cyclicStruct
	deep := any("x")
	for range canonical.MaxDepth + 1 {
		deep = []any{deep}
	}
	tests := map[string]struct {
		value  any
		reason string
	}{
		"cyclic map":   {cyclicMap, "nested more than 64 deep"},
		"cyclic slice": {cyclicSlice, "nested more than 64 deep"},
		"cyclic struct": {
			cyclicStruct,
			"cannot be encoded as JSON: json: unsupported value: encountered a cycle via *canonical_test...",
		},
		"deep":             {deep, "nested more than 64 deep"},
		"deep raw message": {[]any{json.RawMessage(strings.Repeat("[", 64))}, "nested more than 64 deep"},
		"deep typed map": {map[string]any{"a": map[string]json.RawMessage{
			"b": json.RawMessage(strings.Repeat("[", 63) + strings.Repeat("]", 63)),
		}}, "nested more than 64 deep"},
		"a name of the server's": {
			map[string]any{"$serde_json::private::RawValue": "1"},
			"the server would read such a member as something else",
		},
		"NaN":      {math.NaN(), "not a JSON number: NaN"},
		"infinity": {math.Inf(-1), "not a JSON number: -Inf"},
		"NaN in a struct": {
			struct{ F float64 }{math.NaN()},
			"cannot be encoded as JSON: json: unsupported value: NaN",
		},
		"empty number":            {json.Number(""), "not a JSON number"},
		"malformed number":        {json.Number("1x"), "not a JSON number"},
		"number with a blank":     {json.Number(" 1"), "not a JSON number"},
		"large number":            {json.Number("1e401"), "a number with an exponent beyond 400"},
		"invalid UTF-8":           {"a\xff", "a string is not valid UTF-8"},
		"invalid UTF-8 in a name": {map[string]any{"\xff": 1}, "the name of a member is not valid UTF-8"},
		"invalid UTF-8 in a type": {
			map[string]string{"a": "\xff"},
			"a string is not valid UTF-8 (it was encoded as U+FFFD)",
		},
		"invalid UTF-8 in a key": {
			map[string]int{"\xff": 1},
			"a string is not valid UTF-8 (it was encoded as U+FFFD)",
		},
		"channel": {make(chan int), "cannot be encoded as JSON: json: unsupported type: chan int"},
		"function": {
			map[string]any{"f": func() {}},
			"cannot be encoded as JSON: json: unsupported type: func()",
		},
		"empty raw message": {json.RawMessage(nil), "the JSON text ends where a value begins"},
		"broken raw message": {
			json.RawMessage(`{"a":1}}`),
			"not valid JSON: unexpected '}' after the value (byte 7)",
		},
		"duplicate in raw message": {
			map[string]any{"r": json.RawMessage(`{"a":1,"a":1}`)},
			"there are two members of this name",
		},
		"duplicate by marshaling": {map[textKey]int{{"a", 1}: 1, {"a", 2}: 2}, "there are two members of this name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refused *canonical.Error
			if _, err := canonical.FromGo(tt.value); !errors.As(err, &refused) {
				t.Fatalf("got error %v, want an *Error", err)
			}
			if diff := cmp.Diff(tt.reason, refused.Reason); diff != "" {
				t.Errorf("reason (-want +got):\n%s", diff)
			}
		})
	}
}

// textKey is a key of which two different ones have the same text.
type textKey struct {
	text string
	n    int
}

func (k textKey) MarshalText() ([]byte, error) { return []byte(k.text), nil }

func TestFromGoPath(t *testing.T) {
	t.Parallel()
	value := map[string]any{"a/b": []any{0, map[string]any{"m": math.NaN()}}}
	wantError(t, "/a~1b/1/m: not a JSON number: NaN")(canonical.FromGo(value))
	value = map[string]any{"a": []any{json.RawMessage(`{"b":01}`)}}
	wantError(t, "/a/0/b: not a JSON number")(canonical.FromGo(value))
}

func TestFromGoUnwraps(t *testing.T) {
	t.Parallel()
	_, err := canonical.FromGo(failing("no"))
	if want := (encodeError{"no"}); !errors.Is(err, want) {
		t.Errorf("got error %v, want it to wrap %v", err, want)
	}
}

func TestFromGoChangesNothing(t *testing.T) {
	t.Parallel()
	type named struct{ N int8 }
	fresh := func() map[string]any {
		return map[string]any{
			"m": map[string]any{"n": named{1}}, "l": []any{uint(1), 2.5},
			"r": json.RawMessage(`["r"]`),
		}
	}
	input := fresh()
	value, err := canonical.FromGo(input)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fresh(), input); diff != "" {
		t.Errorf("input was changed (-want +got):\n%s", diff)
	}
	if got, want := string(canonical.Append(nil, value)), `{"l":[1,2.5],"m":{"n":{"N":1}},"r":["r"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseSharesNothing(t *testing.T) {
	t.Parallel()
	data := []byte(`{"key":"value"}`)
	value, err := canonical.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if diff := cmp.Diff(any(map[string]any{"key": "value"}), value); diff != "" {
		t.Errorf("value changed with the data (-want +got):\n%s", diff)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	if got, want := string(canonical.Append([]byte("a="), []any{true})), "a=[true]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppendPanicsOnForeignTypes(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r == nil {
			t.Error("did not panic")
		}
	}()
	canonical.Append(nil, int8(1))
}

// anyValue draws a value such as Parse makes.
func anyValue(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just(any(nil)),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,9})?(e[+-][0-9]{1,2})?`), func(s string) any {
			if s == "-0" {
				s = "0" // as which it is written
			}
			return json.Number(s)
		}),
	)
	if depth == 0 {
		return scalar
	}
	child := rapid.Deferred(func() *rapid.Generator[any] { return anyValue(depth - 1) })
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(child, 0, 5), func(items []any) any { return items }),
		rapid.Map(rapid.MapOfN(rapid.String(), child, 0, 20), func(members map[string]any) any { return members }),
	)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := anyValue(3).Draw(t, "value")
		text := canonical.Append(nil, value)
		parsed, err := canonical.Parse(text)
		if err != nil {
			t.Fatalf("Parse(%s): %v", text, err)
		}
		if diff := cmp.Diff(value, parsed); diff != "" {
			t.Fatalf("Parse of %s (-want +got):\n%s", text, diff)
		}
	})
}

// Whatever way a value takes through FromGo, the text is the same.
func TestFromGoIsParse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := anyValue(3).Draw(t, "value")
		want := string(canonical.Append(nil, value))
		for name, input := range map[string]any{
			"tree":        value,
			"raw message": json.RawMessage(want),
			"marshalled":  &value,
		} {
			got, err := canonical.FromGo(input)
			if err != nil {
				t.Fatalf("%s: FromGo: %v", name, err)
			}
			if diff := cmp.Diff(want, string(canonical.Append(nil, got))); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"testdata/valid.json", "testdata/invalid.json"} {
		for _, v := range vectors(f, path) {
			f.Add([]byte(v.Text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := canonical.Parse(data)
		if err != nil {
			checkRefusal(t, data, err)
			return
		}
		if want := unmarshal(t, data); !cmp.Equal(want, value) {
			t.Fatalf("encoding/json reads another value (-json +canonical):\n%s", cmp.Diff(want, value))
		}
		text := canonical.Append(nil, value)
		again, err := canonical.Parse(text)
		if err != nil {
			t.Fatalf("Parse of the canonical text %s: %v", text, err)
		}
		if got := canonical.Append(nil, again); string(got) != string(text) {
			t.Fatalf("got %s, then %s", text, got)
		}
	})
}

// stricter are the reasons for which Parse refuses what encoding/json takes.
var stricter = []string{"UTF-8", "surrogate", "two members", "deep", "digits", "exponent beyond", "something else"}

func checkRefusal(t *testing.T, data []byte, err error) {
	t.Helper()
	if len(err.Error()) > 200 {
		t.Errorf("long error: %v", err)
	}
	if !json.Valid(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		return
	}
	for _, reason := range stricter {
		if strings.Contains(err.Error(), reason) {
			return
		}
	}
	t.Errorf("encoding/json takes it, Parse does not: %v", err)
}

func unmarshal(t *testing.T, data []byte) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff")))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("Parse takes it, encoding/json does not: %v", err)
	}
	return v
}

func FuzzFromGo(f *testing.F) {
	f.Add("key", "value", 1.5)
	f.Add("\xff", "\uFFFD", math.Inf(1))
	f.Fuzz(func(t *testing.T, name, text string, number float64) {
		direct, directErr := canonical.FromGo(map[string]any{name: []any{text, number}})
		viaJSON, viaJSONErr := canonical.FromGo(map[string][2]any{name: {text, number}})
		if (directErr == nil) != (viaJSONErr == nil) {
			t.Fatalf("converted: %v; marshalled: %v", directErr, viaJSONErr)
		}
		if directErr != nil {
			return
		}
		want := string(canonical.Append(nil, viaJSON))
		if got := string(canonical.Append(nil, direct)); got != want {
			t.Fatalf("converted %s, marshalled %s", got, want)
		}
		want = string(canonical.AppendKey(nil, viaJSON))
		if got := string(canonical.AppendKey(nil, direct)); got != want {
			t.Fatalf("key of what was converted %s, marshalled %s", got, want)
		}
	})
}

// visitText is a payload of origin.visit in which nothing is long.
const visitText = `{"origin_url":"https://a.example/x","visit_type":"git","visit":1,"visit_status":"full","ok":true}`

func BenchmarkParse(b *testing.B) {
	data := []byte(visitText)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := canonical.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndAppend(b *testing.B) {
	data := []byte(visitText)
	b.ReportAllocs()
	for b.Loop() {
		value, err := canonical.Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		canonical.Append(make([]byte, 0, len(data)), value)
	}
}

func BenchmarkFromGoMap(b *testing.B) {
	value := map[string]any{
		"origin_url": "https://a.example/x", "visit_type": "git", "visit": 1,
		"visit_status": "full", "ok": true,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := canonical.FromGo(value); err != nil {
			b.Fatal(err)
		}
	}
}
