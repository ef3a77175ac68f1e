package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// Bounds of what an Error tells.
const (
	maxViolations = 20
	maxMessage    = 200 - len("...") // bytes before the dots
)

// An Error says why a schema cannot be used or why a value does not match one.
type Error struct {
	// Violations are at least one and at most twenty mistakes, in the order of their paths and
	// then of their messages.
	Violations []Violation
	// Err is the error of the parser or of the library, if it is the cause.
	Err error
}

// A Violation is one mistake.
type Violation struct {
	// Path is the JSON pointer (RFC 6901) to the mistake, empty for the whole value, at most 200
	// bytes.
	Path string
	// Message says what is wrong there, in at most 200 bytes, all of them printable.
	Message string
}

func violation(path, message string) Violation {
	return Violation{canonical.Shorten(path, maxMessage), foreign.Printable(canonical.Shorten(message, maxMessage))}
}

// Error lists the violations.
func (e *Error) Error() string {
	texts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		texts[i] = v.Message
		if v.Path != "" {
			texts[i] = foreign.Quote(v.Path) + ": " + v.Message
		}
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// refusal returns an error with one violation.
func refusal(path, message string, err error) *Error {
	return &Error{Violations: []Violation{violation(path, message)}, Err: err}
}

// explain adds a violation at the place where the evaluation is.
func (e *evaluation) explain(format string, args ...any) {
	var path strings.Builder
	for _, token := range e.path {
		path.WriteString("/" + canonical.EscapeToken(token))
	}
	message := fmt.Sprintf(format, args...)
	e.Spend(50 + path.Len()/4 + 2*len(message))
	e.add(violation(path.String(), message))
}

// add keeps a violation if it is among the first.
func (e *evaluation) add(v Violation) {
	i, known := slices.BinarySearchFunc(e.found, v, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	if known || i == maxViolations {
		return
	}
	e.found = slices.Insert(e.found, i, v)
	e.found = e.found[:min(len(e.found), maxViolations)]
}
