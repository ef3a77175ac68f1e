package serde

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON text with the tolerance of serde_json, which differs from encoding/json where
// it matters here: a skipped value may hold lone surrogate escapes and any depth, a string that is
// read may not, and text after the first value is not looked at.
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

// container is how the two kinds of containers end, and what they are called.
type container struct {
	end  byte
	what string
	// extra is what a skipped container says of a comma before its end. One that is read says
	// "trailing comma".
	extra string
}

var (
	object = container{'}', "an object", "key must be a string"}
	array  = container{']', "a list", "expected value"}
)

// next moves to the next element of a container and reports false behind its end.
func (s *scanner) next(in container, first, skipped bool) (bool, error) {
	c := s.peek()
	switch {
	case s.atEnd():
		return false, s.fail("EOF while parsing %s", in.what)
	case c == in.end:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, s.fail("expected `,` or `%c`", in.end)
	}
	s.pos++
	c = s.peek()
	switch {
	case s.atEnd():
		return false, s.fail("EOF while parsing a value")
	case c == in.end && skipped:
		return false, s.fail("%s", in.extra)
	case c == in.end:
		return false, s.fail("trailing comma")
	}
	return true, nil
}

// nextKey moves to the next member of an object and reads its key. It reports false behind the
// object's end.
func (s *scanner) nextKey(first bool) (key string, more bool, err error) {
	if more, err = s.next(object, first, false); err != nil || !more {
		return "", false, err
	}
	if s.peek() != '"' {
		return "", false, s.fail("key must be a string")
	}
	if key, err = s.str(); err != nil {
		return "", false, err
	}
	return key, true, s.colon()
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
	var open []container // the containers that are still to end
	for {
		more, err := false, error(nil)
		switch s.peek() {
		case '{':
			open = append(open, object)
			more, err = s.enter(object)
		case '[':
			open = append(open, array)
			more, err = s.enter(array)
		default:
			err = s.skipScalar()
			if err == nil && len(open) > 0 {
				more, err = s.advance(open[len(open)-1])
			}
		}
		for err == nil && !more && len(open) > 0 {
			if open = open[:len(open)-1]; len(open) > 0 {
				more, err = s.advance(open[len(open)-1])
			}
		}
		if err != nil || len(open) == 0 {
			return err
		}
	}
}

// enter opens a skipped container and reports false if it is empty.
func (s *scanner) enter(in container) (bool, error) {
	s.pos++
	return s.toElement(in, true)
}

// advance moves behind a value of a skipped container and reports false if that ended.
func (s *scanner) advance(in container) (bool, error) { return s.toElement(in, false) }

func (s *scanner) toElement(in container, first bool) (bool, error) {
	more, err := s.next(in, first, true)
	if err != nil || !more || in == array {
		return more, err
	}
	if s.peek() != '"' {
		return false, s.fail("key must be a string")
	}
	if err := s.skipString(); err != nil {
		return false, err
	}
	return true, s.colon()
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
	if high >= 0xdc00 {
		return 0, s.fail("lone leading surrogate in hex escape")
	}
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
	s.accept("-")
	if s.accept("0") {
		if s.pos < len(s.data) && isDigit(s.data[s.pos]) {
			return "", s.fail("invalid number")
		}
	} else if err := s.digits(); err != nil {
		return "", err
	}
	if s.accept(".") {
		if err := s.digits(); err != nil {
			return "", err
		}
	}
	if s.accept("eE") {
		s.accept("+-")
		if err := s.digits(); err != nil {
			return "", err
		}
	}
	return string(s.data[start:s.pos]), nil
}

// accept passes over one byte if it is one of those given.
func (s *scanner) accept(bytes string) bool {
	if s.pos < len(s.data) && strings.IndexByte(bytes, s.data[s.pos]) >= 0 {
		s.pos++
		return true
	}
	return false
}

// digits passes over at least one decimal digit.
func (s *scanner) digits() error {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	switch {
	case s.pos > start:
		return nil
	case s.atEnd():
		return s.fail("EOF while parsing a value")
	}
	return s.fail("invalid number")
}

// literal reads true, false or null.
func (s *scanner) literal() (string, error) {
	for _, word := range []string{"true", "false", "null"} {
		switch {
		case bytes.HasPrefix(s.data[s.pos:], []byte(word)):
			s.pos += len(word)
			return word, nil
		case s.data[s.pos] != word[0]:
		case strings.HasPrefix(word, string(s.data[s.pos:])):
			s.pos = len(s.data)
			return "", s.fail("EOF while parsing a value")
		default:
			s.pos++
			return "", s.fail("expected ident")
		}
	}
	s.pos++
	return "", s.fail("expected value")
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
