package schema

import (
	"iter"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// reachable returns root and every schema that it applies, directly or not.
func reachable(root *jsonschema.Schema) []*jsonschema.Schema {
	found := []*jsonschema.Schema{root}
	known := map[*jsonschema.Schema]bool{root: true}
	for i := 0; i < len(found); i++ {
		for child := range children(found[i]) {
			if child != nil && !known[child] {
				known[child] = true
				found = append(found, child)
			}
		}
	}
	return found
}

// children yields every schema that s applies, some of them nil.
func children(s *jsonschema.Schema) iter.Seq[*jsonschema.Schema] {
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	additionalItems, _ := s.AdditionalItems.(*jsonschema.Schema)
	items, _ := s.Items.(*jsonschema.Schema)
	tuple, _ := s.Items.([]*jsonschema.Schema)
	return func(yield func(*jsonschema.Schema) bool) {
		_ = all(yield, slices.Values([]*jsonschema.Schema{
			s.Ref, s.RecursiveRef, s.DynamicRef, s.Not, s.If, s.Then, s.Else,
			additional, s.PropertyNames, s.UnevaluatedProperties,
			items, additionalItems, s.Items2020, s.Contains, s.UnevaluatedItems,
		})) &&
			all(yield, slices.Values(s.AllOf)) &&
			all(yield, slices.Values(s.AnyOf)) &&
			all(yield, slices.Values(s.OneOf)) &&
			all(yield, slices.Values(tuple)) &&
			all(yield, slices.Values(s.PrefixItems)) &&
			all(yield, maps.Values(s.Properties)) &&
			all(yield, maps.Values(s.PatternProperties)) &&
			all(yield, maps.Values(s.DependentSchemas)) &&
			all(yield, dependencies(s))
	}
}

// dependencies yields the schemas among the dependencies of s.
func dependencies(s *jsonschema.Schema) iter.Seq[*jsonschema.Schema] {
	return func(yield func(*jsonschema.Schema) bool) {
		for _, dependency := range s.Dependencies {
			if child, ok := dependency.(*jsonschema.Schema); ok && !yield(child) {
				return
			}
		}
	}
}

// all passes on a sequence and reports whether more is wanted.
func all(yield func(*jsonschema.Schema) bool, seq iter.Seq[*jsonschema.Schema]) bool {
	for s := range seq {
		if !yield(s) {
			return false
		}
	}
	return true
}
