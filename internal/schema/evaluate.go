package schema

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// Every evaluation has a budget, so that it ends whatever the schema and the value. Its unit is
// about ten nanoseconds, and what is spent is rather too much than too little.
const (
	budget        = 40_000_000
	uninterrupted = 100_000 // may be spent without looking at the context in between
	maxDepth      = 2000    // schemas applied within each other: it bounds the stack
)

// An evaluation applies a schema to a value: first to decide, in no memory, and if the schema
// refuses the value once more to explain why.
type evaluation struct {
	schema  *Schema
	formats bool // whether they are asserted
	done    <-chan struct{}
	left    int64 // of the budget
	look    int64 // at done, when no more than this is left
	stopped bool  // because of done

	depth    int
	failures int                  // of the schema that is being applied, see try
	scope    []*jsonschema.Schema // being applied, if they have an anchor
	known    map[any]bool         // names or indexes that were looked at, see unevaluated

	explaining bool
	path       []string // names and numbers that lead to the value
	found      []Violation
}

// evaluate returns an [*Error] if s refuses v or the budget does not suffice, or the error of the
// context. Formats are asserted of schemas, not of payloads.
func (s *Schema) evaluate(ctx context.Context, v any, formats bool) error {
	e := evaluation{schema: s, formats: formats, done: ctx.Done(), left: budget, look: budget}
	e.apply(s.root, v)
	refused := e.failures > 0 && e.left >= 0
	if refused {
		e.failures, e.explaining = 0, true
		e.apply(s.root, v)
	}
	switch {
	case e.stopped:
		return ctx.Err()
	case len(e.found) > 0:
		return &Error{Violations: e.found}
	case refused, e.left < 0:
		return refusal("", "too complex: it would take too long", nil)
	}
	return nil
}

// Spend takes from the budget and reports whether it suffices.
func (e *evaluation) Spend(units int) bool {
	e.left -= int64(units)
	if e.left < e.look {
		e.look = e.left - uninterrupted
		select {
		case <-e.done:
			e.stopped, e.left = true, -1
		default:
		}
	}
	return e.left >= 0
}

// fail counts a failure and reports whether it is to be explained.
func (e *evaluation) fail() bool {
	e.failures++
	return e.explaining
}

// over reports whether nothing is to be learned any more.
func (e *evaluation) over() bool { return e.failures > 0 && !e.explaining || e.left < 0 }

// apply adds to the failures those of a value.
func (e *evaluation) apply(s *jsonschema.Schema, v any) {
	if !e.Spend(8) || s.Always != nil && *s.Always {
		return
	}
	if e.depth++; e.depth > maxDepth {
		e.left = -1
	}
	scope := e.scope
	if anchorOf(s) != "" {
		e.scope = append(e.scope, s)
	}
	switch {
	case s.Always != nil:
		if e.fail() {
			e.explain("not allowed")
		}
	case len(s.Types) > 0 && !hasType(s.Types, v):
		if e.fail() {
			e.explain("expected %s, but got %s", strings.Join(s.Types, " or "), canonical.TypeOf(v))
		}
	case s.UnevaluatedProperties == nil && s.UnevaluatedItems == nil:
		e.keywords(s, v)
	default:
		outer := e.known
		e.known = make(map[any]bool)
		e.keywords(s, v)
		e.unevaluated(s, v)
		if outer != nil && e.Spend(20*len(e.known)) {
			maps.Copy(outer, e.known)
		}
		e.known = outer
	}
	e.scope = scope
	e.depth--
}

func (e *evaluation) keywords(s *jsonschema.Schema, v any) {
	for _, values := range [...][]any{s.Constant, s.Enum} {
		if len(values) > 0 && !e.listed(values, v) && e.fail() {
			e.explain("must be one of %s", canonical.Append(nil, values))
		}
	}
	switch v := v.(type) {
	case map[string]any:
		e.object(s, v)
	case []any:
		e.array(s, v)
	case string:
		e.text(s, v)
	case json.Number, int, int64, float64:
		e.number(s, v)
	}
	if !e.over() {
		e.inPlace(s, v)
	}
}

// inPlace applies what s applies to v itself.
func (e *evaluation) inPlace(s *jsonschema.Schema, v any) {
	for _, child := range [...]*jsonschema.Schema{s.Ref, e.resolve(s.RecursiveRef), e.resolve(s.DynamicRef)} {
		if child != nil && !e.over() {
			e.apply(child, v)
		}
	}
	for _, child := range s.AllOf {
		if e.apply(child, v); e.over() {
			return
		}
	}
	if s.Not != nil && e.try(s.Not, v, false) && e.fail() {
		e.explain("matches what the schema excludes by not")
	}
	if len(s.AnyOf) > 0 {
		e.alternatives(s.AnyOf, v, "anyOf")
	}
	if len(s.OneOf) > 0 {
		if first, second := e.alternatives(s.OneOf, v, "oneOf"); second >= 0 && e.fail() {
			e.explain("valid against schemas at indexes %d and %d", second, first)
		}
	}
	if s.If != nil {
		chosen := s.Else
		if e.try(s.If, v, false) {
			chosen = s.Then
		}
		if chosen != nil {
			e.apply(chosen, v)
		}
	}
}

// anchorOf returns the name by which dynamic references find a schema.
func anchorOf(s *jsonschema.Schema) string {
	if s.RecursiveAnchor {
		return "$recursiveAnchor"
	}
	return s.DynamicAnchor
}

// resolve returns where a dynamic reference leads: to the outermost schema with its anchor.
func (e *evaluation) resolve(target *jsonschema.Schema) *jsonschema.Schema {
	for _, s := range e.scope {
		if target != nil && anchorOf(target) == anchorOf(s) {
			return s
		}
	}
	return target
}

// try reports whether s accepts v, and adds no failure.
func (e *evaluation) try(s *jsonschema.Schema, v any, explaining bool) bool {
	failures, before, known := e.failures, e.explaining, e.known
	e.failures, e.explaining = 0, explaining
	if known != nil {
		e.known = make(map[any]bool)
	}
	e.apply(s, v)
	accepts := e.failures == 0
	if accepts && e.Spend(20*len(e.known)) && known != nil {
		maps.Copy(known, e.known)
	}
	e.failures, e.explaining, e.known = failures, before, known
	return accepts
}

// alternatives returns the indexes of two schemas that accept v, -1 if there are not so many. If
// there is none that is a failure, whose reasons are those of all.
func (e *evaluation) alternatives(schemas []*jsonschema.Schema, v any, keyword string) (first, second int) {
	found := e.found
	e.found = nil
	first, second = -1, -1
	for i, s := range schemas {
		enough := second >= 0 || first >= 0 && keyword == "anyOf"
		if e.left < 0 || enough && e.known == nil {
			break
		}
		if e.try(s, v, e.explaining) {
			first, second = i, first
		}
	}
	reasons := e.found
	e.found = found
	if first < 0 && e.fail() {
		e.explain("matches none of the alternatives of %s", keyword)
		for _, reason := range reasons {
			e.add(reason)
		}
	}
	return first, second
}

// unevaluated applies what s has for the members or items that no other keyword looks at, neither
// in s nor in what s applies to the same value.
func (e *evaluation) unevaluated(s *jsonschema.Schema, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if s.UnevaluatedProperties != nil && e.Spend(30) && !e.known[name] {
				e.child(s.UnevaluatedProperties, name, member)
				e.known[name] = true
			}
		}
	case []any:
		for i, item := range v {
			if s.UnevaluatedItems != nil && e.Spend(30) && !e.known[i] {
				e.child(s.UnevaluatedItems, e.token(i), item)
				e.known[i] = true
			}
		}
	}
}
