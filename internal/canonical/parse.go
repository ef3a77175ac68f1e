package canonical

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Parse reads one JSON text (RFC 8259), which may begin with a byte order mark. It is stricter than
// [encoding/json]: it also refuses
//   - invalid UTF-8, and an escaped surrogate without its other half,
//   - two members of one name in an object,
//   - member names that begin with "$serde_json::private::", since the server would read another
//     value back,
//   - what is beyond [MaxDepth], [MaxDigits] and [MaxExponent].
//
// The time it takes is linear in the length of the text. The value shares
// nothing with data. Every error is an [*Error].
func Parse(data []byte) (any, error) {
	p := parser{text: string(data)}
	v, err := p.document()
	if err != nil {
		return nil, err
	}
	return v, nil
}

// A parser reads text from pos on. Strings without escapes are parts of the
// text, so that they cost no memory of their own.
type parser struct {
	text string
	pos  int
	// outer is how many arrays and objects hold the whole text.
	outer int
	// replaced makes an escaped U+FFFD an error: it is what encoding/json
	// writes for bytes that are not UTF-8, while it leaves a real U+FFFD as it is.
	replaced bool
}

func (p *parser) document() (any, *Error) {
	if strings.HasPrefix(p.text, "\ufeff") { // as some editors put it at the beginning of a file
		p.pos += len("\ufeff")
	}
	p.skipSpace()
	v, err := p.value(p.outer)
	if err != nil {
		return nil, err
	}
	p.skipSpace()
	if p.pos < len(p.text) {
		return nil, p.unexpected("after the value")
	}
	return v, nil
}

// value reads a value that lies within depth arrays and objects.
func (p *parser) value(depth int) (any, *Error) {
	switch p.peek() {
	case '{':
		return p.object(depth + 1)
	case '[':
		return p.array(depth + 1)
	case '"':
		s, err := p.str()
		if err != nil {
			return nil, err
		}
		return s, nil
	case 't':
		return p.literal("true", true)
	case 'f':
		return p.literal("false", false)
	case 'n':
		return p.literal("null", nil)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return p.number()
	default:
		return nil, p.unexpected("where a value begins")
	}
}

func (p *parser) object(depth int) (any, *Error) {
	if depth > MaxDepth {
		return nil, tooDeep()
	}
	p.pos++
	members := make(map[string]any)
	if p.skipTo('}') {
		return members, nil
	}
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if _, ok := members[name]; ok {
			return nil, (&Error{Reason: "there are two members of this name"}).in(name)
		}
		v, err := p.value(depth)
		if err != nil {
			return nil, err.in(name)
		}
		members[name] = v
		if p.skipTo('}') {
			return members, nil
		}
		if !p.skipTo(',') {
			return nil, p.unexpected("after a member of an object")
		}
	}
}

// name reads the name of a member and the colon behind it.
func (p *parser) name() (string, *Error) {
	if p.peek() != '"' {
		return "", p.unexpected("where the name of a member begins")
	}
	name, err := p.str()
	if err != nil {
		return "", err
	}
	if p.skipSpace(); !p.skipTo(':') {
		return "", p.unexpected("after the name of a member").in(name)
	}
	return name, checkName(name)
}

func (p *parser) array(depth int) (any, *Error) {
	if depth > MaxDepth {
		return nil, tooDeep()
	}
	p.pos++
	items := []any{}
	if p.skipTo(']') {
		return items, nil
	}
	for {
		v, err := p.value(depth)
		if err != nil {
			return nil, err.in(strconv.Itoa(len(items)))
		}
		items = append(items, v)
		if p.skipTo(']') {
			return items, nil
		}
		if !p.skipTo(',') {
			return nil, p.unexpected("after an item of an array")
		}
	}
}

func (p *parser) literal(word string, v any) (any, *Error) {
	for i := range len(word) {
		if p.peek() != word[i] {
			return nil, p.unexpected("in the word " + word)
		}
		p.pos++
	}
	return v, nil
}

func (p *parser) number() (any, *Error) {
	n, reason := scanNumber(p.text[p.pos:])
	if reason != "" {
		return nil, &Error{Reason: reason}
	}
	number := p.text[p.pos : p.pos+n]
	p.pos += n
	return json.Number(number), nil
}

// str reads a string, whose quotation mark comes next.
func (p *parser) str() (string, *Error) {
	p.pos++
	start := p.pos
	if err := p.skipPlain(); err != nil {
		return "", err
	}
	if p.peek() == '"' {
		p.pos++
		return p.text[start : p.pos-1], nil
	}
	return p.escapedStr([]byte(p.text[start:p.pos]))
}

// escapedStr reads on from the first escape, after what was read already.
func (p *parser) escapedStr(s []byte) (string, *Error) {
	for p.peek() == '\\' {
		p.pos++
		r, err := p.escape()
		if err != nil {
			return "", err
		}
		s = utf8.AppendRune(s, r)
		start := p.pos
		if err := p.skipPlain(); err != nil {
			return "", err
		}
		s = append(s, p.text[start:p.pos]...)
	}
	p.pos++
	return string(s), nil
}

// skipPlain goes to the next backslash or quotation mark.
func (p *parser) skipPlain() *Error {
	for {
		p.pos += plainASCII(p.text[p.pos:])
		switch c := p.peek(); {
		case c == '"' || c == '\\':
			return nil
		case c < ' ':
			return p.unexpected("in a string")
		}
		r, size := utf8.DecodeRuneInString(p.text[p.pos:])
		if r == utf8.RuneError && size == 1 {
			return &Error{Reason: "a string is not valid UTF-8"}
		}
		p.pos += size
	}
}

// plainASCII returns how many bytes of s come before the first that is not a
// character by itself in a JSON string.
func plainASCII(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, *Error) {
	c := p.peek()
	p.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return p.unicodeEscape()
	default:
		p.pos--
		return 0, p.unexpected("after a backslash")
	}
}

// unicodeEscape reads the digits after \u, and the whole second escape where
// they are the first half of a surrogate pair.
func (p *parser) unicodeEscape() (rune, *Error) {
	r, err := p.hex4()
	switch {
	case err != nil:
		return 0, err
	case r == utf8.RuneError && p.replaced:
		return 0, &Error{Reason: "a string is not valid UTF-8 (it was encoded as U+FFFD)"}
	case !utf16.IsSurrogate(r):
		return r, nil
	}
	if p.pos+1 < len(p.text) && p.text[p.pos:p.pos+2] == `\u` {
		p.pos += 2
		low, err := p.hex4()
		if err != nil {
			return 0, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, nil
		}
	}
	return 0, &Error{Reason: "a string has one half of a surrogate pair"}
}

func (p *parser) hex4() (rune, *Error) {
	var r rune
	for range 4 {
		c := p.peek()
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, p.unexpected("in a \\u escape")
		}
		p.pos++
	}
	return r, nil
}

// peek returns the next byte, and 0, which no JSON text may have outside or
// inside of a string, at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

// skipTo skips white space and, if it comes next, c with the white space behind it.
func (p *parser) skipTo(c byte) bool {
	p.skipSpace()
	if p.peek() != c {
		return false
	}
	p.pos++
	p.skipSpace()
	return true
}

func (p *parser) skipSpace() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// unexpected says what stands at pos.
func (p *parser) unexpected(where string) *Error {
	if p.pos >= len(p.text) {
		return &Error{Reason: "the JSON text ends " + where}
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return &Error{Reason: fmt.Sprintf("not valid JSON: unexpected %q %s (byte %d)", r, where, p.pos)}
}

func tooDeep() *Error {
	return &Error{Reason: fmt.Sprintf("nested more than %d deep", MaxDepth)}
}
