// Package schema compiles JSON Schemas and validates values against them, so
// that neither a schema nor a value that a stranger wrote can crash the
// program, keep it busy, or make it read a file or open a connection.
//
// It guards [github.com/santhosh-tekuri/jsonschema/v5], which does the work.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// MaxSize is how long the text of a schema may be, in bytes.
const MaxSize = 256 << 10

// address is where the schema pretends to be found. References resolve against
// it, so it must not be a file name.
const address = "mem:///schema"

// A Schema is compiled. It never changes and is safe for concurrent use.
type Schema struct {
	root    *jsonschema.Schema
	simple  bool // whether all parts are
	weights map[*jsonschema.Schema]weight
	parts   map[string]*jsonschema.Schema // by their location
}

// Compile reads a JSON Schema, which must be a JSON object.
//
// It is read as draft 7, unless $schema names another draft that the validator
// knows: 4, 6, 2019-09 or 2020-12, with http or https and with or without an
// empty fragment. Any other $schema is refused. In every draft format,
// contentEncoding and contentMediaType are annotations: they refuse no value.
// Patterns are those of package [regexp]; one that it does not know (a look-ahead,
// a back-reference) is refused with the reason. References must lead to a place
// in the schema itself; none is ever loaded. References to the schemas of
// schemas, and dynamic ones where they have a choice, are refused.
//
// The limits of package canonical hold, and [MaxSize], and a schema is refused
// that would take more than about a second to compile.
//
// Every error is an [*Error] whose violations point into the schema.
func Compile(text []byte) (*Schema, error) {
	if len(text) > MaxSize {
		return nil, refusal("", fmt.Sprintf("the schema is longer than %d KiB", MaxSize>>10), nil)
	}
	document, err := parse(text)
	if err != nil {
		return nil, err
	}
	if err := checkDraft(document); err != nil {
		return nil, err
	}
	cost := survey(document)
	if cost.exceeded() {
		return nil, refusal("", "too complex: it would take too long to compile", nil)
	}
	compiled, err := compile(text, document)
	if err != nil {
		return nil, compileError(err, document)
	}
	s := &Schema{
		root:    compiled,
		simple:  true,
		weights: make(map[*jsonschema.Schema]weight),
		parts:   make(map[string]*jsonschema.Schema),
	}
	for _, part := range reachable(compiled) {
		if err := checkPart(part, document, cost.anchors); err != nil {
			return nil, err
		}
		s.simple = s.simple && simple(part)
		s.weights[part] = weigh(part)
		s.parts[part.Location] = part
	}
	return s, nil
}

func parse(text []byte) (map[string]any, error) {
	v, err := canonical.Parse(text)
	if refused, ok := errors.AsType[*canonical.Error](err); ok {
		return nil, refusal(refused.Path, refused.Reason, err)
	}
	document, ok := v.(map[string]any)
	if !ok {
		return nil, refusal("", "a schema must be a JSON object", nil)
	}
	return document, nil
}

// checkDraft refuses a $schema that would be loaded.
func checkDraft(document map[string]any) error {
	value, ok := document["$schema"]
	if !ok {
		return nil
	}
	name, ok := value.(string)
	if !ok {
		return refusal("/$schema", "must be the address of a draft, as a string", nil)
	}
	if !knownDraft(name) {
		return refusal("/$schema", "is not a draft that is supported: 4, 6, 7, 2019-09 and 2020-12 are", nil)
	}
	return nil
}

func knownDraft(name string) bool {
	switch official(strings.TrimSuffix(strings.TrimSuffix(name, "#/"), "#")) {
	case "schema", "draft/2020-12/schema", "draft/2019-09/schema", "draft-07/schema", "draft-06/schema", "draft-04/schema":
		return true
	default:
		return false
	}
}

// official returns the rest of an address of json-schema.org, "" of others.
func official(address string) string {
	_, rest, _ := strings.Cut(address, "://json-schema.org/")
	if address != "http://json-schema.org/"+rest && address != "https://json-schema.org/"+rest {
		return ""
	}
	return rest
}

// compile calls the library, whose panics become errors.
func compile(text []byte, document map[string]any) (compiled *jsonschema.Schema, err error) {
	defer recoverAs(&err)
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = refuseToLoad
	ignoreAnnotations(c, document)
	if err := c.AddResource(address, bytes.NewReader(text)); err != nil {
		return nil, err
	}
	return c.Compile(address)
}

// maxLength is the largest length or number of items that a schema may speak
// of. The library turns larger ones into something that means nothing.
const maxLength = 1 << 53

// checkPart refuses what the library compiles and then does wrong.
func checkPart(s *jsonschema.Schema, document any, anchors int) error {
	_, fragment, _ := strings.Cut(s.Location, "#")
	path, _ := locate(document, fragment)
	if strings.HasPrefix(official(s.Location), "draft") {
		// It is built into the library, asserts formats and takes patterns from the value.
		return refusal("", "refers to the schema of schemas at "+s.Location+", which is not supported", nil)
	}
	if anchors > 1 && (s.RecursiveRef != nil || s.DynamicRef != nil) {
		// What they mean, and so what they cost, is only known while validating.
		return refusal(path, "a dynamic reference among several anchors is not supported", nil)
	}
	lengths := []struct {
		keyword string
		value   int
	}{
		{"minLength", s.MinLength},
		{"maxLength", s.MaxLength},
		{"minItems", s.MinItems},
		{"maxItems", s.MaxItems},
		{"minProperties", s.MinProperties},
		{"maxProperties", s.MaxProperties},
		{"minContains", s.MinContains},
		{"maxContains", s.MaxContains},
	}
	for _, length := range lengths {
		if length.value < -1 || int64(length.value) > maxLength { // -1: the schema has none
			return refusal(path+"/"+length.keyword, "is too large", nil)
		}
	}
	return nil
}

// ignoreAnnotations takes away the checks that the library would make for the
// formats and encodings that a schema names: it makes them before 2019-09
// whatever its options say.
func ignoreAnnotations(c *jsonschema.Compiler, v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			ignoreAnnotations(c, item)
		}
	case map[string]any:
		for keyword, member := range v {
			ignoreAnnotation(c, keyword, member)
			ignoreAnnotations(c, member)
		}
	}
}

// ignoreAnnotation sets the check for one format or encoding to nil, which is none.
func ignoreAnnotation(c *jsonschema.Compiler, keyword string, v any) {
	name, ok := v.(string)
	if !ok {
		return
	}
	switch keyword {
	case "format":
		c.Formats[name] = nil
	case "contentEncoding":
		c.Decoders[name] = nil
	case "contentMediaType":
		c.MediaTypes[name] = nil
	}
}

// A referenceError is the attempt to load a document.
type referenceError struct{ url string }

func (e *referenceError) Error() string {
	return "refers to " + strings.TrimPrefix(e.url, "mem:///") + ", which is not part of the schema: references are never loaded"
}

func refuseToLoad(url string) (io.ReadCloser, error) { return nil, &referenceError{url} }

// recoverAs turns a panic of the library into an error.
func recoverAs(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the validator cannot handle it: %v", r)
	}
}

// Validate checks a value made by [canonical.Parse] or [canonical.FromGo].
// Where the schema refuses it the error is an [*Error] whose violations point
// into the value. It is an *Error as well where validating the value would take
// more than about a second.
func (s *Schema) Validate(v any) error {
	accepting := accepting{budget{left: maxCost}, s.weights}
	if s.simple && accepting.accepts(s.root, v, 0) {
		return nil
	}
	visiting := visiting{budget{left: maxCost}, s.weights}
	visiting.apply(s.root, v, place{})
	if visiting.exceeded() {
		return refusal("", "too complex: it would take too long to validate", nil)
	}
	if err := s.run(v); err != nil {
		return s.validateError(err, v)
	}
	return nil
}

// run calls the library, whose panics become errors.
func (s *Schema) run(v any) (err error) {
	defer recoverAs(&err)
	return s.root.Validate(v)
}
