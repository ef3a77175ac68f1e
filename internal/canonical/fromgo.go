package canonical

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FromGo returns the value that v encodes to.
//
// A [json.RawMessage] is read as it is, by [Parse]. A tree of map[string]any,
// []any, strings, booleans, nil, [json.Number] and Go's numbers is converted
// directly; a nil map or slice is null, as for [encoding/json]. Everything else
// (structs, typed maps, whatever has a MarshalJSON method) goes through
// [json.Marshal] first, wherever in the tree it stands. v is never changed; maps
// and slices in which nothing needs converting are part of the result.
//
// What encoding/json would mend silently is refused: strings that are not valid
// UTF-8, and a [json.Number] that is empty, except where that lies in a struct,
// which encoding/json alone sees and encodes as 0. So are NaN, the infinities,
// cycles, and all that Parse refuses. Since encoding/json writes \ufffd for
// what is not UTF-8, a MarshalJSON method that writes this escape itself,
// rather than the character, is refused with it.
//
// Every error is an [*Error].
func FromGo(v any) (any, error) {
	converted, _, err := convert(v, 0)
	if err != nil {
		return nil, err
	}
	return converted, nil
}

// convert returns the value of v, which lies within depth arrays and objects, and
// whether that is v itself.
func convert(v any, depth int) (value any, same bool, err *Error) {
	switch x := v.(type) {
	case nil, bool:
		return v, true, nil
	case string:
		return v, true, checkString(x)
	case json.Number:
		return v, true, checkNumber(x)
	case int, int64:
		return v, true, nil
	case float64:
		return v, true, checkFloat(x)
	case map[string]any:
		return fromMap(x, v, depth+1)
	case []any:
		return fromSlice(x, v, depth+1)
	}
	value, err = convertOther(v, depth)
	return value, false, err
}

func convertOther(v any, depth int) (any, *Error) {
	switch v := v.(type) {
	case json.RawMessage:
		p := parser{text: string(v), outer: depth}
		return p.document()
	default:
		return fromMarshal(v, depth)
	}
}

// checkName refuses what the server's library keeps for itself: it takes an object with such a
// member for a number, or for the text of a value.
func checkName(name string) *Error {
	if strings.HasPrefix(name, "$serde_json::private::") {
		return (&Error{Reason: "the server would read such a member as something else"}).in(name)
	}
	return nil
}

func checkString(s string) *Error {
	if !utf8.ValidString(s) {
		return &Error{Reason: "a string is not valid UTF-8"}
	}
	return nil
}

func checkNumber(number json.Number) *Error {
	n, reason := scanNumber(string(number))
	if reason == "" && n < len(number) {
		reason = "not a JSON number"
	}
	if reason != "" {
		return &Error{Reason: reason}
	}
	return nil
}

func checkFloat(f float64) *Error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return &Error{Reason: "not a JSON number: " + strconv.FormatFloat(f, 'g', -1, 64)}
	}
	return nil
}

// fromMap converts a map; v is the map, too.
func fromMap(members map[string]any, v any, depth int) (value any, same bool, err *Error) {
	if members == nil {
		return nil, false, nil
	}
	if depth > MaxDepth { // also where a map holds itself
		return nil, false, tooDeep()
	}
	var converted map[string]any // nil as long as it would be the same
	for name, member := range members {
		if !utf8.ValidString(name) {
			return nil, false, &Error{Reason: "the name of a member is not valid UTF-8"}
		}
		if err := checkName(name); err != nil {
			return nil, false, err
		}
		value, same, err := convert(member, depth)
		if err != nil {
			return nil, false, err.in(name)
		}
		if same {
			continue
		}
		if converted == nil {
			converted = maps.Clone(members)
		}
		converted[name] = value
	}
	if converted == nil {
		return v, true, nil
	}
	return converted, false, nil
}

// fromSlice converts a slice; v is the slice, too.
func fromSlice(items []any, v any, depth int) (value any, same bool, err *Error) {
	if items == nil {
		return nil, false, nil
	}
	if depth > MaxDepth {
		return nil, false, tooDeep()
	}
	var converted []any // nil as long as it would be the same
	for i, item := range items {
		value, same, err := convert(item, depth)
		if err != nil {
			return nil, false, err.in(strconv.Itoa(i))
		}
		if same {
			continue
		}
		if converted == nil {
			converted = slices.Clone(items)
		}
		converted[i] = value
	}
	if converted == nil {
		return v, true, nil
	}
	return converted, false, nil
}

func fromMarshal(v any, depth int) (any, *Error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, &Error{Reason: "cannot be encoded as JSON: " + Shorten(err.Error(), maxCause), err: err}
	}
	p := parser{text: string(text), outer: depth, replaced: true}
	return p.document()
}
