package svixmock

import (
	"slices"
	"strings"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// problem is one item of a 422 answer.
type problem struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// all stands in a loc for the rule of a value as a whole.
const all = "__all__"

// problems collects what is wrong with a decoded request.
type problems struct {
	root  string // "body", "query" or "path"
	items []problem
}

func (p *problems) add(msg string, loc ...string) {
	p.items = append(p.items, problem{
		Loc:  append([]string{p.root}, loc...),
		Msg:  msg,
		Type: "value_error",
	})
}

// addAll adds the texts that a rule gave for a value.
func (p *problems) addAll(msgs []string, loc ...string) {
	for _, msg := range msgs {
		p.add(msg, append(loc, all)...)
	}
}

// err is the 422 answer, nil where nothing is wrong.
func (p *problems) err() error {
	if len(p.items) == 0 {
		return nil
	}
	return unprocessable(p.items...)
}

const limitedCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// limited checks the rule for names, channels and the like.
func limited(s string) []string {
	switch {
	case s == "":
		return []string{"String must be at least one character"}
	case len(s) > 256:
		return []string{"String too long"}
	case strings.Trim(s, limitedCharacters) != "":
		return []string{`String must match the following pattern: [a-zA-Z0-9\-_.].`}
	}
	return nil
}

// uidRule checks the rule for uids of a kind whose ids have prefix.
func uidRule(prefix, uid string) []string {
	msgs := limited(uid)
	if strings.HasPrefix(uid, prefix) {
		msgs = append(msgs, "Uids are not allowed to have the same prefix as the ID. Prefix with _?")
	}
	return msgs
}

// firstLimited is the first complaint about an element of a set.
func firstLimited(set []string) []string {
	for _, s := range set {
		if msgs := limited(s); msgs != nil {
			return msgs
		}
	}
	return nil
}

// uid checks an optional uid.
func (p *problems) uid(o serde.Opt[string], prefix string) {
	if o.Has() {
		p.addAll(uidRule(prefix, o.Value), "uid")
	}
}

// text checks that a string has no control characters 0x00 to 0x08.
func (p *problems) text(o serde.Opt[string], loc string) {
	if strings.ContainsFunc(o.Value, func(r rune) bool { return r <= 8 }) {
		p.add("Control characters 0x00-0x08 not allowed.", loc)
	}
}

// atLeastOne checks an optional number.
func (p *problems) atLeastOne(o serde.Opt[int64], loc, msg string) {
	if o.Has() && o.Value < 1 {
		p.add(msg, loc)
	}
}

// set checks the size of an optional set with ok and, where that holds, its elements.
func (p *problems) set(o serde.Opt[[]string], ok bool, loc, msg string) {
	switch {
	case !o.Has():
	case !ok:
		p.add(msg, loc)
	default:
		p.addAll(firstLimited(o.Value), loc)
	}
}

// contains reports whether a sorted set has s.
func contains(set []string, s string) bool {
	_, found := slices.BinarySearch(set, s)
	return found
}
