package svixmock

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// opt is a member of a request body: absent, null or a value.
type opt[T any] struct {
	value T
	set   bool // present, perhaps as null
	null  bool
}

// has reports whether there is a value.
func (o opt[T]) has() bool { return o.set && !o.null }

// or is the value, or fallback where there is none.
func (o opt[T]) or(fallback T) T {
	if o.has() {
		return o.value
	}
	return fallback
}

// ptr is the value, nil where there is none.
func (o opt[T]) ptr() *T {
	if o.has() {
		return &o.value
	}
	return nil
}

// member describes one member of an object in a request body.
type member struct {
	name     string
	alias    string // a second spelling; both together are a duplicate
	required bool
	nullable bool
	seen     bool
	parse    func(*decoder) error
	setNull  func()
}

// parser reads one value that is not null.
type parser[T any] func(*decoder) (T, error)

// optional is a member that may be absent but not null.
func optional[T any](name string, into *opt[T], parse parser[T]) member {
	return member{
		name:    name,
		setNull: func() { *into = opt[T]{set: true, null: true} },
		parse: func(d *decoder) error {
			v, err := parse(d)
			*into = opt[T]{value: v, set: true}
			return err
		},
	}
}

// required is a member that must be present and not null.
func required[T any](name string, into *opt[T], parse parser[T]) member {
	m := optional(name, into, parse)
	m.required = true
	return m
}

// nullable is a member that may be absent or null.
func nullable[T any](name string, into *opt[T], parse parser[T]) member {
	m := optional(name, into, parse)
	m.nullable = true
	return m
}

// decoder reads a request body as the server's deserializer does: the first fault ends it, and the fault is reported
// with the path of the member in which it lies.
type decoder struct {
	scanner
	path  []string
	fault string // path of the first error, "." at the top
}

// decodeBody reads the body into members. Its error is an answer: 413, or a 422 with one item. There is none for a
// client that stops sending: the handler ends.
func decodeBody(c *call, members ...member) error {
	body, err := c.body.bytes()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(body) > maxBody {
		return fail(http.StatusRequestEntityTooLarge)
	}
	d := &decoder{scanner: scanner{data: body}}
	if err := d.structure(members); err != nil {
		return d.rejection(err)
	}
	return nil
}

// rejection turns a decoding error into the answer.
func (d *decoder) rejection(err error) error {
	at := &scanError{msg: err.Error(), pos: d.pos}
	errors.As(err, &at)
	text := at.msg + d.position(at.pos)
	if d.fault != "." {
		text = d.fault + ": " + text
	}
	loc := append([]string{"body"}, strings.Split(d.fault, ".")...)
	return unprocessable(problem{Loc: loc, Msg: text, Type: "value_error.jsondecode"})
}

func (d *decoder) position(pos int) string {
	read := d.data[:pos]
	line := bytes.Count(read, []byte("\n")) + 1
	column := pos - (bytes.LastIndexByte(read, '\n') + 1)
	return fmt.Sprintf(" at line %d column %d", line, column)
}

// note remembers where the first error occurred and passes it on.
func (d *decoder) note(err error) error {
	if err != nil && d.fault == "" {
		d.fault = "."
		if len(d.path) > 0 {
			d.fault = strings.TrimPrefix(strings.Join(d.path, ""), ".")
		}
	}
	return err
}

// within reads a part of the document one step down the path.
func (d *decoder) within(step string, read func() error) error {
	d.path = append(d.path, step)
	err := d.note(read())
	d.path = d.path[:len(d.path)-1]
	return err
}

// structure reads an object with known members; unknown ones are skipped.
func (d *decoder) structure(members []member) error {
	if d.peek() != '{' {
		return d.note(d.mismatch("a JSON object"))
	}
	err := d.object(func(key string) error {
		for i := range members {
			if m := &members[i]; key == m.name || key == m.alias && key != "" {
				return d.member(key, m)
			}
		}
		return d.within("."+key, func() error { return d.skip() })
	})
	if err != nil {
		return d.note(err)
	}
	for i := range members {
		if members[i].required && !members[i].seen {
			return d.note(d.fail("missing field `%s`", members[i].name))
		}
	}
	return nil
}

func (d *decoder) member(key string, m *member) error {
	if m.seen {
		return d.note(d.fail("duplicate field `%s`", m.name))
	}
	m.seen = true
	return d.within("."+key, func() error {
		if m.nullable && d.peek() == 'n' {
			m.setNull()
			_, err := d.literal()
			return err
		}
		return m.parse(d)
	})
}

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
		got = "integer `" + text + "`"
		if strings.ContainsAny(text, ".eE") {
			got = "floating point `" + text + "`"
		}
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

func parseString(d *decoder) (string, error) {
	if d.peek() != '"' {
		return "", d.mismatch("a string")
	}
	return d.str()
}

func parseBool(d *decoder) (bool, error) {
	if c := d.peek(); c != 't' && c != 'f' {
		return false, d.mismatch("a boolean")
	}
	word, err := d.literal()
	return word == "true", err
}

// parseInt reads an integer of a type that Rust calls kind and that holds min to max.
func parseInt(kind string, minimum, maximum int64) parser[int64] {
	return func(d *decoder) (int64, error) {
		c := d.peek()
		if c != '-' && !isDigit(c) {
			return 0, d.mismatch(kind)
		}
		start := d.pos
		text, err := d.number()
		if err != nil {
			return 0, err
		}
		if strings.ContainsAny(text, ".eE") {
			d.pos = start
			return 0, d.mismatch(kind)
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < minimum || n > maximum {
			return 0, d.fail("invalid value: integer `%s`, expected %s", text, kind)
		}
		return n, nil
	}
}

// parseSet reads an array of strings as a set: duplicates collapse.
func parseSet(d *decoder) ([]string, error) {
	if d.peek() != '[' {
		return nil, d.mismatch("a sequence")
	}
	var set []string
	err := d.array(func(index int) error {
		return d.within("["+strconv.Itoa(index)+"]", func() error {
			s, err := parseString(d)
			set = append(set, s)
			return err
		})
	})
	return sortedSet(set), err
}

// parseMap reads an object with values of one kind; a later key wins.
func parseMap[T any](parse parser[T]) parser[map[string]T] {
	return func(d *decoder) (map[string]T, error) {
		if d.peek() != '{' {
			return nil, d.mismatch("a map")
		}
		values := map[string]T{}
		err := d.object(func(key string) error {
			return d.within("."+key, func() error {
				v, err := parse(d)
				values[key] = v
				return err
			})
		})
		return values, err
	}
}

// parseOptString reads a string or null.
func parseOptString(d *decoder) (opt[string], error) {
	if d.peek() == 'n' {
		_, err := d.literal()
		return opt[string]{set: true, null: true}, err
	}
	s, err := parseString(d)
	return opt[string]{value: s, set: true}, err
}

// parseRaw takes any value as its text.
func parseRaw(d *decoder) ([]byte, error) { return d.raw() }

func parseTime(d *decoder) (time.Time, error) {
	text, err := parseString(d)
	if err != nil {
		return time.Time{}, err
	}
	t, err := timestamp(text)
	if err != nil {
		return time.Time{}, d.fail("%s", err)
	}
	return t, nil
}

// metadataLimit is the largest metadata in bytes of JSON.
const metadataLimit = 4096

func parseMetadata(d *decoder) (map[string]string, error) {
	metadata, err := parseMap(parseString)(d)
	if err != nil {
		return nil, err
	}
	if len(marshal(metadata)) > metadataLimit {
		return nil, d.fail("metadata must be less than or equal to %d bytes", metadataLimit)
	}
	return metadata, nil
}
