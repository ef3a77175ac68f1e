package canonical

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// FromGo returns the value that v encodes to.
//
// A [json.RawMessage] is read as it is, by [Parse]. A tree of map[string]any,
// []any, strings, booleans, nil, [json.Number] and Go's numbers is converted
// directly; a nil map or slice is null, as for [encoding/json]. Everything else
// (structs, typed maps, whatever has a MarshalJSON method) goes through
// [json.Marshal] first, wherever in the tree it stands. v is never changed and
// the result shares no map and no slice with it.
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
	converted, err := convert(v, 0)
	if err != nil {
		return nil, err
	}
	return converted, nil
}

// convert returns the value of v, which lies within depth arrays and objects.
func convert(v any, depth int) (any, *Error) {
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		return checkString(v)
	case json.Number:
		return checkNumber(v)
	case int:
		return json.Number(strconv.Itoa(v)), nil
	case int64:
		return json.Number(strconv.FormatInt(v, 10)), nil
	case float64:
		return fromFloat(v)
	case map[string]any:
		return fromMap(v, depth+1)
	case []any:
		return fromSlice(v, depth+1)
	case json.RawMessage:
		p := parser{text: string(v), outer: depth}
		return p.document()
	default:
		return fromMarshal(v, depth)
	}
}

func checkString(s string) (any, *Error) {
	if !utf8.ValidString(s) {
		return nil, &Error{Reason: "a string is not valid UTF-8"}
	}
	return s, nil
}

func checkNumber(number json.Number) (any, *Error) {
	n, reason := scanNumber(string(number))
	if reason == "" && n < len(number) {
		reason = "not a JSON number"
	}
	if reason != "" {
		return nil, &Error{Reason: reason}
	}
	return number, nil
}

// fromFloat writes the shortest text that reads back as f, as encoding/json does.
func fromFloat(f float64) (any, *Error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, &Error{Reason: "not a JSON number: " + strconv.FormatFloat(f, 'g', -1, 64)}
	}
	text, err := json.Marshal(f)
	if err != nil {
		return nil, &Error{Reason: shorten(err.Error(), maxCause), err: err}
	}
	return json.Number(text), nil
}

func fromMap(members map[string]any, depth int) (any, *Error) {
	if members == nil {
		return nil, nil
	}
	if depth > MaxDepth { // also where a map holds itself
		return nil, tooDeep()
	}
	converted := make(map[string]any, len(members))
	for name, member := range members {
		if !utf8.ValidString(name) {
			return nil, &Error{Reason: "the name of a member is not valid UTF-8"}
		}
		v, err := convert(member, depth)
		if err != nil {
			return nil, err.in(name)
		}
		converted[name] = v
	}
	return converted, nil
}

func fromSlice(items []any, depth int) (any, *Error) {
	if items == nil {
		return nil, nil
	}
	if depth > MaxDepth {
		return nil, tooDeep()
	}
	converted := make([]any, len(items))
	for i, item := range items {
		v, err := convert(item, depth)
		if err != nil {
			return nil, err.in(strconv.Itoa(i))
		}
		converted[i] = v
	}
	return converted, nil
}

func fromMarshal(v any, depth int) (any, *Error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, &Error{Reason: "cannot be encoded as JSON: " + shorten(err.Error(), maxCause), err: err}
	}
	p := parser{text: string(text), outer: depth, replaced: true}
	return p.document()
}
