// Package openapi checks answers of the mock Svix server against the OpenAPI document that the Svix
// server itself publishes. It is test support: only tests import it, and it needs the go command
// and the sources of the pinned SDK module, in which the document ships.
//
// The document is read closed: an answer with a property that the document does not know is
// refused. Where the real server is known to differ from its document, the difference is in the
// table of exceptions.go, and nowhere else.
package openapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// sdkModule is the module that has the server's document, at the version that go.mod pins.
const sdkModule = "github.com/svix/svix-webhooks"

// Document is an OpenAPI 3.0 document prepared for checking answers. It is immutable and safe for
// concurrent use.
type Document struct {
	routes     []route
	exceptions []answer
}

// route is one path template with everything that its operations may answer.
type route struct {
	template string
	segments []string
	answers  []answer
}

// answer is one form of an answer.
type answer struct {
	form
	schema *jsonschema.Schema // nil: no body
}

// Load returns the document of the pinned SDK module. The work is done once per process.
func Load() (*Document, error) { return load() }

var load = sync.OnceValues(func() (*Document, error) {
	dir, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}", sdkModule).
		Output()
	if err != nil {
		return nil, fmt.Errorf("openapi: find module %s: %w", sdkModule, err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "server", "openapi.json"))
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return Parse(data)
})

// Parse prepares an OpenAPI 3.0 document given as JSON. Only paths and components/schemas are read.
// A status that is not a number ("default") is an error.
func Parse(data []byte) (*Document, error) {
	var spec document
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	c, err := newCompiler(spec.Components.Schemas)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	doc := &Document{}
	for template, operations := range spec.Paths {
		r := route{template: template, segments: segments(template)}
		if r.answers, err = declared(c, operations); err != nil {
			return nil, fmt.Errorf("openapi: %s: %w", template, err)
		}
		doc.routes = append(doc.routes, r)
	}
	doc.declareLike(undeclared)
	doc.exceptions, err = excepted(c)
	return doc, err
}

// declareLike adds routes that have the answers of others.
func (d *Document) declareLike(templates map[string]string) {
	for template, like := range templates {
		for _, r := range d.routes {
			if r.template == like {
				d.routes = append(d.routes, route{template, segments(template), r.answers})
			}
		}
	}
}

// document is what is read of an OpenAPI document.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]any `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Responses map[string]response `json:"responses"`
}

type response struct {
	Content map[string]struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"content"`
}

// declared returns the answers of the operations of one path.
func declared(c *compiler, operations map[string]operation) ([]answer, error) {
	var answers []answer
	for method, op := range operations {
		for status, resp := range op.Responses {
			code, err := strconv.Atoi(status)
			if err != nil {
				return nil, fmt.Errorf("%s: status %q is not a number", method, status)
			}
			schema, err := c.compile(string(resp.Content[jsonType].Schema))
			if err != nil {
				return nil, fmt.Errorf("%s: status %s: %w", method, status, err)
			}
			answers = append(answers, answer{form{method: strings.ToUpper(method), status: code}, schema})
		}
	}
	return answers, nil
}

// excepted returns the answers of the exceptions.
func excepted(c *compiler) ([]answer, error) {
	var answers []answer
	for _, e := range exceptions {
		if e.answer == nil {
			continue
		}
		schema, err := c.compile(e.schema)
		if err != nil {
			return nil, fmt.Errorf("openapi: exception %q: %w", e.name, err)
		}
		answers = append(answers, answer{*e.answer, schema})
	}
	return answers, nil
}

// prefix is that of the API's paths, behind which the server ignores further slashes.
const prefix = "/api/v1/"

const jsonType = "application/json"

// Check reports whether an answer is one that the document, or an exception to it, declares for the
// request. The path is the escaped path of the request's URL; slashes that the server ignores are
// ignored. An answer to HEAD is one to GET without its body.
func (d *Document) Check(method, path string, status int, header http.Header, body []byte) error {
	candidates := d.candidates(method, path, status)
	if len(candidates) == 0 {
		return fmt.Errorf("openapi: %s %s: status %d is not declared", method, path, status)
	}
	if method == http.MethodHead {
		return checkEmpty(body)
	}
	var errs []error
	for _, a := range candidates {
		err := a.check(header, body)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("openapi: %s %s: status %d: %w", method, path, status, errors.Join(errs...))
}

// candidates returns the forms that an answer with this status may have.
func (d *Document) candidates(method, path string, status int) []answer {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path = "/" + strings.Trim(path, "/")
	if rest, ok := strings.CutPrefix(path, prefix); ok {
		path = prefix + strings.TrimLeft(rest, "/")
	}
	template := unknownPath
	all := d.exceptions
	if r := d.find(path); r != nil {
		template = r.template
		all = slices.Concat(r.answers, all)
	}
	return slices.DeleteFunc(slices.Clone(all), func(a answer) bool {
		return a.status != status || a.method != "" && a.method != method ||
			a.template != "" && a.template != template && a.template != path
	})
}

// find returns the route of a path, nil where there is none. Of several the most literal one is
// taken.
func (d *Document) find(path string) *route {
	got := segments(path)
	var best *route
	most := -1
	for i := range d.routes {
		if n := literals(d.routes[i].segments, got); n > most {
			best, most = &d.routes[i], n
		}
	}
	return best
}

func segments(path string) []string { return strings.Split(path, "/") }

// literals returns how many segments of the template the path has literally, -1 where it does not
// match.
func literals(template, path []string) int {
	if len(template) != len(path) {
		return -1
	}
	n := 0
	for i, want := range template {
		switch {
		case want == path[i]:
			n++
		case !strings.HasPrefix(want, "{"):
			return -1
		}
	}
	return n
}

func (a answer) check(header http.Header, body []byte) error {
	if a.header != "" && header.Get(a.header) == "" {
		return fmt.Errorf("header %s is missing", a.header)
	}
	if a.schema == nil && a.text == "" {
		return checkEmpty(body)
	}
	want := cmp.Or(a.text, jsonType)
	if got, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || got != want {
		return fmt.Errorf("content type is %q, want %s", header.Get("Content-Type"), want)
	}
	if a.text != "" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return fmt.Errorf("body is not JSON: %w", err)
	}
	if dec.More() {
		return errors.New("body has text after its JSON value")
	}
	return a.schema.Validate(value)
}

func checkEmpty(body []byte) error {
	if len(body) > 0 {
		return fmt.Errorf("body is %.80q, want none", body)
	}
	return nil
}
