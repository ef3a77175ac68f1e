package schema

import (
	"cmp"
	"encoding/json"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// simple reports whether s uses only keywords that [accepting] knows.
func simple(s *jsonschema.Schema) bool {
	_, tuple := s.Items.([]*jsonschema.Schema)
	return !tuple && s.RecursiveRef == nil && s.DynamicRef == nil && s.Not == nil && len(s.OneOf) == 0 && s.If == nil &&
		s.PropertyNames == nil && !s.RegexProperties && len(s.PatternProperties) == 0 &&
		len(s.Dependencies) == 0 && len(s.DependentRequired) == 0 && len(s.DependentSchemas) == 0 &&
		s.UnevaluatedProperties == nil && s.UnevaluatedItems == nil && !s.UniqueItems && len(s.PrefixItems) == 0 && s.Contains == nil &&
		s.MultipleOf == nil && len(s.Extensions) == 0
}

// accepting finds values that a simple schema certainly accepts, which takes a
// twentieth of the time of the library and no memory. Most payloads are sent by
// programs that know their schema, so that the library, which decides and
// explains all the rest, is rarely needed.
type accepting struct {
	budget
	weights map[*jsonschema.Schema]weight
}

// accepts reports whether s accepts v; false says nothing. Steps counts the
// schemas that are being applied.
func (a *accepting) accepts(s *jsonschema.Schema, v any, steps int) bool {
	if !a.spend(1) || steps > maxSteps {
		return false
	}
	steps++
	if s.Always != nil {
		return *s.Always
	}
	if len(s.Types) > 0 && !hasType(s.Types, v) || len(s.Enum) > 0 && !a.listed(s.Enum, v) || len(s.Constant) > 0 && !a.listed(s.Constant, v) {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		if !a.object(s, v, steps) {
			return false
		}
	case []any:
		if !a.array(s, v, steps) {
			return false
		}
	case string:
		if !a.str(s, v) {
			return false
		}
	case json.Number:
		if !inRange(s, v) {
			return false
		}
	}
	return a.inPlace(s, v, steps)
}

func (a *accepting) inPlace(s *jsonschema.Schema, v any, steps int) bool {
	if s.Ref != nil && !a.accepts(s.Ref, v, steps) {
		return false
	}
	for _, child := range s.AllOf {
		if !a.accepts(child, v, steps) {
			return false
		}
	}
	for _, child := range s.AnyOf {
		if a.accepts(child, v, steps) {
			return true
		}
	}
	return len(s.AnyOf) == 0
}

// hasType reports whether v has one of the types for certain.
func hasType(types []string, v any) bool {
	for _, t := range types {
		if t == typeOf(v) {
			return true
		}
		if number, ok := v.(json.Number); ok && t == "integer" {
			if _, ok := smallInteger(number); ok {
				return true
			}
		}
	}
	return false
}

// smallInteger returns the value of an integer in its usual form.
func smallInteger(number json.Number) (int64, bool) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	return n, err == nil
}

// listed reports whether v is a scalar that is spelled as one of the items.
func (a *accepting) listed(items []any, v any) bool {
	if isContainer(v) || !a.spend(int64(len(items))/32) {
		return false
	}
	for _, item := range items {
		if !isContainer(item) && item == v {
			return true
		}
	}
	return false
}

func (a *accepting) object(s *jsonschema.Schema, members map[string]any, steps int) bool {
	if !within(len(members), s.MinProperties, s.MaxProperties) || !a.spend(a.weights[s].fixed) {
		return false
	}
	for _, name := range s.Required {
		if !has(members, name) {
			return false
		}
	}
	named := 0
	for name, child := range s.Properties {
		if member, ok := members[name]; ok {
			named++
			if !a.accepts(child, member, steps) {
				return false
			}
		}
	}
	switch additional := s.AdditionalProperties.(type) {
	case bool:
		return additional || named == len(members)
	case *jsonschema.Schema:
		return a.additional(s, additional, members, steps)
	default:
		return true
	}
}

func (a *accepting) additional(s, additional *jsonschema.Schema, members map[string]any, steps int) bool {
	for name, member := range members {
		if _, named := s.Properties[name]; !named && !a.accepts(additional, member, steps) {
			return false
		}
	}
	return true
}

func (a *accepting) array(s *jsonschema.Schema, items []any, steps int) bool {
	if !within(len(items), s.MinItems, s.MaxItems) {
		return false
	}
	each, _ := s.Items.(*jsonschema.Schema)
	for _, item := range items {
		if each != nil && !a.accepts(each, item, steps) || s.Items2020 != nil && !a.accepts(s.Items2020, item, steps) {
			return false
		}
	}
	return true
}

func (a *accepting) str(s *jsonschema.Schema, text string) bool {
	if (s.MinLength >= 0 || s.MaxLength >= 0) && !within(utf8.RuneCountInString(text), s.MinLength, s.MaxLength) {
		return false
	}
	return s.Pattern == nil || a.spend(a.weights[s].pattern*int64(len(text))/64) && s.Pattern.MatchString(text)
}

// within reports whether n is in a range, whose ends are -1 where it has none.
func within(n, least, most int) bool {
	return (least < 0 || n >= least) && (most < 0 || n <= most)
}

// inRange reports whether a number is within the bounds of s for certain.
func inRange(s *jsonschema.Schema, number json.Number) bool {
	if s.Minimum == nil && s.Maximum == nil && s.ExclusiveMinimum == nil && s.ExclusiveMaximum == nil {
		return true
	}
	n, ok := smallInteger(number)
	return ok && beyond(n, s.Minimum, +1, true) && beyond(n, s.ExclusiveMinimum, +1, false) &&
		beyond(n, s.Maximum, -1, true) && beyond(n, s.ExclusiveMaximum, -1, false)
}

// beyond reports whether n lies on one side of a bound for certain: above it
// (+1) or below it (-1), or perhaps on it.
func beyond(n int64, bound *big.Rat, side int, orEqual bool) bool {
	if bound == nil {
		return true
	}
	if !bound.IsInt() || !bound.Num().IsInt64() {
		return false
	}
	order := cmp.Compare(n, bound.Num().Int64())
	return order == side || order == 0 && orEqual
}
