package schema

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// Bounds of what an Error tells.
const (
	maxViolations = 20
	maxMessage    = 200 // bytes
)

// An Error says why a schema cannot be used or why a value does not match one.
type Error struct {
	// Violations are at least one and at most twenty mistakes, in the order of
	// their paths and then of their messages.
	Violations []Violation
	// Err is the error of the library, or nil where the library was not asked.
	// Its printed forms can be very long.
	Err error
}

// A Violation is one mistake.
type Violation struct {
	// Path is the JSON pointer (RFC 6901) to the mistake, empty for the whole
	// value. A member whose name is empty cannot always be told from the object
	// that holds it.
	Path string
	// Message says what is wrong there, in at most 200 bytes.
	Message string
}

// Error lists the violations.
func (e *Error) Error() string {
	texts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		texts[i] = v.Message
		if v.Path != "" {
			texts[i] = v.Path + ": " + v.Message
		}
	}
	return strings.Join(texts, "; ")
}

// GoString is Error: the %#v of the error of the library can take seconds.
func (e *Error) GoString() string { return e.Error() }

// Unwrap returns the error of the library.
func (e *Error) Unwrap() error { return e.Err }

// refusal returns an error with one violation.
func refusal(path, message string, err error) *Error {
	return &Error{Violations: []Violation{{Path: path, Message: shorten(message)}}, Err: err}
}

// compileError translates what the library says about a schema.
func compileError(err error, document any) *Error {
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return explain(invalid, document, nil)
	}
	if external, ok := errors.AsType[*referenceError](err); ok {
		return refusal("", external.Error(), err)
	}
	if _, ok := errors.AsType[jsonschema.InfiniteLoopError](err); ok {
		return refusal("", "refers to itself without end", err)
	}
	reason := err
	if failed, ok := errors.AsType[*jsonschema.SchemaError](err); ok {
		reason = failed.Err
	}
	return refusal("", strings.ReplaceAll(strings.TrimPrefix(reason.Error(), "jsonschema: "), address, ""), err)
}

// validateError translates what the library says about a value.
func (s *Schema) validateError(err error, value any) *Error {
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return explain(invalid, value, s.parts)
	}
	return refusal("", err.Error(), err)
}

// explain lists the leaves of the library's tree of errors about a value.
func explain(invalid *jsonschema.ValidationError, value any, parts map[string]*jsonschema.Schema) *Error {
	x := explanation{value: value, parts: parts}
	x.collect(invalid)
	return &Error{Violations: x.first, Err: invalid}
}

// An explanation keeps the first violations in order, for the library finds
// them in another order each time.
type explanation struct {
	value any
	parts map[string]*jsonschema.Schema // by their location
	first []Violation
}

// What the library says where it lists what is wrong with each alternative, or
// with each item.
const (
	noneOfAny = "anyOf failed"
	noneOfOne = "oneOf failed"
	contains  = "valid must be " // the start
)

func (x *explanation) collect(invalid *jsonschema.ValidationError) {
	switch {
	case len(invalid.Causes) == 0, strings.HasPrefix(invalid.Message, contains):
		x.add(invalid)
		return
	case invalid.Message == noneOfAny, invalid.Message == noneOfOne:
		x.add(invalid)
	}
	for _, cause := range invalid.Causes {
		x.collect(cause)
	}
}

func (x *explanation) add(invalid *jsonschema.ValidationError) {
	path, place := locate(x.value, invalid.InstanceLocation)
	if len(x.first) == maxViolations && path > x.first[maxViolations-1].Path {
		return
	}
	v := Violation{Path: path, Message: shorten(x.message(invalid, place))}
	i, known := slices.BinarySearchFunc(x.first, v, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	if known {
		return
	}
	x.first = slices.Insert(x.first, i, v)
	x.first = x.first[:min(len(x.first), maxViolations)]
}

// locate returns the JSON pointer into a value that the library means, and what
// it leads to. The library percent-encodes its pointers and leaves out names
// that are empty. Those that lie before another name are found again here.
func locate(v any, location string) (path string, place any) {
	var b strings.Builder
	for _, token := range strings.Split(location, "/")[1:] {
		if decoded, err := url.PathUnescape(token); err == nil {
			token = decoded
		}
		for lacks(v, token) {
			v = step(v, "")
			b.WriteByte('/')
		}
		v = step(v, token)
		b.WriteByte('/')
		b.WriteString(token)
	}
	return b.String(), v
}

// lacks reports whether v is an object without the member that a token names,
// but with one whose name is empty.
func lacks(v any, token string) bool {
	members, ok := v.(map[string]any)
	return ok && !has(members, unescapeToken(token)) && has(members, "")
}

// message says what is wrong with the value at a place.
func (x *explanation) message(invalid *jsonschema.ValidationError, place any) string {
	switch {
	case invalid.Message == noneOfAny:
		return "matches none of the alternatives of anyOf"
	case invalid.Message == noneOfOne:
		return "matches none of the alternatives of oneOf"
	case invalid.Message == "not failed":
		return "matches what the schema excludes by not"
	case strings.HasPrefix(invalid.Message, contains):
		return "the number of items that match contains must be " + strings.TrimPrefix(invalid.Message, contains)
	case strings.HasSuffix(invalid.Message, "is not valid 'regex'"):
		return patternMessage(place, invalid)
	}
	// The library writes these in Go's syntax, or in any order.
	if s := x.reporter(invalid, "enum"); s != nil && len(s.Enum) > 0 {
		return "must be one of " + list(s.Enum)
	}
	if s := x.reporter(invalid, "const"); s != nil && len(s.Constant) > 0 {
		return "must be " + list(s.Constant)
	}
	if s := x.reporter(invalid, "additionalProperties"); s != nil && s.AdditionalProperties == false {
		return "additional properties are not allowed: " + strings.Join(additional(s, place), ", ")
	}
	return invalid.Message
}

// reporter returns the schema that reports an error by a keyword, nil if
// another keyword does.
func (x *explanation) reporter(invalid *jsonschema.ValidationError, keyword string) *jsonschema.Schema {
	location, ok := strings.CutSuffix(invalid.AbsoluteKeywordLocation, "/"+keyword)
	if !ok {
		return nil
	}
	return x.parts[location]
}

// list returns the start of a list of values.
func list(values []any) string {
	var text []byte
	for i, v := range values {
		if i > 0 {
			text = append(text, ", "...)
		}
		if text = canonical.Append(text, v); len(text) > maxMessage {
			break
		}
	}
	return string(text)
}

// additional returns the names of the members that s does not know, quoted and
// in order.
func additional(s *jsonschema.Schema, v any) []string {
	var names []string
	members, _ := v.(map[string]any)
	for name := range members {
		_, known := s.Properties[name]
		for pattern := range s.PatternProperties {
			known = known || pattern.MatchString(name)
		}
		if !known {
			names = append(names, string(canonical.Append(nil, name)))
		}
	}
	slices.Sort(names)
	return names
}

// patternMessage says why a pattern of a schema is refused: it is the value at
// a place or, in patternProperties, the name of the place.
func patternMessage(place any, invalid *jsonschema.ValidationError) string {
	pattern, ok := place.(string)
	if !ok {
		location := invalid.InstanceLocation
		pattern, _ = url.PathUnescape(location[strings.LastIndexByte(location, '/')+1:])
		pattern = unescapeToken(pattern)
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return "unsupported pattern: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	return invalid.Message
}

// lookup returns what a JSON pointer leads to, nil where that is nowhere.
func lookup(v any, path string) any {
	for _, token := range strings.Split(path, "/")[1:] {
		v = step(v, token)
	}
	return v
}

// step returns what a token of a JSON pointer leads to, nil where that is nowhere.
func step(v any, token string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[unescapeToken(token)]
	case []any:
		if i, err := strconv.Atoi(token); err == nil && 0 <= i && i < len(v) {
			return v[i]
		}
	}
	return nil
}

func unescapeToken(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

// shorten cuts a message to what a violation may hold.
func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	const dots = "..."
	cut := maxMessage - len(dots)
	for !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + dots
}
