package serde

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxDepth is how many levels a request's body, or a payload that is read back, may have
// (serde_json's recursion limit).
const maxDepth = 127

// Canonical gives JSON text the way the server reads a payload back: compact, the keys of every
// object sorted bytewise and the last of equal ones kept, numbers as written except for the
// exponent and for -0. It fails where the server's strict parser does: lone surrogates, more than
// 127 levels, text after the value.
func Canonical(text []byte) ([]byte, error) {
	d := decoder{scanner: scanner{data: text}}
	out, err := d.canonical(make([]byte, 0, len(text)))
	if err != nil {
		return nil, err
	}
	if d.peek(); !d.atEnd() {
		return nil, d.fail("trailing characters")
	}
	return out, nil
}

// HasNUL reports whether a string in canonical JSON text has the character U+0000.
func HasNUL(canonical []byte) bool {
	for {
		i := bytes.IndexByte(canonical, '\\')
		if i < 0 {
			return false
		}
		if bytes.HasPrefix(canonical[i:], []byte(`\u0000`)) {
			return true
		}
		canonical = canonical[i+2:] // an escape has at least one more byte
	}
}

// canonical reads any value strictly and appends its canonical text.
func (d *decoder) canonical(out []byte) ([]byte, error) {
	switch c := d.peek(); {
	case d.atEnd():
		return out, d.note(d.fail("EOF while parsing a value"))
	case c == '{':
		return d.canonicalObject(out)
	case c == '[':
		out = append(out, '[')
		err := d.array(func(index int) (err error) {
			if index > 0 {
				out = append(out, ',')
			}
			out, err = d.canonical(out)
			return err
		})
		return append(out, ']'), err
	case c == '"':
		text, err := d.str()
		return appendString(out, text), d.note(err)
	case c == '-' || isDigit(c):
		text, err := d.number()
		if d.jsonb {
			text = writtenOut(text)
		}
		return append(out, normalNumber(text)...), d.note(err)
	default:
		text, err := d.literal()
		return append(out, text...), d.note(err)
	}
}

// canonicalObject collects the members before it writes them, because the last of several equal
// keys decides.
func (d *decoder) canonicalObject(out []byte) ([]byte, error) {
	type member struct {
		key   string
		value []byte
	}
	var members []member
	err := d.object(func(key string) error {
		value, err := d.canonical(nil)
		members = append(members, member{key, value})
		return err
	})
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(a.key, b.key) })
	out = append(out, '{')
	first := len(out)
	for i, m := range members {
		if i+1 < len(members) && members[i+1].key == m.key {
			continue // the last one counts
		}
		if len(out) > first {
			out = append(out, ',')
		}
		out = append(appendString(out, m.key), ':')
		out = append(out, m.value...)
	}
	return append(out, '}'), err
}

// appendString writes a JSON string that escapes only what it must.
func appendString(out []byte, text string) []byte {
	const short, letters = "\"\\\b\f\n\r\t", `"\bfnrt`
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := range len(text) {
		c := text[i]
		if n := strings.IndexByte(short, c); n >= 0 {
			out = append(out, '\\', letters[n])
		} else if c < 0x20 {
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		} else {
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// normalNumber spells an exponent e+N or e-N and -0 as 0, and leaves the rest of the number as it
// is.
func normalNumber(text string) string {
	if text == "-0" {
		return "0"
	}
	mantissa, exponent, found := strings.Cut(strings.ToLower(text), "e")
	if !found {
		return text
	}
	if exponent[0] != '+' && exponent[0] != '-' {
		exponent = "+" + exponent
	}
	return mantissa + "e" + exponent
}

// maxWrittenOut is the largest exponent that is written out: what the database's numbers hold
// behind the point.
const maxWrittenOut = 16_383

// writtenOut gives a number without an exponent, as the database does.
func writtenOut(text string) string {
	mantissa, exponent, found := strings.Cut(strings.ToLower(text), "e")
	sign := ""
	if rest, negative := strings.CutPrefix(mantissa, "-"); negative {
		sign, mantissa = "-", rest
	}
	if strings.Trim(mantissa, "0.") == "" {
		sign = ""
	}
	if !found {
		return sign + mantissa
	}
	shift, err := strconv.Atoi(exponent)
	if err != nil || shift > maxWrittenOut || shift < -maxWrittenOut {
		return text
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if shift >= 0 {
		fraction += strings.Repeat("0", max(shift-len(fraction), 0))
		whole, fraction = whole+fraction[:shift], fraction[shift:]
	} else {
		whole = strings.Repeat("0", max(-shift-len(whole)+1, 0)) + whole
		at := len(whole) + shift
		whole, fraction = whole[:at], whole[at:]+fraction
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if fraction == "" {
		return sign + whole
	}
	return sign + whole + "." + fraction
}
