package schema

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Bounds of what an Error tells.
const (
	maxViolations = 20
	maxMessage    = 200 // bytes
)

// An Error says why a schema cannot be used or why a value does not match one.
type Error struct {
	// Violations are at least one and at most twenty mistakes, in the order of
	// their paths and then of their messages.
	Violations []Violation
	// Err is the error of the library, or nil where the library was not asked.
	// Its printed forms can be very long.
	Err error
}

// A Violation is one mistake.
type Violation struct {
	// Path is the JSON pointer (RFC 6901) to the mistake, empty for the whole
	// value. A member whose name is empty cannot always be told from the object
	// that holds it.
	Path string
	// Message says what is wrong there, in at most 200 bytes.
	Message string
}

// Error lists the violations.
func (e *Error) Error() string {
	texts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		texts[i] = v.Message
		if v.Path != "" {
			texts[i] = v.Path + ": " + v.Message
		}
	}
	return strings.Join(texts, "; ")
}

// GoString is Error: the %#v of the error of the library can take seconds.
func (e *Error) GoString() string { return e.Error() }

// Unwrap returns the error of the library.
func (e *Error) Unwrap() error { return e.Err }

// refusal returns an error with one violation.
func refusal(path, message string, err error) *Error {
	return &Error{Violations: []Violation{{Path: path, Message: shorten(message)}}, Err: err}
}

// compileError translates what the library says about a schema.
func compileError(err error, document any) *Error {
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return explain(invalid, document)
	}
	var external *referenceError
	if errors.As(err, &external) {
		return refusal("", external.Error(), err)
	}
	var loop jsonschema.InfiniteLoopError
	if errors.As(err, &loop) {
		return refusal("", "refers to itself without end", err)
	}
	var failed *jsonschema.SchemaError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	message := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "jsonschema: "), address, "")
	return refusal("", message, err)
}

// validateError translates what the library says about a value.
func validateError(err error, value any) *Error {
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return explain(invalid, value)
	}
	return refusal("", err.Error(), err)
}

// explain lists the leaves of the library's tree of errors: what lies above
// them only says where they were found.
func explain(invalid *jsonschema.ValidationError, value any) *Error {
	e := &Error{Err: invalid}
	collect(invalid, value, &e.Violations)
	slices.SortFunc(e.Violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	e.Violations = slices.Compact(e.Violations)
	if len(e.Violations) > maxViolations {
		e.Violations = slices.Clone(e.Violations[:maxViolations])
	}
	return e
}

func collect(invalid *jsonschema.ValidationError, value any, violations *[]Violation) {
	if len(invalid.Causes) > 0 {
		for _, cause := range invalid.Causes {
			collect(cause, value, violations)
		}
		return
	}
	path := pointer(invalid.InstanceLocation)
	message := invalid.Message
	if strings.HasSuffix(message, "is not valid 'regex'") {
		message = patternMessage(path, invalid.KeywordLocation, value)
	}
	*violations = append(*violations, Violation{Path: path, Message: shorten(message)})
}

// patternMessage says why a pattern of a schema is refused.
func patternMessage(path, keyword string, document any) string {
	var pattern string
	if strings.Contains(keyword, "/propertyNames/") {
		pattern = unescapeToken(path[strings.LastIndexByte(path, '/')+1:])
	} else {
		pattern, _ = lookup(document, path).(string)
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return "unsupported pattern: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	return "is not a pattern"
}

// pointer undoes the percent-encoding that the library adds to JSON pointers.
func pointer(location string) string {
	tokens := strings.Split(location, "/")
	for i, token := range tokens {
		if decoded, err := url.PathUnescape(token); err == nil {
			tokens[i] = decoded
		}
	}
	return strings.Join(tokens, "/")
}

// lookup returns what a JSON pointer leads to, nil where that is nowhere.
func lookup(value any, path string) any {
	for _, token := range strings.Split(path, "/")[1:] {
		switch container := value.(type) {
		case map[string]any:
			value = container[unescapeToken(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(container) {
				return nil
			}
			value = container[i]
		default:
			return nil
		}
	}
	return value
}

func unescapeToken(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

// shorten cuts a message to what a violation may hold.
func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	const dots = "..."
	cut := maxMessage - len(dots)
	for !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + dots
}
