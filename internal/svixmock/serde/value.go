package serde

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mismatch says that the next value is of the wrong type.
func (d *decoder) mismatch(expected string) error {
	got := "map"
	switch c := d.peek(); {
	case d.atEnd():
		return d.fail("EOF while parsing a value")
	case c == '"':
		text, err := d.str()
		if err != nil {
			return err
		}
		got = "string " + strconv.Quote(text)
	case c == '-' || isDigit(c):
		text, err := d.number()
		if err != nil {
			return err
		}
		got = numberKind(text)
	case c == '[':
		got = "sequence"
	case c != '{':
		word, err := d.literal()
		if err != nil {
			return err
		}
		got = "boolean `" + word + "`"
		if word == "null" {
			got = word
		}
	}
	return d.fail("invalid type: %s, expected %s", got, expected)
}

// numberKind is what a number is called where none is expected.
func numberKind(text string) string {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "integer `" + strconv.FormatInt(n, 10) + "`"
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return "integer `" + text + "`"
	}
	return "number"
}

// String reads a string.
func String(d *decoder) (string, error) { return d.text("a string") }

// text reads a string that stands for something.
func (d *decoder) text(what string) (string, error) {
	if d.peek() != '"' {
		return "", d.mismatch(what)
	}
	return d.str()
}

// Bool reads a boolean.
func Bool(d *decoder) (bool, error) {
	if c := d.peek(); c != 't' && c != 'f' {
		return false, d.mismatch("a boolean")
	}
	word, err := d.literal()
	return word == "true", err
}

// Int reads an integer of a type that Rust calls kind and that holds minimum to maximum.
func Int(kind string, minimum, maximum int64) Parser[int64] {
	return func(d *decoder) (int64, error) {
		if c := d.peek(); c != '-' && !isDigit(c) {
			return 0, d.mismatch(kind)
		}
		text, err := d.number()
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case text != "-0" && err == nil && minimum <= n && n <= maximum:
			return n, nil
		case text != "-0" && numberKind(text) != "number":
			return 0, d.fail("invalid value: integer `%s`, expected %s", text, kind)
		}
		return 0, d.fail("invalid type: floating point `%s`, expected %s", float(text), kind)
	}
}

// float is how Rust shows the double that a number stands for.
func float(text string) string {
	f, _ := strconv.ParseFloat(text, 64) // an infinity if it is out of range
	if abs := math.Abs(f); abs != 0 && (abs >= 1e16 || abs < 1e-5) {
		return strings.Replace(strconv.FormatFloat(f, 'e', -1, 64), "e-0", "e-", 1)
	}
	out := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(out, ".") {
		out += ".0"
	}
	return out
}

// Set reads an array of strings as a sorted set: duplicates collapse. rule says what is wrong with
// an element; nil: no rule that belongs to the reading.
func Set(rule func(string) []string) Parser[[]string] {
	return func(d *decoder) ([]string, error) {
		if d.peek() != '[' {
			return nil, d.mismatch("a sequence")
		}
		var set []string
		err := d.array(func(int) error {
			s, err := Ruled(rule)(d)
			set = append(set, s)
			return err
		})
		return SortedSet(set), err
	}
}

// SortedSet sorts and drops duplicates.
func SortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// Ruled reads a string that has to obey a rule, which belongs to the reading.
func Ruled(rule func(string) []string) Parser[string] {
	return func(d *decoder) (string, error) {
		s, err := String(d)
		if err != nil || rule == nil {
			return s, err
		}
		if msgs := rule(s); msgs != nil {
			return "", d.fail("__all__: %s", strings.Join(msgs, ", "))
		}
		return s, nil
	}
}

// Map reads an object with values of one kind; a later key wins.
func Map[T any](parse Parser[T]) Parser[map[string]T] {
	return func(d *decoder) (map[string]T, error) {
		if d.peek() != '{' {
			return nil, d.mismatch("a map")
		}
		values := map[string]T{}
		err := d.object(func(key string) error {
			v, err := parse(d)
			values[key] = v
			return err
		})
		return values, err
	}
}

// Checked reads a value that has to pass a check, which belongs to the reading.
func Checked[T any](parse Parser[T], check func(T) error) Parser[T] {
	return func(d *decoder) (T, error) {
		v, err := parse(d)
		if err != nil {
			return v, err
		}
		if err := check(v); err != nil {
			return v, d.fail("%s", err)
		}
		return v, nil
	}
}

// OptString reads a string or null.
func OptString(d *decoder) (Opt[string], error) {
	if d.peek() == 'n' {
		_, err := d.literal()
		return Opt[string]{Set: true, Null: true}, err
	}
	s, err := String(d)
	return Some(s), err
}

// Raw takes any value as its text, without a look into strings or at its depth.
func Raw(d *decoder) ([]byte, error) { return d.raw() }

// JSONB reads any value strictly and gives the text with which the server's database shows it: the
// canonical one with numbers written out.
func JSONB(d *decoder) (json.RawMessage, error) {
	d.jsonb = true
	defer func() { d.jsonb = false }()
	return d.canonical(nil)
}

// Nested reads an object that describe describes.
func Nested[T any](describe func(*T) Struct) Parser[*T] {
	return func(d *decoder) (*T, error) {
		into := new(T)
		return into, d.structure(describe(into))
	}
}

// Date reads a date and time.
func Date(d *decoder) (time.Time, error) {
	text, err := d.text("an RFC 3339 formatted date and time string")
	if err != nil {
		return time.Time{}, err
	}
	t, err := ParseDate(text)
	if err != nil {
		return time.Time{}, d.fail("%s", err)
	}
	return t, nil
}
