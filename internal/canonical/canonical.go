// Package canonical reads JSON strictly and writes it in one way only, so that
// two sides that hold the same value hold the same bytes.
//
// The canonical text has no white space and the members of every object in the
// byte order of their names. In strings only the quotation mark, the backslash
// and the control characters below U+0020 are escaped, by their short form
// where they have one (\b \f \n \r \t) and as \u00xx in lower case where not.
// Numbers keep the digits they came with; an exponent is written e+N or e-N.
// A Svix server gives payloads back in this form.
//
// A value is a tree of nil, bool, string, numbers, []any and map[string]any, made by [Parse] or
// [FromGo]. A number is a [json.Number] or, from Go, an int, int64 or float64. The limits on such
// trees keep everything that walks them afterwards, the JSON Schema validator above all, within
// bounds.
package canonical

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Limits of a value, whether it is a payload or a schema. The size of the text
// is for the caller to bound.
const (
	// MaxDepth is how many arrays and objects may lie within each other.
	MaxDepth = 64
	// MaxDigits is how many digits a number may have, those of its exponent included.
	MaxDigits = 400
	// MaxExponent is the largest exponent of a number, and its negative the smallest.
	MaxExponent = 400
)

// TypeOf returns the name that JSON Schema has for the type of a value.
func TypeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number, int, int64, float64:
		return "number"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// How many bytes of the input an error shows at most.
const (
	maxPath  = 48
	maxCause = 64
)

// An Error says why a text or a Go value is refused. It never shows more than
// about a hundred bytes of it.
type Error struct {
	// Path is the JSON pointer (RFC 6901) to the place, shortened where it is
	// long; empty for the whole value.
	Path string
	// Reason says what is wrong there.
	Reason string

	err error // of encoding/json, for a Go value that it cannot encode
}

// Error returns the reason, after the path where there is one.
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// Unwrap returns the error of encoding/json where that is the cause.
func (e *Error) Unwrap() error { return e.err }

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// EscapeToken returns the name of a member as a JSON pointer holds it.
func EscapeToken(name string) string { return pointerEscaper.Replace(name) }

// in moves the error from a member or item to what holds it.
func (e *Error) in(token string) *Error {
	e.Path = Shorten("/"+EscapeToken(Shorten(token, maxPath))+e.Path, maxPath)
	return e
}

// Shorten cuts s to limit bytes and whole characters, and shows by three dots that it did.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
