package canonical

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Append appends the canonical text of v to dst. The value is one that [Parse]
// or [FromGo] made; Append panics on a type that they never produce, which is a
// mistake of the program and not of its input.
func Append(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		if v {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case string:
		return appendString(dst, v)
	case json.Number:
		return appendNumber(dst, string(v))
	case []any:
		return appendArray(dst, v, Append)
	case map[string]any:
		return appendObject(dst, v, Append)
	default:
		panic(fmt.Sprintf("canonical: %T is not part of a JSON value", v))
	}
}

func appendArray(dst []byte, items []any, appendItem func([]byte, any) []byte) []byte {
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendItem(dst, item)
	}
	return append(dst, ']')
}

func appendObject(dst []byte, members map[string]any, appendMember func([]byte, any) []byte) []byte {
	var few [16]string // most objects have few members; their names then need no memory
	names := few[:0]
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendMember(dst, members[name])
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	plain := 0 // from here on nothing was written yet
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		dst = appendEscaped(dst, c)
		plain = i + 1
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	}
}

// appendNumber appends a number with its exponent, if any, in lower case and
// with its sign. The server reads -0 back as 0, so that is what is sent.
func appendNumber(dst []byte, number string) []byte {
	if number == "-0" {
		return append(dst, '0')
	}
	e := strings.IndexAny(number, "eE")
	if e < 0 {
		return append(dst, number...)
	}
	dst = append(dst, number[:e]...)
	dst = append(dst, 'e')
	if exponent := number[e+1:]; exponent[0] != '+' && exponent[0] != '-' {
		dst = append(dst, '+')
	}
	return append(dst, number[e+1:]...)
}
