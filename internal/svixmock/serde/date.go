package serde

import (
	"errors"
	"math"
	"strings"
	"time"
	"unicode"
)

// What is wrong with a date, in the words of the library that reads it.
var (
	errDateShort   = errors.New("premature end of input")
	errDateLong    = errors.New("trailing input")
	errDateInvalid = errors.New("input contains invalid characters")
	errDateRange   = errors.New("input is out of range")
)

// ParseDate reads a date and time with an offset in the relaxed form of RFC 3339 that the server
// takes: one-digit numbers, blanks, any number of digits after the point, UTC in words. The result
// is in UTC.
func ParseDate(text string) (time.Time, error) {
	r := dateReader{rest: text}
	year := r.year()
	r.literal('-')
	month := r.number(1, 12)
	r.literal('-')
	day := r.number(1, 31)
	r.separator()
	hour := r.number(0, 23)
	r.literal(':')
	minute := r.number(0, 59)
	r.literal(':')
	second := r.number(0, 60)
	nano := r.fraction()
	offset := r.offset()
	r.blanks()
	if r.err == nil && r.rest != "" {
		r.fail(errDateLong)
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC).Add(-offset)
	days := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if day > days || offset <= -24*time.Hour || offset >= 24*time.Hour || year > 262_142 || year < -262_143 {
		r.fail(errDateRange)
	}
	if r.err != nil {
		return time.Time{}, r.err
	}
	return t, nil
}

// dateReader reads a date from left to right. The first fault stays.
type dateReader struct {
	rest string
	err  error
}

func (r *dateReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// blanks passes over white space.
func (r *dateReader) blanks() { r.rest = strings.TrimLeftFunc(r.rest, unicode.IsSpace) }

// literal passes over one character with blanks before it.
func (r *dateReader) literal(c byte) {
	r.blanks()
	switch {
	case r.rest == "":
		r.fail(errDateShort)
	case r.rest[0] != c:
		r.fail(errDateInvalid)
	default:
		r.rest = r.rest[1:]
	}
}

// separator passes over what is between date and time.
func (r *dateReader) separator() {
	trimmed := strings.TrimLeftFunc(r.rest, unicode.IsSpace)
	switch {
	case r.rest == "":
		r.fail(errDateShort)
	case r.rest[0] == 'T' || r.rest[0] == 't':
		r.rest = r.rest[1:]
	case len(trimmed) == len(r.rest):
		r.fail(errDateInvalid)
	default:
		r.rest = trimmed
	}
}

// year reads a year, which may have more than four digits if it has a sign.
func (r *dateReader) year() int {
	r.blanks()
	if rest, negative := strings.CutPrefix(r.rest, "-"); negative {
		r.rest = rest
		return -r.digits(math.MaxInt)
	}
	if rest, signed := strings.CutPrefix(r.rest, "+"); signed {
		r.rest = rest
		return r.digits(math.MaxInt)
	}
	return r.digits(4)
}

// number reads one or two digits with blanks before them.
func (r *dateReader) number(minimum, maximum int) int {
	r.blanks()
	n := r.digits(2)
	if n < minimum || n > maximum {
		r.fail(errDateRange)
	}
	return n
}

// digits reads at least one digit and at most so many.
func (r *dateReader) digits(most int) int {
	n, read := 0, 0
	for read < most && read < len(r.rest) && isDigit(r.rest[read]) {
		n = min(10*n+int(r.rest[read]-'0'), math.MaxInt/20) // beyond any range
		read++
	}
	switch {
	case r.rest == "":
		r.fail(errDateShort)
	case read == 0:
		r.fail(errDateInvalid)
	}
	r.rest = r.rest[read:]
	return n
}

// fraction reads the nanoseconds, 0 if there are none. More than nine digits are cut off.
func (r *dateReader) fraction() int {
	rest, found := strings.CutPrefix(r.rest, ".")
	if !found {
		return 0
	}
	r.rest = rest
	nano := r.digits(9)
	for read := len(rest) - len(r.rest); read < 9; read++ {
		nano *= 10
	}
	r.rest = strings.TrimLeft(r.rest, "0123456789")
	return nano
}

// offset reads the offset from UTC.
func (r *dateReader) offset() time.Duration {
	r.blanks()
	if len(r.rest) >= 3 && strings.EqualFold(r.rest[:3], "UTC") {
		r.rest = r.rest[3:]
		return 0
	}
	sign := 1
	switch rest, minus := strings.CutPrefix(r.rest, "\u2212"); {
	case r.rest == "":
		r.fail(errDateShort)
		return 0
	case r.rest[0] == 'Z' || r.rest[0] == 'z':
		r.rest = r.rest[1:]
		return 0
	case minus:
		sign, r.rest = -1, rest
	case r.rest[0] == '-':
		sign, r.rest = -1, r.rest[1:]
	case r.rest[0] == '+':
		r.rest = r.rest[1:]
	default:
		r.fail(errDateInvalid)
		return 0
	}
	hours := r.pair(99)
	r.rest = strings.TrimLeftFunc(r.rest, func(c rune) bool { return c == ':' || unicode.IsSpace(c) })
	minutes := r.pair(59)
	return time.Duration(sign*(60*hours+minutes)) * time.Minute
}

// pair reads exactly two digits.
func (r *dateReader) pair(maximum int) int {
	switch {
	case len(r.rest) < 2:
		r.fail(errDateShort)
		return 0
	case !isDigit(r.rest[0]) || !isDigit(r.rest[1]):
		r.fail(errDateInvalid)
		return 0
	}
	n := int(r.rest[0]-'0')*10 + int(r.rest[1]-'0')
	if n > maximum {
		r.fail(errDateRange)
	}
	r.rest = r.rest[2:]
	return n
}
