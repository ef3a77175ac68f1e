package canonical

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
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
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return appendNumber(dst, floatText(v))
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
	var few [12]member // most objects have few members, which then need no memory of their own
	dst = append(dst, '{')
	for i, m := range sorted(members, few[:0]) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, m.name)
		dst = append(dst, ':')
		dst = appendMember(dst, m.value)
	}
	return append(dst, '}')
}

type member struct {
	name  string
	value any
}

// sorted appends the members of an object by their names to a list that is empty. A few are put in
// their places as they come.
func sorted(members map[string]any, list []member) []member {
	few := len(members) <= cap(list)
	for name, value := range members {
		list = append(list, member{name, value})
		for i := len(list) - 1; few && i > 0 && list[i-1].name > name; i-- {
			list[i-1], list[i] = list[i], list[i-1]
		}
	}
	if !few {
		slices.SortFunc(list, func(a, b member) int { return strings.Compare(a.name, b.name) })
	}
	return list
}

// AppendQuoted appends a text, which is valid UTF-8, as a JSON string.
func AppendQuoted(dst, text []byte) []byte { return appendString(dst, text) }

func appendString[T string | []byte](dst []byte, s T) []byte {
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

// floatText is the shortest text that reads back as f, as encoding/json writes it.
func floatText(f float64) string {
	text, err := json.Marshal(f)
	if err != nil {
		panic("canonical: not a JSON number: " + err.Error())
	}
	return string(text)
}
