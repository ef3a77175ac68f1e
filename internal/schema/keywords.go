package schema

import (
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/pattern"
)

func hasType(types []string, v any) bool {
	actual := canonical.TypeOf(v)
	return slices.Contains(types, actual) ||
		actual == "number" && slices.Contains(types, "integer") && canonical.IsInteger(v)
}

// key returns what equal values have in common.
func (e *evaluation) key(v any) string {
	key := canonical.AppendKey(nil, v)
	e.Spend(10 + 3*len(key))
	return string(key)
}

// listed reports whether v is one of the values of enum or const.
func (e *evaluation) listed(values []any, v any) bool {
	if text, ok := v.(string); !e.Spend(len(values)) || ok {
		return slices.Contains(values, any(text))
	}
	key := e.key(v)
	return slices.ContainsFunc(values, func(item any) bool {
		return e.left >= 0 && canonical.TypeOf(item) == canonical.TypeOf(v) && e.key(item) == key
	})
}

// within checks a size. The bounds are those of the library: -1 if there is none, and below that if
// the number was too large for it, as no size can be.
func (e *evaluation) within(size, least, most int, what string) {
	if least < -1 {
		least = math.MaxInt
	}
	if size < least && e.fail() {
		e.explain("%s must be >= %d, but got %d", what, least, size)
	}
	if most >= 0 && size > most && e.fail() {
		e.explain("%s must be <= %d, but got %d", what, most, size)
	}
}

func (e *evaluation) text(s *jsonschema.Schema, text string) {
	if (s.MinLength != -1 || s.MaxLength != -1) && e.Spend(len(text)/8) {
		e.within(utf8.RuneCountInString(text), s.MinLength, s.MaxLength, "length")
	}
	if s.Pattern != nil && !pattern.Match(s.Pattern, e.schema.patterns[s.Pattern.String()], text, e) && e.fail() {
		e.explain("does not match pattern '%s'", s.Pattern)
	}
	valid := jsonschema.Formats[s.Format]
	switch {
	case !e.formats || valid == nil || !e.Spend(100+len(text)) || valid(text) || !e.fail():
	case s.Format == "regex":
		_, err := regexp.Compile(text)
		e.explain("unsupported pattern: %v", err)
	default:
		e.explain("'%s' is not a valid %s", text, s.Format)
	}
}

func (e *evaluation) number(s *jsonschema.Schema, number any) {
	e.limit(number, ">=", s.Minimum)
	e.limit(number, ">", s.ExclusiveMinimum)
	e.limit(number, "<=", s.Maximum)
	e.limit(number, "<", s.ExclusiveMaximum)
	e.limit(number, multipleOf, s.MultipleOf)
}

const multipleOf = "a multiple of"

func (e *evaluation) limit(number any, relation string, limit *big.Rat) {
	if limit == nil || !e.Spend(canonical.Effort(number, limit)) {
		return
	}
	var fits bool
	if relation == multipleOf {
		fits = canonical.IsMultiple(number, limit)
	} else {
		fits = strings.Contains(relation, "<=>"[canonical.Compare(number, limit)+1:][:1])
	}
	if !fits && e.fail() {
		about, _ := limit.Float64()
		e.explain("must be %s %v but found %s", relation, about, canonical.Append(nil, number))
	}
}

// child applies a schema, which may be nil, to a member or an item.
func (e *evaluation) child(s *jsonschema.Schema, token string, v any) {
	if s == nil || e.over() {
		return
	}
	if e.explaining {
		e.path = append(e.path, token)
		defer func() { e.path = e.path[:len(e.path)-1] }()
	}
	known := e.known
	e.known = nil
	e.apply(s, v)
	e.known = known
}

// token returns how a path names an item.
func (e *evaluation) token(index int) string {
	if !e.explaining {
		return ""
	}
	return strconv.Itoa(index)
}

func (e *evaluation) object(s *jsonschema.Schema, members map[string]any) {
	e.within(len(members), s.MinProperties, s.MaxProperties, "the number of properties")
	e.required(s.Required, members, "")
	e.dependencies(s, members)
	additional := either(s.AdditionalProperties)
	if len(s.Properties) == 0 && len(s.PatternProperties) == 0 && s.PropertyNames == nil && additional == nil {
		return
	}
	for name, member := range members {
		if !e.Spend(4) || e.over() {
			return
		}
		if s.PropertyNames != nil { // else the name would take memory
			e.child(s.PropertyNames, name, name)
		}
		child, known := s.Properties[name]
		e.child(child, name, member)
		for p, child := range s.PatternProperties {
			if pattern.Match(p, e.schema.patterns[p.String()], name, e) {
				known = true
				e.child(child, name, member)
			}
		}
		if !known {
			e.child(additional, name, member)
		}
		if e.known != nil && e.Spend(15) && (known || additional != nil) {
			e.known[name] = true
		}
	}
}

// dependencies applies what holds if there is a member of a name.
func (e *evaluation) dependencies(s *jsonschema.Schema, members map[string]any) {
	for name, names := range s.DependentRequired {
		e.dependency(name, names, nil, members)
	}
	for name, child := range s.DependentSchemas {
		e.dependency(name, nil, child, members)
	}
	for name, d := range s.Dependencies {
		names, _ := d.([]string)
		e.dependency(name, names, either(d), members)
	}
}

func (e *evaluation) dependency(name string, names []string, s *jsonschema.Schema, members map[string]any) {
	if _, ok := members[name]; !e.Spend(4) || !ok || e.over() {
		return
	}
	e.required(names, members, " beside '"+name+"'")
	if s != nil {
		e.apply(s, members)
	}
}

func (e *evaluation) required(names []string, members map[string]any, why string) {
	var missing []string
	for _, name := range names {
		if _, ok := members[name]; e.Spend(3) && !ok && e.fail() {
			missing = append(missing, "'"+name+"'")
		}
	}
	if len(missing) > 0 {
		e.explain("missing properties%s: %s", why, strings.Join(missing, ", "))
	}
}

var booleans = map[bool]*jsonschema.Schema{true: {Always: new(true)}, false: {Always: new(false)}}

// either returns the schema where the library has a schema or a boolean.
func either(v any) *jsonschema.Schema {
	if b, ok := v.(bool); ok {
		return booleans[b]
	}
	s, _ := v.(*jsonschema.Schema)
	return s
}

func (e *evaluation) array(s *jsonschema.Schema, items []any) {
	e.within(len(items), s.MinItems, s.MaxItems, "the number of items")
	if s.UniqueItems {
		e.unique(items)
	}
	first, rest := itemSchemas(s)
	for i, item := range items {
		child := rest
		if i < len(first) {
			child = first[i]
		}
		if child == nil || e.over() {
			break
		}
		e.child(child, e.token(i), item)
		if e.known != nil && e.Spend(15) {
			e.known[i] = true
		}
	}
	if s.Contains == nil || e.over() {
		return
	}
	matching, known := 0, e.known
	e.known = nil
	for i, item := range items {
		if e.try(s.Contains, item, false) {
			if matching++; known != nil && s.ContainsEval {
				known[i] = true
			}
		}
	}
	e.known = known
	e.within(matching, s.MinContains, s.MaxContains, "the number of items that match contains")
}

// itemSchemas returns the schemas of the first items and that of the rest, in whatever draft.
func itemSchemas(s *jsonschema.Schema) (first []*jsonschema.Schema, rest *jsonschema.Schema) {
	switch items := s.Items.(type) {
	case *jsonschema.Schema:
		return nil, items
	case []*jsonschema.Schema:
		return items, either(s.AdditionalItems)
	default:
		return s.PrefixItems, s.Items2020
	}
}

// unique checks that no two items are equal.
func (e *evaluation) unique(items []any) {
	seen := make(map[string]int)
	for i, item := range items {
		key := e.key(item)
		first, repeated := seen[key]
		if repeated && e.fail() {
			e.explain("items at index %d and %d are equal", first, i)
		}
		if repeated || e.left < 0 {
			return
		}
		seen[key] = i
	}
}
