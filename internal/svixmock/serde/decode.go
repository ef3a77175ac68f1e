// Package serde reads what clients send as the Svix server does, whose JSON, query strings, dates,
// URLs and secrets are read by serde_json, chrono and other libraries of Rust. What these accept
// and how they word a refusal is part of the contract (sections 1.3, 1.4, 4.5, 8.2 and 8.3).
package serde

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Opt is a member of a request body or a parameter of a query: absent, null or a value.
type Opt[T any] struct {
	Value T
	Set   bool // present, perhaps as null
	Null  bool
}

// Some is a value that is present.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Has reports whether there is a value.
func (o Opt[T]) Has() bool { return o.Set && !o.Null }

// Or is the value, or fallback if there is none.
func (o Opt[T]) Or(fallback T) T {
	if o.Has() {
		return o.Value
	}
	return fallback
}

// Ptr is the value, nil if there is none.
func (o Opt[T]) Ptr() *T {
	if o.Has() {
		return &o.Value
	}
	return nil
}

// Struct describes an object in a request body. The order of its members is that of the server's
// type, since a struct may be written as an array.
type Struct struct {
	Name    string // of the server's type
	Members []Member
	// Lenient is a struct of which an array may leave out any members at the end.
	Lenient bool
}

// Member describes one member of a Struct. Optional, Required and Nullable make one.
type Member struct {
	name     string
	alias    string // a second spelling; both together are a duplicate
	required bool
	nullable bool
	seen     bool
	parse    func(*decoder) error
	setNull  func()
}

// Parser reads one value that is not null.
type Parser[T any] func(*decoder) (T, error)

// Optional is a member that may be absent but not null.
func Optional[T any](name string, into *Opt[T], parse Parser[T]) Member {
	return Member{
		name:    name,
		setNull: func() { *into = Opt[T]{Set: true, Null: true} },
		parse: func(d *decoder) error {
			v, err := parse(d)
			*into = Some(v)
			return err
		},
	}
}

// Required is a member that must be present and not null.
func Required[T any](name string, into *Opt[T], parse Parser[T]) Member {
	m := Optional(name, into, parse)
	m.required = true
	return m
}

// Nullable is a member that may be absent or null.
func Nullable[T any](name string, into *Opt[T], parse Parser[T]) Member {
	m := Optional(name, into, parse)
	m.nullable = true
	return m
}

// RequiredIf is a member that must be present only if that holds.
func RequiredIf[T any](holds bool, name string, into *Opt[T], parse Parser[T]) Member {
	m := Optional(name, into, parse)
	m.required = holds
	return m
}

// NullableIf is a member that may be absent, and null only if that holds.
func NullableIf[T any](holds bool, name string, into *Opt[T], parse Parser[T]) Member {
	m := Optional(name, into, parse)
	m.nullable = holds
	return m
}

// Or gives a member a second name.
func (m Member) Or(alias string) Member {
	m.alias = alias
	return m
}

// BodyError says what is wrong with a body, and where.
type BodyError struct {
	Loc []string // begins with "body"
	Msg string
}

func (e *BodyError) Error() string { return e.Msg }

// Decode reads a request body. The first fault ends it with a *BodyError. Text after the first
// value is not looked at.
func Decode(body []byte, s Struct) error {
	d := &decoder{scanner: scanner{data: body}}
	if err := d.structure(s); err != nil {
		return d.rejection(err)
	}
	return nil
}

// decoder reads a request body as the server's deserializer does: the first fault ends it, and the
// fault is reported with the path of the member in which it lies.
type decoder struct {
	scanner
	path  []step
	depth int    // of the containers that are read, not skipped
	jsonb bool   // numbers are written out
	fault string // path of the first error, "." at the top
}

// step is a step into a container: a key, or an index.
type step struct {
	key   string
	index int // -1: a key
}

// unknown is the step of a fault between the members of an object.
var unknown = step{key: "?", index: -1}

// rejection is the error that names the place of the first fault.
func (d *decoder) rejection(err error) *BodyError {
	at := &scanError{msg: err.Error(), pos: d.pos}
	errors.As(err, &at)
	text := at.msg + d.position(at.pos)
	if d.fault != "." && d.fault != "?" {
		text = d.fault + ": " + text
	}
	return &BodyError{Loc: append([]string{"body"}, strings.Split(d.fault, ".")...), Msg: text}
}

func (d *decoder) position(pos int) string {
	read := d.data[:pos]
	line := bytes.Count(read, []byte("\n")) + 1
	column := pos - (bytes.LastIndexByte(read, '\n') + 1)
	return fmt.Sprintf(" at line %d column %d", line, column)
}

// note remembers where the first error occurred and passes it on.
func (d *decoder) note(err error) error {
	if err == nil || d.fault != "" {
		return err
	}
	var b strings.Builder
	for i, s := range d.path {
		switch {
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case i > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	if d.fault = b.String(); d.fault == "" {
		d.fault = "."
	}
	return err
}

// within reads a part of the document one step down the path.
func (d *decoder) within(s step, read func() error) error {
	d.path = append(d.path, s)
	err := d.note(read())
	d.path = d.path[:len(d.path)-1]
	return err
}

// enter opens a container.
func (d *decoder) enter() error {
	if d.depth == maxDepth {
		return d.note(d.fail("recursion limit exceeded"))
	}
	d.depth++
	d.pos++
	return nil
}

// object reads an object, calling member with each key; member must consume the value.
func (d *decoder) object(member func(key string) error) error {
	return d.members(func(key string) error {
		return d.within(step{key, -1}, func() error { return member(key) })
	})
}

// members is object without a step down the path.
func (d *decoder) members(member func(key string) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer func() { d.depth-- }()
	for first := true; ; first = false {
		key, more, err := d.nextKey(first)
		if err != nil {
			return d.within(unknown, func() error { return err })
		}
		if !more {
			return nil
		}
		if err := member(key); err != nil {
			return err
		}
	}
}

// array reads an array, calling element with each index; element must consume the value.
func (d *decoder) array(element func(index int) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer func() { d.depth-- }()
	for index := 0; ; index++ {
		more, err := d.next(array, index == 0, false)
		if err != nil {
			return d.note(err)
		}
		if !more {
			return nil
		}
		if err := d.within(step{index: index}, func() error { return element(index) }); err != nil {
			return err
		}
	}
}

// structure reads an object with known members; unknown ones are skipped.
func (d *decoder) structure(s Struct) error {
	switch d.peek() {
	case '{':
	case '[':
		return d.sequence(s)
	default:
		return d.note(d.mismatch("struct " + s.Name))
	}
	err := d.members(func(key string) error {
		for i := range s.Members {
			if m := &s.Members[i]; key == m.name || key == m.alias && key != "" {
				return d.member(key, m)
			}
		}
		return d.within(step{key, -1}, func() error { return d.skip() })
	})
	if err != nil {
		return err
	}
	for i := range s.Members {
		if s.Members[i].required && !s.Members[i].seen {
			return d.note(d.fail("missing field `%s`", s.Members[i].name))
		}
	}
	return nil
}

func (d *decoder) member(key string, m *Member) error {
	if m.seen {
		return d.note(d.fail("duplicate field `%s`", m.name))
	}
	m.seen = true
	return d.within(step{key, -1}, func() error { return d.read(m) })
}

func (d *decoder) read(m *Member) error {
	if m.nullable && d.peek() == 'n' {
		m.setNull()
		_, err := d.literal()
		return err
	}
	return m.parse(d)
}

// sequence reads a struct that is written as an array of its members.
func (d *decoder) sequence(s Struct) error {
	n := 0
	err := d.array(func(index int) error {
		if index >= len(s.Members) {
			return d.fail("trailing characters")
		}
		n++
		return d.read(&s.Members[index])
	})
	if err != nil {
		return err
	}
	for i := n; i < len(s.Members) && !s.Lenient; i++ {
		if m := s.Members[i]; m.required || m.nullable {
			elements := "elements"
			if len(s.Members) == 1 {
				elements = "element"
			}
			return d.note(
				d.fail("invalid length %d, expected struct %s with %d %s", i, s.Name, len(s.Members), elements),
			)
		}
	}
	return nil
}
