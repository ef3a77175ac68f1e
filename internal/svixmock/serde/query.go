package serde

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Query holds the parameters of a request in their order.
type Query []parameter

type parameter struct{ name, value string }

// ParseQuery reads a query string without ever failing: what cannot be decoded stays as it is.
func ParseQuery(raw string) Query {
	var q Query
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			q = append(q, parameter{decodeForm(name), decodeForm(value)})
		}
	}
	return q
}

// decodeForm decodes a name or a value; broken escapes stay.
func decodeForm(s string) string {
	return strings.ToValidUTF8(Unescape(strings.ReplaceAll(s, "+", " ")), "\uFFFD")
}

// Unescape decodes the percent escapes of a text and leaves broken ones as they are.
func Unescape(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) {
			if decoded, err := url.PathUnescape(s[i : i+3]); err == nil && s[i] == '%' {
				b.WriteString(decoded)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// QueryError says why a query string could not be read.
type QueryError struct {
	Param  string // empty: it was given twice
	Reason string
}

func (e *QueryError) Error() string {
	if e.Param == "" {
		return "Failed to deserialize query string: " + e.Reason
	}
	return "Failed to deserialize query string: " + e.Param + ": " + e.Reason
}

// Param reads one scalar parameter. A second occurrence and a value that parse refuses are a
// *QueryError.
func Param[T any](q Query, name string, parse func(string) (T, error)) (Opt[T], error) {
	var o Opt[T]
	for _, p := range q {
		if p.name != name {
			continue
		}
		if o.Set {
			return o, &QueryError{Reason: "duplicate field `" + name + "`"}
		}
		v, err := parse(p.value)
		if err != nil {
			return o, &QueryError{name, err.Error()}
		}
		o = Some(v)
	}
	return o, nil
}

// BoolParam reads a boolean parameter, fallback if it is absent.
func BoolParam(q Query, name string, fallback bool) (bool, error) {
	o, err := Param(q, name, func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, errors.New("provided string was not `true` or `false`")
		}
		return s == "true", nil
	})
	return o.Or(fallback), err
}

// Unsigned parses an integer of 64 bits.
func Unsigned(s string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 64)
	return n, integerError(s, err)
}

// integerError is what the server says of an integer that strconv refused.
func integerError(s string, err error) error {
	switch {
	case err == nil:
		return nil
	case s == "":
		return errors.New("cannot parse integer from empty string")
	case errors.Is(err, strconv.ErrRange):
		return errors.New("number too large to fit in target type")
	}
	return errors.New("invalid digit found in string")
}

// Text takes any text.
func Text(s string) (string, error) { return s, nil }

// OneOf parses an integer that must be one of values.
func OneOf(what string, values ...int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.ParseInt(s, 10, 16)
		if err != nil {
			return 0, integerError(s, err)
		}
		if !slices.Contains(values, int(n)) {
			return 0, errors.New("Failed deserializing " + what)
		}
		return int(n), nil
	}
}

// List reads a parameter that is a list in all its spellings; nil if there is none.
func (q Query) List(name string) []string {
	var values []string
	for _, p := range q {
		indexed := strings.HasPrefix(p.name, name+"[") && strings.HasSuffix(p.name, "]")
		if p.name == name || indexed {
			values = append(values, strings.Split(p.value, ",")...)
		}
	}
	return SortedSet(values)
}
