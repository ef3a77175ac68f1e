package schema

import (
	"slices"
	"strings"
)

// survey sums up what the library would do to compile a document.
func survey(document map[string]any) *compiling {
	c := &compiling{budget: budget{left: maxCost}}
	c.value(document, 0, 0)
	references := slices.Clone(c.references)
	if !c.relative {
		slices.Sort(references)
		references = slices.Compact(references)
	}
	for _, reference := range references {
		c.value(c.target(reference, document), 0, 0)
	}
	return c
}

// compiling is what compiling a document costs, and what else decides about it.
type compiling struct {
	budget
	containers int64 // arrays, objects and booleans, which may be schemas
	references []string
	relative   bool // whether references may be relative to a part of the document
	anchors    int  // names that a reference may find in several places
}

// value adds what lies at a depth, below names of so many bytes in all.
func (c *compiling) value(v any, depth, path int64) {
	if c.exceeded() {
		return
	}
	switch v := v.(type) {
	case []any:
		c.container(depth, path)
		for _, item := range v {
			c.value(item, depth+1, path+4)
		}
	case map[string]any:
		c.container(depth, path)
		for name, member := range v {
			c.keyword(name, member, depth)
			c.value(member, depth+1, path+int64(len(name))+1)
		}
	case bool:
		c.container(depth, path)
	default:
		c.spend(1)
	}
}

// container adds what may be a schema: checking it takes the longer the deeper
// it lies, and some things are searched for among all of them.
func (c *compiling) container(depth, path int64) {
	c.containers++
	c.spend(20 + depth*depth/4 + path/64 + c.containers/16)
}

// keyword adds what a member costs as a keyword, which it may be.
func (c *compiling) keyword(name string, member any, depth int64) {
	switch name {
	case "pattern":
		if pattern, ok := member.(string); ok {
			c.pattern(pattern)
		}
	case "patternProperties":
		patterns, _ := member.(map[string]any)
		for pattern := range patterns {
			c.pattern(pattern)
		}
	case "$ref", "$recursiveRef", "$dynamicRef":
		if reference, ok := member.(string); ok {
			c.references = append(c.references, reference)
		}
	case "id", "$id":
		id, _ := member.(string)
		c.relative = c.relative || depth > 0 && id != "" && id[0] != '#'
	case "$dynamicAnchor", "$recursiveAnchor":
		c.anchors++
	case "allOf", "anyOf", "oneOf", "items", "prefixItems":
	default: // the schemas of schemas want the items of some others to be unique
		if items, ok := member.([]any); ok {
			c.spend(uniqueCost(items))
		}
	}
}

func (c *compiling) pattern(pattern string) {
	if c.spend(32 * int64(len(pattern))) {
		c.spend(4 * patternSize(pattern))
	}
}

// target returns what the library may compile once more for a reference: it
// does where the reference is spelled in its own way, or leads to where no
// schema is expected.
func (c *compiling) target(reference string, document any) any {
	fragment, local := strings.CutPrefix(reference, "#")
	switch {
	case c.relative || !local || strings.Contains(fragment, "%"):
		return document
	case !strings.HasPrefix(fragment, "/"):
		return nil // the name of a schema, or the whole document
	default:
		return lookup(document, fragment)
	}
}
