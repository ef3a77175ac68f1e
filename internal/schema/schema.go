// Package schema compiles JSON Schemas and validates values against them, so that neither a schema
// nor a value that a stranger wrote can crash the program, keep it busy, or make it read a file or
// open a connection.
//
// [github.com/santhosh-tekuri/jsonschema/v5] resolves the references of a schema. Whether a value
// fits one, and a document is one, is decided here, by one evaluator whose work is bounded.
package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// MaxSize is how long the text of a schema may be, in bytes.
const MaxSize = 256 << 10

// A Schema is compiled. It never changes and is safe for concurrent use.
type Schema struct {
	root     *jsonschema.Schema
	patterns map[string]int // and their sizes, see package pattern
}

// Compile reads a JSON Schema: a JSON object, or true or false.
//
// It is read as draft 7, unless $schema names another draft that the library knows: 4, 6, 2019-09
// or 2020-12, with http or https and with or without an empty fragment. In every draft format,
// contentEncoding and contentMediaType are annotations: they refuse no value.
//
// Every error is an [*Error] whose violations point into the schema. Refused are
//   - patterns that package [regexp] does not know, such as a look-ahead,
//   - references to anything but a part of the schema or the schema of a draft: none is loaded,
//   - dynamic references that have a choice,
//   - what is beyond the limits of package canonical or [MaxSize], or takes too long to compile.
func Compile(text []byte) (*Schema, error) {
	document, err := parse(text)
	if err != nil {
		return nil, err
	}
	return compile(document, survey(document), draftOf(document))
}

// Check returns nil if [Compile] accepts a schema, and so does the server for an event type. The
// server reads every schema as draft 7, whatever its $schema says. It wants an object without the
// character U+0000, no number beyond the range of a double where it compares numbers, and gives all
// numbers back without an exponent.
func Check(text []byte) error {
	document, err := parse(text)
	if err != nil {
		return err
	}
	c := survey(document)
	_, isObject := document.(map[string]any)
	escaped := bytes.ReplaceAll(canonical.Append(nil, document), []byte(`\\`), nil)
	switch {
	case !isObject:
		return refusal("", "a schema must be a JSON object", nil)
	case bytes.Contains(escaped, []byte(`\u0000`)):
		return refusal("", "has the character U+0000, which the server cannot store", nil)
	case c.beyond != "":
		return refusal("", c.beyond, nil)
	}
	draft := draftOf(document)
	if _, err = compile(document, c, draft); err == nil && draft != draft7 {
		_, err = compile(document, c, draft7)
	}
	return err
}

// Validate checks a value made by [canonical.Parse] or [canonical.FromGo]. If the schema refuses it
// the error is an [*Error] whose violations point into the value; it is one as well if validating
// the value would take more than about half a second. If the context ends first it is the
// context's.
func (s *Schema) Validate(ctx context.Context, v any) error { return s.evaluate(ctx, v, false) }

func parse(text []byte) (any, error) {
	if len(text) > MaxSize {
		return nil, refusal("", fmt.Sprintf("the schema is longer than %d KiB", MaxSize>>10), nil)
	}
	document, err := canonical.Parse(text)
	if refused, ok := errors.AsType[*canonical.Error](err); ok {
		return nil, refusal(refused.Path, refused.Reason, err)
	}
	return document, nil
}
