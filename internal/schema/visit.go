package schema

import (
	"encoding/json"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// maxSteps is how many schemas may be applied within each other. It bounds the
// stack of the library, whose overflow would end the program.
const maxSteps = 1000

// visiting sums up what the library does to validate a value.
type visiting struct {
	budget
	weights map[*jsonschema.Schema]weight
}

// A place is where the library has got to.
type place struct {
	steps    int64 // schemas that are being applied
	keywords int64 // bytes of the names of the keywords that led here
	path     int64 // bytes of the pointer to the value
}

// under returns the place of a schema that a keyword applies to the same value.
func (p place) under(keyword int) place {
	p.steps++
	p.keywords += int64(keyword)
	return p
}

// at returns the place of a schema that a keyword applies to a part of the value.
func (p place) at(keyword, token int) place {
	p = p.under(keyword)
	p.path += int64(token) + 1
	return p
}

// errorCost is the cost of an error at this place: it holds the path of the
// value and, composed step by step, that of the keywords.
func (p place) errorCost() int64 {
	return 1 + p.steps/16 + p.steps*p.keywords/(16<<10) + (p.keywords+p.path)/128
}

const itemToken = 6 // bytes of an index in a pointer

// apply adds the cost of applying s to v.
func (c *visiting) apply(s *jsonschema.Schema, v any, at place) {
	if s == nil || c.exceeded() {
		return
	}
	if at.steps > maxSteps {
		c.left = -1
		return
	}
	w := c.weights[s]
	c.spend(1 + w.fixed + w.text/128 + w.errors*at.errorCost())
	if !mayHaveType(s.Types, v) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		c.spend(w.values + int64(len(v))/3)
		c.object(s, v, at)
	case []any:
		c.spend(w.values + int64(len(v))/3)
		c.array(s, v, at)
	case string:
		c.spend(w.scalars/32 + int64(len(v))/1024 + w.pattern*int64(len(v))/64)
	case json.Number:
		c.spend(w.scalars/32 + w.ofNumber(v))
	default:
		c.spend(w.scalars / 32)
	}
	c.inPlace(s, v, at)
}

// mayHaveType reports whether v has one of the types, where there are any.
// Whether a number is an integer is left open.
func mayHaveType(types []string, v any) bool {
	for _, t := range types {
		if t == typeOf(v) || t == "integer" && typeOf(v) == "number" {
			return true
		}
	}
	return len(types) == 0
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		return "number"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// inPlace adds the schemas that s applies to v itself.
func (c *visiting) inPlace(s *jsonschema.Schema, v any, at place) {
	for _, child := range []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.DynamicRef, s.Not, s.If, s.Then, s.Else} {
		c.apply(child, v, at.under(len("$dynamicRef")))
	}
	for _, list := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		for _, child := range list {
			c.apply(child, v, at.under(len("allOf/1000")))
		}
	}
	members, ok := v.(map[string]any)
	if !ok {
		return
	}
	for name, dependency := range s.Dependencies {
		if child, ok := dependency.(*jsonschema.Schema); ok && has(members, name) {
			c.apply(child, v, at.under(len("dependencies/")+len(name)))
		}
	}
	for name, child := range s.DependentSchemas {
		if has(members, name) {
			c.apply(child, v, at.under(len("dependentSchemas/")+len(name)))
		}
	}
}

func has(members map[string]any, name string) bool {
	_, ok := members[name]
	return ok
}

// object adds the schemas that s applies to the members of an object and to
// their names.
func (c *visiting) object(s *jsonschema.Schema, members map[string]any, at place) {
	if s.PropertyNames != nil || len(s.PatternProperties) > 0 || s.AdditionalProperties != nil || s.UnevaluatedProperties != nil {
		c.everyMember(s, members, at)
	}
	for name, child := range s.Properties {
		if member, ok := members[name]; ok {
			c.apply(child, member, at.at(len("properties/")+len(name), len(name)))
		}
	}
}

// everyMember adds what s applies to members that it does not name.
func (c *visiting) everyMember(s *jsonschema.Schema, members map[string]any, at place) {
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for name, member := range members {
		if c.exceeded() {
			return
		}
		c.spend(int64(len(name)) / 128)
		c.apply(s.PropertyNames, name, at.at(len("propertyNames"), len(name)))
		matched := c.patterns(s, name, member, at)
		if _, named := s.Properties[name]; named || matched {
			continue
		}
		c.spend(1)
		c.apply(additional, member, at.at(len("additionalProperties"), len(name)))
		if s.AdditionalProperties == nil {
			c.apply(s.UnevaluatedProperties, member, at.at(len("unevaluatedProperties"), len(name)))
		}
	}
}

// patterns adds the schemas whose pattern matches the name of a member, and
// reports whether there are any.
func (c *visiting) patterns(s *jsonschema.Schema, name string, member any, at place) bool {
	matched := false
	for pattern, child := range s.PatternProperties {
		if !c.spend(1 + c.weights[s].patterns[pattern]*int64(len(name))/64) {
			return true
		}
		if pattern.MatchString(name) {
			matched = true
			c.apply(child, member, at.at(len("patternProperties/")+len(pattern.String()), len(name)))
		}
	}
	return matched
}

// array adds the schemas that s applies to the items of an array.
func (c *visiting) array(s *jsonschema.Schema, items []any, at place) {
	if s.UniqueItems {
		c.spend(uniqueCost(items))
	}
	tuple, isTuple := s.Items.([]*jsonschema.Schema)
	rest, _ := s.Items.(*jsonschema.Schema)
	if isTuple {
		rest, _ = s.AdditionalItems.(*jsonschema.Schema)
	}
	for i, item := range items {
		if c.exceeded() {
			return
		}
		here := at.at(len("unevaluatedItems"), itemToken)
		c.apply(s.Contains, item, here)
		switch {
		case i < len(tuple):
			c.apply(tuple[i], item, here)
		default:
			c.apply(rest, item, here)
		}
		switch {
		case i < len(s.PrefixItems):
			c.apply(s.PrefixItems[i], item, here)
		default:
			c.apply(s.Items2020, item, here)
		}
		if rest == nil && s.Items2020 == nil {
			c.apply(s.UnevaluatedItems, item, here)
		}
	}
}
