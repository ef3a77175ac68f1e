package svixmock

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deeply a value may be nested where the server parses it strictly (serde_json's recursion limit).
const maxDepth = 127

// scanner reads JSON text with the tolerance of serde_json, which differs from encoding/json where it matters here:
// a skipped value may hold lone surrogate escapes and any depth, a string that is read may not, and text after the
// first value is not looked at.
type scanner struct {
	data []byte
	pos  int
}

// scanError is a fault of the text at a position.
type scanError struct {
	msg string
	pos int
}

func (e *scanError) Error() string { return e.msg }

func (s *scanner) fail(format string, args ...any) error {
	return &scanError{msg: fmt.Sprintf(format, args...), pos: s.pos}
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// atEnd tells the end of the text from a NUL byte in it.
func (s *scanner) atEnd() bool { return s.pos >= len(s.data) }

// object reads an object, calling member with each key; member must consume the value.
func (s *scanner) object(member func(key string) error) error {
	s.pos++ // '{'
	for first := true; ; first = false {
		more, err := s.next('}', first, "an object")
		if err != nil || !more {
			return err
		}
		if err := s.member(member); err != nil {
			return err
		}
	}
}

func (s *scanner) member(member func(key string) error) error {
	if c := s.peek(); c != '"' {
		return s.fail("key must be a string")
	}
	key, err := s.str()
	if err != nil {
		return err
	}
	if err := s.colon(); err != nil {
		return err
	}
	return member(key)
}

func (s *scanner) colon() error {
	if s.peek() != ':' {
		if s.atEnd() {
			return s.fail("EOF while parsing an object")
		}
		return s.fail("expected `:`")
	}
	s.pos++
	return nil
}

// array reads an array, calling element with each index; element must consume the value.
func (s *scanner) array(element func(index int) error) error {
	s.pos++ // '['
	for index := 0; ; index++ {
		more, err := s.next(']', index == 0, "a list")
		if err != nil || !more {
			return err
		}
		if err := element(index); err != nil {
			return err
		}
	}
}

// next moves to the next element of a container and reports false behind its end.
func (s *scanner) next(end byte, first bool, what string) (bool, error) {
	c := s.peek()
	switch {
	case s.atEnd():
		return false, s.fail("EOF while parsing %s", what)
	case c == end:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, s.fail("expected `,` or `%c`", end)
	}
	s.pos++
	if s.peek() == end {
		return false, s.fail("trailing comma")
	}
	return true, nil
}

// raw skips one value and returns its text.
func (s *scanner) raw() ([]byte, error) {
	s.peek()
	start := s.pos
	if err := s.skip(); err != nil {
		return nil, err
	}
	text := s.data[start:s.pos]
	if !utf8.Valid(text) {
		return nil, s.fail("invalid unicode code point")
	}
	return text, nil
}

// skip passes over one value of any depth without recursion.
func (s *scanner) skip() error {
	var open []byte // the closing brackets still to come
	for {
		c := s.peek()
		if c == '{' || c == '[' {
			more, err := s.enter(c)
			if err != nil {
				return err
			}
			if more {
				open = append(open, c+2) // '{'+2 == '}', '['+2 == ']'
				continue
			}
		} else if err := s.skipScalar(); err != nil {
			return err
		}
		for {
			if len(open) == 0 {
				return nil
			}
			more, err := s.advance(open[len(open)-1])
			if err != nil {
				return err
			}
			if more {
				break
			}
			open = open[:len(open)-1]
		}
	}
}

// enter opens a container and reports false where it is empty.
func (s *scanner) enter(bracket byte) (bool, error) {
	s.pos++
	if bracket == '[' {
		return s.next(']', true, "a list")
	}
	more, err := s.next('}', true, "an object")
	if err != nil || !more {
		return more, err
	}
	return true, s.skipKey()
}

// advance moves behind a value of a container and reports false where that ended.
func (s *scanner) advance(end byte) (bool, error) {
	if end == ']' {
		return s.next(']', false, "a list")
	}
	more, err := s.next('}', false, "an object")
	if err != nil || !more {
		return more, err
	}
	return true, s.skipKey()
}

func (s *scanner) skipKey() error {
	if s.peek() != '"' {
		return s.fail("key must be a string")
	}
	if err := s.skipString(); err != nil {
		return err
	}
	return s.colon()
}

func (s *scanner) skipScalar() error {
	switch c := s.peek(); {
	case s.atEnd():
		return s.fail("EOF while parsing a value")
	case c == '"':
		return s.skipString()
	case c == '-' || isDigit(c):
		_, err := s.number()
		return err
	default:
		_, err := s.literal()
		return err
	}
}

func (s *scanner) skipString() error {
	s.pos++ // '"'
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if _, err := s.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return s.fail("control character (\\u0000-\\u001F) found while parsing a string")
		default:
			s.pos++
		}
	}
	return s.fail("EOF while parsing a string")
}

// escape reads one escape and returns its code unit.
func (s *scanner) escape() (rune, error) {
	const short, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if s.pos+1 >= len(s.data) {
		s.pos = len(s.data)
		return 0, s.fail("EOF while parsing a string")
	}
	c := s.data[s.pos+1]
	s.pos += 2
	if i := strings.IndexByte(short, c); i >= 0 {
		return rune(values[i]), nil
	}
	if c != 'u' {
		return 0, s.fail("invalid escape")
	}
	return s.hex4()
}

func (s *scanner) hex4() (rune, error) {
	if s.pos+4 > len(s.data) {
		s.pos = len(s.data)
		return 0, s.fail("EOF while parsing a string")
	}
	var unit [2]byte
	if _, err := hex.Decode(unit[:], s.data[s.pos:s.pos+4]); err != nil {
		return 0, s.fail("invalid escape")
	}
	s.pos += 4
	return rune(unit[0])<<8 | rune(unit[1]), nil
}

// str reads a string strictly: valid UTF-8, no lone surrogates.
func (s *scanner) str() (string, error) {
	start := s.pos
	if err := s.skipString(); err != nil {
		return "", err
	}
	text := s.data[start+1 : s.pos-1]
	if !utf8.Valid(text) {
		return "", s.fail("invalid unicode code point")
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text), nil
	}
	inner := &scanner{data: text}
	out, err := inner.unescape()
	if err != nil {
		return "", s.fail("%s", err)
	}
	return out, nil
}

// unescape decodes the inside of a string whose escapes are known to be well formed.
func (s *scanner) unescape() (string, error) {
	var b strings.Builder
	b.Grow(len(s.data))
	for {
		plain, _, more := bytes.Cut(s.data[s.pos:], []byte{'\\'})
		b.Write(plain)
		s.pos += len(plain)
		if !more {
			return b.String(), nil
		}
		r, err := s.escape()
		if err != nil {
			return "", err
		}
		if utf16.IsSurrogate(r) {
			if r, err = s.lowSurrogate(r); err != nil {
				return "", err
			}
		}
		b.WriteRune(r)
	}
}

// lowSurrogate reads the second half of the pair that high begins.
func (s *scanner) lowSurrogate(high rune) (rune, error) {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(`\u`)) {
		return 0, s.fail("unexpected end of hex escape")
	}
	low, err := s.escape()
	if err != nil {
		return 0, err
	}
	r := utf16.DecodeRune(high, low)
	if r == utf8.RuneError {
		return 0, s.fail("lone leading surrogate in hex escape")
	}
	return r, nil
}

// number returns the text of a number.
func (s *scanner) number() (string, error) {
	start := s.pos
	if s.data[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.data) && s.data[s.pos] == '0' {
		s.pos++
		if s.pos < len(s.data) && isDigit(s.data[s.pos]) {
			return "", s.fail("invalid number")
		}
	} else if !s.digits() {
		return "", s.fail("invalid number")
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		s.pos++
		if !s.digits() {
			return "", s.fail("invalid number")
		}
	}
	if s.pos < len(s.data) && s.data[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if !s.digits() {
			return "", s.fail("invalid number")
		}
	}
	return string(s.data[start:s.pos]), nil
}

// digits passes over decimal digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

// literal reads true, false or null.
func (s *scanner) literal() (string, error) {
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return word, nil
		}
	}
	s.pos++
	return "", s.fail("expected value")
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
