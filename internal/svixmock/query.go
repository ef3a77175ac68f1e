package svixmock

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// query holds the parameters of a request in their order.
type query []parameter

type parameter struct{ name, value string }

// parseQuery reads a query string without ever failing: what cannot be decoded stays as it is.
func parseQuery(raw string) query {
	var q query
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			q = append(q, parameter{decodeForm(name), decodeForm(value)})
		}
	}
	return q
}

func decodeForm(s string) string {
	decoded, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return strings.ToValidUTF8(decoded, "\uFFFD")
}

// parseParam reads one scalar parameter. A second occurrence and a value that parse refuses are 400.
func parseParam[T any](q query, name string, parse func(string) (T, error)) (opt[T], error) {
	var o opt[T]
	for _, p := range q {
		if p.name != name {
			continue
		}
		if o.set {
			return o, badQuery(name, "duplicate field `"+name+"`")
		}
		v, err := parse(p.value)
		if err != nil {
			return o, badQuery(name, err.Error())
		}
		o = opt[T]{value: v, set: true}
	}
	return o, nil
}

func badQuery(name, reason string) error {
	return failWith(http.StatusBadRequest, "", "Failed to deserialize query string: "+name+": "+reason)
}

// boolParam reads a boolean parameter, fallback where it is absent.
func boolParam(q query, name string, fallback bool) (bool, error) {
	o, err := parseParam(q, name, func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, errors.New("provided string was not `true` or `false`")
		}
		return s == "true", nil
	})
	return o.or(fallback), err
}

func unsignedValue(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case err == nil:
		return n, nil
	case s == "":
		return 0, errors.New("cannot parse integer from empty string")
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("number too large to fit in target type")
	}
	return 0, errors.New("invalid digit found in string")
}

func textValue(s string) (string, error) { return s, nil }

// oneOf parses an integer that must be one of values.
func oneOf(what string, values ...int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		switch {
		case err != nil:
			return 0, errors.New("invalid digit found in string")
		case !slices.Contains(values, n):
			return 0, errors.New("Failed deserializing " + what)
		}
		return n, nil
	}
}

// timestamp parses RFC 3339 with an offset.
func timestamp(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(strings.Replace(s, " ", "T", 1)))
	if err != nil {
		return time.Time{}, errors.New("input contains invalid characters")
	}
	return t.UTC(), nil
}

// eventTypesParam reads the list of event types in all its spellings; nil where there is none.
func eventTypesParam(q query) ([]string, error) {
	var names []string
	for _, p := range q {
		indexed := strings.HasPrefix(p.name, "event_types[") && strings.HasSuffix(p.name, "]")
		if p.name == "event_types" || indexed {
			names = append(names, strings.Split(p.value, ",")...)
		}
	}
	names = sortedSet(names)
	p := problems{root: "query"}
	p.addAll(firstLimited(names))
	return names, p.err()
}
