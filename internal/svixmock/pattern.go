package svixmock

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The server's regular expressions are a dialect between ECMA-262 and Perl: look-around,
// back-references and possessive quantifiers are known, some of what Go or .NET take is not. No Go
// library has it, and none is needed, since nothing is matched here: a reader of the syntax says
// what is refused (section 7.9 of the contract). What the dialect may have and the contract does
// not tell of is refused, with the pattern in the reason.

// maxRepeat is how often something may be repeated. The server's limit is one of memory.
const maxRepeat = 100_000

// checkPattern says why the server refuses a regular expression.
func checkPattern(text string) error {
	p := &patternReader{rest: text}
	p.alternatives()
	if p.err == "" && p.rest != "" {
		p.fail("a closing parenthesis without an opening one")
	}
	if p.err == "" && p.highest > p.groups {
		p.fail("a back-reference to no group")
	}
	if p.err != "" {
		return fmt.Errorf("%q is not a %q: %s", text, "regex", p.err)
	}
	return nil
}

// patternReader reads a pattern from left to right. The first fault stays and ends it.
type patternReader struct {
	rest    string
	groups  int // so far
	highest int // group that a back-reference needs
	err     string
}

func (p *patternReader) fail(reason string) {
	if p.err == "" {
		p.err = reason
	}
	p.rest = ""
}

// accept passes over a text if it comes next.
func (p *patternReader) accept(text string) bool {
	rest, ok := strings.CutPrefix(p.rest, text)
	p.rest = rest
	return ok
}

// next takes one character.
func (p *patternReader) next() rune {
	r, size := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[size:]
	return r
}

// match passes over what an expression matches at this point and returns its first group.
func (p *patternReader) match(expression *regexp.Regexp) (string, bool) {
	found := expression.FindStringSubmatch(p.rest)
	if found == nil {
		return "", false
	}
	p.rest = p.rest[len(found[0]):]
	return found[len(found)-1], true
}

// alternatives reads up to a closing parenthesis or the end.
func (p *patternReader) alternatives() {
	for p.rest != "" && p.rest[0] != ')' {
		if p.accept("|") {
			continue
		}
		p.atom()
		p.quantifiers()
	}
}

// atom reads what a quantifier applies to.
func (p *patternReader) atom() {
	switch c := p.next(); c {
	case '(':
		p.group()
	case '[':
		p.class()
	case '\\':
		p.escape(false)
	case '*', '+', '?':
		p.fail("nothing to repeat")
	case '{':
		p.fail("a lone {")
	}
}

var (
	repetition = regexp.MustCompile(`^\{(\d+)(?:(,)(\d*))?\}`)
	groupStart = regexp.MustCompile(`^\?(?:P?<[A-Za-z_]\w*>|[imsxuU]*(?:-[imsxuU]+)?:|<?[=!])`)
	flagsOnly  = regexp.MustCompile(`^\?[imsxuU]*(?:-[imsxuU]+)?\)`)
)

// quantifiers reads one quantifier, which may be lazy or possessive.
func (p *patternReader) quantifiers() {
	switch {
	case p.accept("*"), p.accept("+"), p.accept("?"):
	case strings.HasPrefix(p.rest, "{"):
		found := repetition.FindStringSubmatch(p.rest)
		if found == nil {
			p.fail("a lone {")
			return
		}
		p.rest = p.rest[len(found[0]):]
		least, err := strconv.Atoi(found[1])
		most := least
		if err == nil && found[3] != "" {
			most, err = strconv.Atoi(found[3])
		}
		if err != nil || most < least || most > maxRepeat {
			p.fail("a bad number of repetitions")
		}
	default:
		return
	}
	if !p.accept("?") {
		p.accept("+")
	}
	if p.rest != "" && strings.ContainsRune("*+?{", rune(p.rest[0])) {
		p.fail("nothing to repeat")
	}
}

// group reads behind an opening parenthesis.
func (p *patternReader) group() {
	if _, ok := p.match(flagsOnly); ok {
		return
	}
	if strings.HasPrefix(p.rest, "?") {
		kind, ok := p.match(groupStart)
		if !ok {
			p.fail("an unknown kind of group")
			return
		}
		if strings.HasSuffix(kind, ">") {
			p.groups++
		}
	} else {
		p.groups++
	}
	p.alternatives()
	if p.err == "" && !p.accept(")") {
		p.fail("an opening parenthesis without a closing one")
	}
}

// class reads behind an opening bracket.
func (p *patternReader) class() {
	p.accept("^")
	if p.accept("]") {
		p.fail("an empty class")
		return
	}
	for !p.accept("]") {
		if p.rest == "" {
			p.fail("an opening bracket without a closing one")
			return
		}
		if p.accept("&&") || p.accept("~~") || p.accept("--") {
			continue
		}
		single := p.classItem()
		if !strings.HasPrefix(p.rest, "-") || strings.HasPrefix(p.rest, "--") ||
			strings.HasPrefix(p.rest, "-]") {
			continue
		}
		p.accept("-")
		if end := p.classItem(); !single || !end {
			p.fail("a range with a class")
		}
	}
}

var posixClass = regexp.MustCompile(`^\[:\^?[a-z]+:\]`)

// classItem reads one item of a class and reports whether it is a single character.
func (p *patternReader) classItem() bool {
	if _, ok := p.match(posixClass); ok {
		return false
	}
	switch c := p.next(); c {
	case '[':
		p.class()
		return false
	case '\\':
		return p.escape(true)
	}
	return true
}

var (
	property = regexp.MustCompile(`^[pP](?:\{\^?(\w+)\}|([A-Z]))`)
	hexadec  = regexp.MustCompile(
		`^(?:u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,8}\}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,8}\})`,
	)
	control  = regexp.MustCompile(`^c[A-Za-z]`)
	backward = regexp.MustCompile(`^([1-9]\d?)`)
)

// escape reads behind a backslash and reports whether it stands for a single character.
func (p *patternReader) escape(inClass bool) bool {
	if found := property.FindStringSubmatch(p.rest); found != nil {
		p.rest = p.rest[len(found[0]):]
		if _, err := regexp.Compile(`\p{` + found[1] + found[2] + `}`); err != nil {
			p.fail("an unknown property")
		}
		return false
	}
	if _, ok := p.match(hexadec); ok {
		return true
	}
	if _, ok := p.match(control); ok {
		return true
	}
	if number, ok := p.match(backward); ok && !inClass {
		n, _ := strconv.Atoi(number) // at most two digits
		p.highest = max(p.highest, n)
		return false
	}
	c := p.next()
	switch {
	case strings.ContainsRune("dDwWsS", c):
		return false
	case !inClass && strings.ContainsRune("bBAz", c):
		return false
	case strings.ContainsRune("tnrfv", c):
		return true
	case c < utf8.RuneSelf && c > ' ' && !isAlphanumeric(c):
		return true
	}
	p.fail("an unknown escape")
	return false
}

func isAlphanumeric(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
