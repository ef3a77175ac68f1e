package schema

import (
	"encoding/json"
	"regexp"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// A weight is what applying one schema costs, apart from the schemas in it.
type weight struct {
	fixed    int64 // for whatever value
	errors   int64 // how many errors it may report
	text     int64 // bytes of these errors that the schema determines
	bounds   int64 // arithmetic with its bounds for numbers
	scalars  int64 // how many strings, booleans and nulls it lists in enum or const
	numbers  int64 // ... what arithmetic with the numbers listed there costs
	values   int64 // ... what comparing with the arrays and objects listed there costs
	pattern  int64 // size of its pattern
	patterns map[*regexp.Regexp]int64
}

// weigh returns the weight of s.
func weigh(s *jsonschema.Schema) weight {
	w := weight{
		fixed:    int64(len(s.Properties))/16 + int64(len(s.Required))/2,
		errors:   possibleErrors(s),
		bounds:   boundCost(s.Minimum) + boundCost(s.Maximum) + boundCost(s.ExclusiveMinimum) + boundCost(s.ExclusiveMaximum) + 4*boundCost(s.MultipleOf),
		patterns: make(map[*regexp.Regexp]int64),
	}
	for _, name := range s.Required {
		w.text += int64(len(name)) + 4
	}
	for name, dependency := range s.Dependencies {
		required, _ := dependency.([]string)
		w.dependency(name, required)
	}
	for name, required := range s.DependentRequired {
		w.dependency(name, required)
	}
	for _, item := range s.Enum {
		w.listed(item)
	}
	for _, item := range s.Constant {
		w.listed(item)
	}
	if s.Pattern != nil {
		w.pattern = patternSize(s.Pattern.String())
		w.text += int64(len(s.Pattern.String()))
	}
	for pattern := range s.PatternProperties {
		w.patterns[pattern] = patternSize(pattern.String())
	}
	return w
}

// possibleErrors returns how many errors s may report about one value at most,
// apart from those about the names that it requires beside others.
func possibleErrors(s *jsonschema.Schema) int64 {
	n := 1 + int64(len(s.AllOf))
	for _, reports := range []bool{
		s.Constant != nil, len(s.Enum) > 0, len(s.Required) > 0, s.AdditionalProperties == false, s.UniqueItems, s.AdditionalItems == false,
		s.Contains != nil, s.Pattern != nil, s.Minimum != nil, s.Maximum != nil, s.ExclusiveMinimum != nil, s.ExclusiveMaximum != nil,
		s.MultipleOf != nil, s.Ref != nil, s.RecursiveRef != nil, s.DynamicRef != nil, s.Not != nil, len(s.AnyOf) > 0, len(s.OneOf) > 0, s.If != nil,
		s.MinProperties >= 0 || s.MaxProperties >= 0, s.MinItems >= 0 || s.MaxItems >= 0, s.MinLength >= 0 || s.MaxLength >= 0,
	} {
		if reports {
			n++
		}
	}
	return n
}

// dependency adds the names that are required where a member is there.
func (w *weight) dependency(name string, required []string) {
	w.errors += 2 * int64(len(required))
	for _, r := range required {
		w.text += int64(len(name) + len(r) + 8)
	}
}

// listed adds a value of enum or const.
func (w *weight) listed(item any) {
	w.text += 2 * int64(len(canonical.Append(nil, item)))
	switch item := item.(type) {
	case json.Number:
		w.numbers += numberCost(item)
	case []any, map[string]any:
		w.values += compareCost(item) / 4 // the value has as many numbers as the item
	default:
		w.scalars++
	}
}

// ofNumber is the cost of the arithmetic with a value that is a number.
func (w *weight) ofNumber(number json.Number) int64 {
	return w.numbers + w.bounds + (2+w.numbers/2)*numberCost(number)
}
