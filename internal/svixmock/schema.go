package svixmock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// Which schemas the server takes is section 7.9 of the contract. They are never used for anything
// here, so that it is enough to know whether one would compile.

// parseSchemas reads the schemas of an event type: an object whose every value is a JSON Schema of
// draft 7.
var parseSchemas = serde.Checked(serde.Map(serde.JSONB), func(schemas map[string]json.RawMessage) error {
	deadly := false
	for _, text := range schemas {
		kills, err := checkSchema(text)
		if err != nil {
			return err
		}
		deadly = deadly || kills
	}
	if deadly {
		panic(http.ErrAbortHandler)
	}
	return nil
})

// draft7 is the meta-schema of draft 7, as the validator's library has it.
var draft7 = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("http://json-schema.org/draft-07/schema")
})

// checkSchema says why the server refuses a schema. kills reports that its handler dies of it.
func checkSchema(text []byte) (kills bool, err error) {
	meta, err := draft7()
	if err != nil {
		return false, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		return false, err
	}
	ids := schemaIDs{}
	ids.collect(root, new(url.URL))
	w := schemaWalker{ids: ids, visited: map[string]bool{}}
	plain, err := w.schema(place{root: root, base: new(url.URL), compiled: true}, root)
	if err != nil {
		return false, err
	}
	return w.kills, meta.Validate(plain)
}

// place is where a schema stands.
type place struct {
	root     any      // of the resource, to which JSON pointers refer
	base     *url.URL // of the resource
	compiled bool     // the schema is used, so that its references have to lead somewhere
}

// schemaIDs are the resources of a document by their identifiers.
type schemaIDs map[string]any

// collect notes the identifiers in a schema and below.
func (ids schemaIDs) collect(schema any, base *url.URL) {
	object, ok := schema.(map[string]any)
	if !ok {
		return
	}
	if text, ok := object["$id"].(string); ok {
		if id, err := base.Parse(text); err == nil {
			base = id
			ids[id.String()] = schema
			ids[strings.TrimSuffix(id.String(), "#")] = schema
		}
	}
	for name, value := range object {
		for _, sub := range subschemas(name, value) {
			ids.collect(sub, base)
		}
	}
}

// subschemas are the values of a keyword that are schemas.
func subschemas(keyword string, value any) []any {
	switch keywords[keyword] {
	case holdsSchema:
		if list, ok := value.([]any); ok {
			return list // of items
		}
		return []any{value}
	case holdsList:
		list, _ := value.([]any)
		return list
	case holdsMap:
		var found []any
		object, _ := value.(map[string]any)
		for _, sub := range object {
			found = append(found, sub)
		}
		return found
	case holdsUnknown, holdsValue, holdsNumber, holdsAnything:
	}
	return nil
}

// holds is what a keyword has as its value.
type holds int

const (
	holdsUnknown holds = iota // the keyword is none of draft 7
	holdsValue
	holdsSchema
	holdsList
	holdsMap
	holdsNumber
	holdsAnything // the meta-schema or this code says nothing of the value
)

var keywords = map[string]holds{
	"type": holdsValue, "format": holdsValue, "required": holdsValue, "uniqueItems": holdsValue, "title": holdsValue,
	"description": holdsValue, "readOnly": holdsValue, "$comment": holdsValue, "contentEncoding": holdsValue,
	"contentMediaType": holdsValue, "$schema": holdsValue, "$id": holdsValue, "$ref": holdsValue, "pattern": holdsValue,
	"additionalItems": holdsSchema, "additionalProperties": holdsSchema, "contains": holdsSchema, "if": holdsSchema,
	"then": holdsSchema, "else": holdsSchema, "not": holdsSchema, "propertyNames": holdsSchema, "items": holdsSchema,
	"allOf": holdsList, "anyOf": holdsList, "oneOf": holdsList,
	"definitions": holdsMap, "properties": holdsMap, "patternProperties": holdsMap, "dependencies": holdsMap,
	"minimum": holdsNumber, "maximum": holdsNumber, "exclusiveMinimum": holdsNumber, "exclusiveMaximum": holdsNumber,
	"multipleOf": holdsNumber, "minLength": holdsNumber, "maxLength": holdsNumber, "minItems": holdsNumber,
	"maxItems": holdsNumber, "minProperties": holdsNumber, "maxProperties": holdsNumber,
	"const": holdsAnything, "default": holdsAnything, "enum": holdsAnything, "examples": holdsAnything,
}

// schemaWalker checks what the meta-schema does not, and leaves a plain schema for the meta-schema
// to check.
type schemaWalker struct {
	ids     schemaIDs
	visited map[string]bool // references that were followed
	kills   bool
}

// schema checks a schema and returns it without all that was checked here.
func (w *schemaWalker) schema(at place, schema any) (any, error) {
	object, ok := schema.(map[string]any)
	if !ok {
		return schema, nil // a boolean, or what the meta-schema refuses
	}
	at, err := w.identify(at, object)
	if err != nil {
		return nil, err
	}
	plain := map[string]any{}
	for name, value := range object {
		if keywords[name] == holdsUnknown {
			continue
		}
		if plain[name], err = w.keyword(at, name, value); err != nil {
			return nil, err
		}
	}
	return plain, nil
}

// identify reads a schema's own identifier and its draft.
func (w *schemaWalker) identify(at place, object map[string]any) (place, error) {
	if text, ok := object["$schema"].(string); ok {
		if u, err := url.Parse(text); err != nil || !u.IsAbs() {
			return at, fmt.Errorf("%q is not a %q", text, "uri")
		}
	}
	text, ok := object["$id"].(string)
	if !ok {
		return at, nil
	}
	id, err := reference(at.base, text)
	if err != nil {
		return at, err
	}
	if !strings.HasPrefix(text, "#") {
		at.base, at.root = id, object
	}
	return at, nil
}

// keyword checks the value of a keyword and returns it in a plain form.
func (w *schemaWalker) keyword(at place, name string, value any) (any, error) {
	text, isText := value.(string)
	switch {
	case name == "$ref" && isText:
		return "", w.follow(at, text)
	case name == "$ref" || name == "$id" || name == "$schema":
		return value, textOrNothing(name, value)
	case name == "pattern" && isText:
		return "", checkPattern(text)
	case name == "enum":
		if _, isList := value.([]any); isList {
			return []any{true}, nil // any list will do
		}
		return value, nil
	case name == "examples":
		if _, isList := value.([]any); isList {
			return []any{}, nil
		}
		return value, nil
	}
	switch keywords[name] {
	case holdsNumber:
		return w.number(at, value), nil
	case holdsSchema:
		return w.schemas(at, value)
	case holdsList:
		return w.list(at, value)
	case holdsMap:
		return w.members(at, name, value)
	case holdsAnything:
		return nil, nil
	case holdsValue, holdsUnknown:
	}
	return value, nil
}

// textOrNothing refuses the value of a keyword that has to be a text.
func textOrNothing(name string, value any) error {
	if _, ok := value.(string); ok {
		return nil
	}
	return fmt.Errorf("%s: %v is not of type %q", name, value, "string")
}

// number makes a number a double. The server's handler dies of one that is beyond.
func (w *schemaWalker) number(at place, value any) any {
	number, ok := value.(json.Number)
	if !ok {
		return value
	}
	f, err := number.Float64()
	if err != nil {
		w.kills = w.kills || at.compiled
		return 1.0
	}
	return f
}

// schemas checks a schema, or a list of them.
func (w *schemaWalker) schemas(at place, value any) (any, error) {
	if _, isList := value.([]any); isList {
		return w.list(at, value)
	}
	return w.schema(at, value)
}

func (w *schemaWalker) list(at place, value any) (any, error) {
	list, ok := value.([]any)
	if !ok {
		return value, nil
	}
	plain := make([]any, len(list))
	for i, schema := range list {
		var err error
		if plain[i], err = w.schema(at, schema); err != nil {
			return nil, err
		}
	}
	return plain, nil
}

// members checks the schemas of an object. Those of definitions are used only if something refers
// to them.
func (w *schemaWalker) members(at place, keyword string, value any) (any, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return value, nil
	}
	at.compiled = at.compiled && keyword != "definitions"
	plain := map[string]any{}
	for name, schema := range object {
		if keyword == "patternProperties" {
			if err := checkPattern(name); err != nil {
				return nil, err
			}
			name = fmt.Sprintf("p%d", len(plain))
		}
		var err error
		if plain[name], err = w.schema(at, schema); err != nil {
			return nil, err
		}
	}
	return plain, nil
}

// reference reads a URI reference.
func reference(base *url.URL, text string) (*url.URL, error) {
	u, err := base.Parse(text)
	if err != nil || strings.ContainsAny(text, " \"<>\\^`{|}") {
		return nil, fmt.Errorf("%q is not a %q", text, "uri-reference")
	}
	return u, nil
}

// standardSchemas are the documents that the server's validator knows.
var standardSchemas = []string{
	"http://json-schema.org/draft-04/schema", "http://json-schema.org/draft-06/schema",
	"http://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2019-09/schema",
	"https://json-schema.org/draft/2020-12/schema",
}

// follow checks where a reference leads. The real server would fetch another document; this one
// refuses it.
func (w *schemaWalker) follow(at place, text string) error {
	u, err := reference(at.base, text)
	if err != nil {
		return err
	}
	if at.compiled && w.visited[u.String()] {
		return nil
	}
	fragment := u.Fragment
	resource := *u
	resource.Fragment, resource.RawFragment = "", ""
	root := at.root
	if !strings.HasPrefix(text, "#") && text != "" && resource.String() != at.base.String() {
		for _, known := range standardSchemas {
			if known == resource.String() {
				return nil
			}
		}
		if root = w.ids[resource.String()]; root == nil {
			return fmt.Errorf(
				"resource '%s' is not present in a registry and this mock retrieves none",
				&resource,
			)
		}
	}
	if !at.compiled {
		return nil
	}
	w.visited[u.String()] = true
	target, err := w.resolve(root, &resource, fragment)
	if err != nil {
		return err
	}
	plain, err := w.schema(place{root: root, base: &resource, compiled: true}, target)
	if err != nil {
		return err
	}
	meta, err := draft7()
	if err != nil {
		return err
	}
	return meta.Validate(plain)
}

// resolve finds what a fragment stands for in a resource.
func (w *schemaWalker) resolve(root any, resource *url.URL, fragment string) (any, error) {
	switch {
	case fragment == "":
		return root, nil
	case !strings.HasPrefix(fragment, "/"):
		anchor := *resource
		anchor.Fragment = fragment
		if target := w.ids[anchor.String()]; target != nil {
			return target, nil
		}
		return nil, fmt.Errorf("anchor '%s' does not exist", fragment)
	}
	target, err := pointTo(root, fragment)
	if err != nil {
		return nil, fmt.Errorf("pointer '%s' does not exist", fragment)
	}
	return target, nil
}

var errNoSuchPlace = errors.New("no such place")

// pointTo follows a JSON pointer.
func pointTo(value any, pointer string) (any, error) {
	for token := range strings.SplitSeq(pointer[1:], "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch container := value.(type) {
		case map[string]any:
			next, found := container[token]
			if !found {
				return nil, errNoSuchPlace
			}
			value = next
		case []any:
			var index int
			if _, err := fmt.Sscanf(token, "%d", &index); err != nil || index < 0 || index >= len(container) {
				return nil, errNoSuchPlace
			}
			value = container[index]
		default:
			return nil, errNoSuchPlace
		}
	}
	return value, nil
}
