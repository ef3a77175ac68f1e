package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// componentsURL is what references to components are resolved against, from whichever schema.
const componentsURL = "openapi:///components.json"

// compiler compiles the schemas of one document. An OpenAPI 3.0 schema is a JSON Schema of draft 4,
// but for nullable.
type compiler struct {
	*jsonschema.Compiler
	compiled map[string]*jsonschema.Schema // by the text of the schema
}

// newCompiler takes the components over and changes them, by the exceptions first.
func newCompiler(components map[string]any) (*compiler, error) {
	for _, e := range exceptions {
		if err := e.apply(components); err != nil {
			return nil, fmt.Errorf("exception %q: %w", e.name, err)
		}
	}
	for name, component := range components {
		components[name] = convert(component, true)
	}
	text, err := json.Marshal(map[string]any{"components": map[string]any{"schemas": components}})
	if err != nil {
		return nil, err
	}
	c := &compiler{Compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	c.Draft = jsonschema.Draft4
	return c, c.AddResource(componentsURL, bytes.NewReader(text))
}

// compile compiles an OpenAPI schema given as JSON. The empty text gives nil, which stands for no
// body.
func (c *compiler) compile(text string) (*jsonschema.Schema, error) {
	if text == "" {
		return nil, nil
	}
	if done, ok := c.compiled[text]; ok {
		return done, nil
	}
	var schema any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		return nil, err
	}
	converted, err := json.Marshal(convert(schema, true))
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("openapi:///%d.json", len(c.compiled))
	if err := c.AddResource(url, bytes.NewReader(converted)); err != nil {
		return nil, err
	}
	c.compiled[text], err = c.Compile(url)
	return c.compiled[text], err
}

// convert turns an OpenAPI schema into a JSON Schema of draft 4: nullable becomes a choice,
// references become absolute, and an object that lists its properties has no others. The last does
// not hold for a member of allOf, which sees the properties of its siblings too.
func convert(v any, closed bool) any {
	schema, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if ref, ok := schema["$ref"].(string); ok {
		return orNull(schema, map[string]any{"$ref": componentsURL + ref})
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		for name, property := range properties {
			properties[name] = convert(property, true)
		}
		if _, open := schema["additionalProperties"]; closed && !open {
			schema["additionalProperties"] = false
		}
	}
	for _, keyword := range []string{"items", "additionalProperties", "not"} {
		if inner, ok := schema[keyword]; ok {
			schema[keyword] = convert(inner, true)
		}
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		members, _ := schema[keyword].([]any)
		for i, member := range members {
			members[i] = convert(member, closed && keyword != "allOf")
		}
	}
	return orNull(schema, schema)
}

// orNull returns the converted form of a schema, with null as an alternative where the schema is
// nullable.
func orNull(schema, converted map[string]any) any {
	if nullable, _ := schema["nullable"].(bool); !nullable {
		return converted
	}
	return map[string]any{"anyOf": []any{converted, map[string]any{"type": "null"}}}
}
