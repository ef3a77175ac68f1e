package svixmock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// parseSchemas reads the schemas of an event type: an object whose every value is a JSON Schema of draft 7.
func parseSchemas(d *decoder) (map[string]json.RawMessage, error) {
	schemas, err := parseMap(parseStrict)(d)
	if err != nil {
		return nil, err
	}
	for _, schema := range schemas {
		if err := checkSchema(schema); err != nil {
			return nil, d.fail("%s", err)
		}
	}
	return schemas, nil
}

// parseStrict reads any value as the server's strict parser does.
func parseStrict(d *decoder) (json.RawMessage, error) {
	raw, err := d.raw()
	if err != nil {
		return nil, err
	}
	text, err := canonical(raw)
	if err != nil {
		return nil, d.fail("%s", err)
	}
	return text, nil
}

// checkSchema compiles a schema. References to other documents are taken to be satisfied.
func checkSchema(schema []byte) (err error) {
	defer func() { // the compiler panics on some malformed schemas
		if p := recover(); p != nil {
			err = fmt.Errorf("invalid schema: %v", p)
		}
	}()
	const name = "mem:///schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft7
	compiler.LoadURL = func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("{}")), nil
	}
	if err := compiler.AddResource(name, bytes.NewReader(schema)); err != nil {
		return err
	}
	_, err = compiler.Compile(name)
	return err
}
