package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/pattern"
)

const draft7 = "http://json-schema.org/draft-07/schema"

// drafts are the addresses of the others that the library knows.
var drafts = []string{
	"http://json-schema.org/draft-04/schema", "http://json-schema.org/draft-06/schema",
	"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema",
	"https://json-schema.org/schema",
}

// draftOf returns the draft that a document names, or 7.
func draftOf(document any) string {
	members, _ := document.(map[string]any)
	name, _ := members["$schema"].(string)
	_, name, _ = strings.Cut(strings.TrimRight(name, "#/"), "://")
	for _, draft := range drafts {
		if strings.HasSuffix(draft, "://"+name) {
			return draft
		}
	}
	return draft7
}

// address is where a schema pretends to be found. References resolve against it, so it must not be
// a file name.
const address = "mem:///schema"

// compile compiles a document as a draft says, whatever its $schema is.
func compile(document any, c *cost, draft string) (*Schema, error) {
	if err := c.refusal(draft); err != nil {
		return nil, err
	}
	meta := Schema{root: jsonschema.MustCompile(draft)}
	if err := meta.evaluate(context.Background(), document, true); err != nil {
		return nil, err
	}
	if members, ok := document.(map[string]any); ok {
		members["$schema"] = draft // the server takes any other for draft 7
	}
	root, err := resolve(canonical.Append(nil, document))
	if err != nil {
		return nil, compileError(err)
	}
	return &Schema{root, c.patterns}, nil
}

// resolve calls the library, whose panics become errors.
func resolve(text []byte) (root *jsonschema.Schema, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the compiler cannot handle it: %v", r)
		}
	}()
	c := jsonschema.NewCompiler()
	c.LoadURL = func(url string) (io.ReadCloser, error) {
		const message = "refers to %s, which is not part of the schema: references are never loaded"
		return nil, fmt.Errorf(message, strings.TrimPrefix(url, "mem:///"))
	}
	if err := c.AddResource(address, bytes.NewReader(text)); err != nil {
		return nil, err
	}
	return c.Compile(address)
}

// compileError translates what the library says about a schema.
func compileError(err error) *Error {
	if _, ok := errors.AsType[jsonschema.InfiniteLoopError](err); ok {
		return refusal("", "refers to itself without end", err)
	}
	reason := err.Error()
	for _, prefix := range []string{"jsonschema " + address + " compilation failed: ", "jsonschema: "} {
		reason = strings.TrimPrefix(reason, prefix)
	}
	return refusal("", strings.ReplaceAll(reason, address, ""), err)
}

// maxCompile bounds what the library does to compile a schema, which cannot be stopped. The unit is
// about a microsecond, and the sum is rather too high than too low.
const maxCompile = 400_000

// A cost is what the library would do to compile a document, and what else decides about it.
type cost struct {
	places    int             // objects and booleans, which may be schemas
	below     int             // what it costs that they lie deep
	elsewhere map[string]bool // references that make the library compile the document again, at worst
	searches  int             // for what references name, among all places
	patterns  map[string]int  // and their sizes
	size      int             // of all patterns
	anchors   int             // to which dynamic references may lead
	dynamic   bool            // whether there are any
	beyond    string          // why the server could not take a number or give it back
}

// survey sums up what the library would do to compile a document. It takes the repetitions out of
// the lists of enum, which the server accepts and older drafts forbid, as they do empty ones.
func survey(document any) *cost {
	c := &cost{elsewhere: make(map[string]bool), patterns: make(map[string]int)}
	c.value(document, 0, 0)
	return c
}

func (c *cost) refusal(draft string) error {
	each := 10
	if !strings.Contains(draft, "/draft-0") { // newer ones make more of it
		each = 50 + c.places/100
	}
	total := (c.places*each+c.below)*(1+len(c.elsewhere)) + c.searches*c.places/8 + c.size
	switch {
	case total > maxCompile:
		return refusal("", "too complex: it would take too long to compile", nil)
	case c.dynamic && c.anchors > 1:
		// Where they lead, and so what they cost, is only known while validating.
		return refusal("", "a dynamic reference among several anchors is not supported", nil)
	}
	return nil
}

// value adds what lies at a depth, below names of so many bytes in all.
func (c *cost) value(v any, depth, path int) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			c.value(item, depth+1, path+4)
		}
		return
	case map[string]any:
		for name, member := range v {
			c.keyword(name, member)
			if items, ok := member.([]any); ok && name == "enum" {
				if items = canonical.Distinct(items); len(items) == 0 {
					items = []any{json.Number("1e401")} // no value can be so large
				}
				v[name] = items
			}
			c.value(member, depth+1, path+len(name)+1)
		}
	case json.Number:
		if c.beyond == "" && canonical.WrittenOut(v) > canonical.MaxDigits { // by the server, as it stores it
			c.beyond = "a number of too many digits, zeros included"
		}
		return
	case bool:
	default:
		return
	}
	c.places++
	c.below += depth*depth/8 + path/128
}

// usual are the references to what is compiled anyway, here or in what the first part names.
var usual = regexp.MustCompile(`^([^#]*)(#[^/%?]*|#(/(definitions|\$defs|properties)/[^/%?]+)*)?$`)

// keyword adds what a member costs as a keyword, which it may be.
func (c *cost) keyword(name string, member any) {
	switch name {
	case "pattern":
		text, _ := member.(string)
		c.pattern(text)
	case "patternProperties":
		members, _ := member.(map[string]any)
		for text := range members {
			c.pattern(text)
		}
	case "$dynamicAnchor", "$recursiveAnchor":
		c.anchors++
	case "$ref", "$recursiveRef", "$dynamicRef":
		reference, _ := member.(string)
		c.dynamic = c.dynamic || name != "$ref"
		if !usual.MatchString(reference) {
			c.elsewhere[reference] = true
		} else if !strings.HasPrefix(reference, "#/") {
			c.searches++
		}
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
		"maxLength", "minItems", "maxItems", "minProperties", "maxProperties":
		number, _ := member.(json.Number)
		if f, _ := number.Float64(); math.IsInf(f, 0) {
			c.beyond = name + " is too large a number for the server"
		}
	}
}

func (c *cost) pattern(text string) {
	if c.size += 4 * len(text); c.size > maxCompile {
		return
	}
	c.patterns[text] = pattern.Size(text)
	c.size += c.patterns[text]
}
