package svixmock

import (
	"cmp"
	"slices"
	"strings"
)

// expired is what the API shows for a payload that is gone or that it cannot parse.
const expired = `{"expired":true}`

// canonical gives JSON text the way the server reads a payload back: compact, the keys of every object sorted
// bytewise and the last of equal ones kept, numbers as written except for the exponent. It fails where the server's
// strict parser does: lone surrogates, a nesting deeper than maxDepth, text after the value.
func canonical(text []byte) ([]byte, error) {
	w := canonicalWriter{scanner: scanner{data: text}}
	if err := w.value(0); err != nil {
		return nil, err
	}
	if w.peek(); !w.atEnd() {
		return nil, w.fail("trailing characters")
	}
	return w.out, nil
}

type canonicalWriter struct {
	scanner
	out []byte
}

func (w *canonicalWriter) value(depth int) error {
	switch c := w.peek(); {
	case w.atEnd():
		return w.fail("EOF while parsing a value")
	case (c == '{' || c == '[') && depth == maxDepth:
		return w.fail("recursion limit exceeded")
	case c == '{':
		return w.object(depth + 1)
	case c == '[':
		return w.array(depth + 1)
	case c == '"':
		text, err := w.str()
		w.out = appendString(w.out, text)
		return err
	case c == '-' || isDigit(c):
		text, err := w.number()
		w.out = append(w.out, normalNumber(text)...)
		return err
	default:
		text, err := w.literal()
		w.out = append(w.out, text...)
		return err
	}
}

func (w *canonicalWriter) array(depth int) error {
	w.out = append(w.out, '[')
	err := w.scanner.array(func(index int) error {
		if index > 0 {
			w.out = append(w.out, ',')
		}
		return w.value(depth)
	})
	w.out = append(w.out, ']')
	return err
}

// object collects the members before it writes them, because the last of several equal keys decides.
func (w *canonicalWriter) object(depth int) error {
	type member struct {
		key   string
		value []byte
	}
	var members []member
	outer := w.out
	err := w.scanner.object(func(key string) error {
		w.out = nil
		err := w.value(depth)
		members = append(members, member{key, w.out})
		return err
	})
	w.out = outer
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(a.key, b.key) })

	w.out = append(w.out, '{')
	first := len(w.out)
	for i, m := range members {
		if i+1 < len(members) && members[i+1].key == m.key {
			continue // the last one counts
		}
		if len(w.out) > first {
			w.out = append(w.out, ',')
		}
		w.out = appendString(w.out, m.key)
		w.out = append(w.out, ':')
		w.out = append(w.out, m.value...)
	}
	w.out = append(w.out, '}')
	return err
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

// normalNumber spells an exponent e+N or e-N and leaves the rest of the number as it is.
func normalNumber(text string) string {
	mantissa, exponent, found := strings.Cut(strings.ToLower(text), "e")
	if !found {
		return text
	}
	if exponent[0] != '+' && exponent[0] != '-' {
		exponent = "+" + exponent
	}
	return mantissa + "e" + exponent
}
