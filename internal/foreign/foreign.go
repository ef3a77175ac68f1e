// Package foreign makes texts that come from outside fit to be shown in an error, a log line or on
// a terminal: those of a server, of the network, of a file and of whoever named an endpoint.
//
// Such a text may be long, may break lines, steer a terminal or change the direction of writing,
// and may hold what nobody should see: the token that a server echoes, the secret of an endpoint,
// the password in a URL.
package foreign

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Redacted stands where something secret was.
const Redacted = "[redacted]"

// MaxText is the most bytes of a foreign text that are shown.
const MaxText = 300

var (
	// endpointSecret also finds secrets in which "+" and "/" are escaped.
	endpointSecret = regexp.MustCompile(`wh(sec|sk)_[^\s"'<>]+`)

	// userInfo is what stands before the host of an http URL, also in the forms with too few or too
	// many slashes that lenient parsers take.
	userInfo = regexp.MustCompile(`(?i)\b(https?:[/\\]*)[^\s"'<>/\\?#]*@`)

	authorization = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization:\s*\w+ )[^\s"'<>,;]+`)
)

// A Filter makes texts fit to be shown. The zero value knows no token.
type Filter struct {
	token *strings.Replacer // behind a pointer, and of a type that no verb of package fmt prints
}

// NewFilter returns a filter that takes out the tokens, too, as they are and as quoting or escaping
// them in a URL writes them.
func NewFilter(tokens ...string) Filter {
	var pairs []string
	for _, token := range tokens {
		if token == "" {
			continue
		}
		quoted := strconv.Quote(token)
		for _, form := range []string{token, quoted[1 : len(quoted)-1], url.QueryEscape(token), url.PathEscape(token)} {
			pairs = append(pairs, form, Redacted)
		}
	}
	return Filter{token: strings.NewReplacer(pairs...)}
}

// Text returns a text in one line of at most [MaxText] bytes, without secrets and with nothing that
// does not print.
func (f Filter) Text(text string) string { return shorten(f.line(text), MaxText) }

func (f Filter) line(text string) string {
	if f.token != nil {
		text = f.token.Replace(text)
	}
	text = endpointSecret.ReplaceAllString(text, Redacted)
	text = authorization.ReplaceAllString(text, "${1}"+Redacted)
	text = userInfo.ReplaceAllString(text, "${1}"+Redacted+"@")
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}

// Error returns an error with the text of err made fit to be shown, in at most ten times [MaxText]
// bytes, in which [errors.Is] and [errors.As] find what they find in err. A nil err is returned as
// it is.
func (f Filter) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	shown := shorten(f.line(text), 10*MaxText)
	if shown == text {
		return err
	}
	return &shownError{text: shown, cause: err}
}

// A shownError has no Unwrap: whoever walks through the causes and shows each must not show this
// one.
type shownError struct {
	text  string
	cause error
}

func (e *shownError) Error() string        { return e.text }
func (e *shownError) Is(target error) bool { return errors.Is(e.cause, target) }
func (e *shownError) As(target any) bool   { return errors.As(e.cause, target) }

// Printable returns a text with U+FFFD in place of what does not print: a line break, the escape
// sequence of a terminal, what changes the direction of writing.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// Quote returns a name or URL as it can be shown: as it is if that is harmless, else quoted, at
// most [MaxText] bytes of it, without secrets and passwords.
func Quote(text string) string {
	text = endpointSecret.ReplaceAllString(text, Redacted)
	text = shorten(userInfo.ReplaceAllString(text, "${1}"+Redacted+"@"), MaxText)
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, needsQuotes) {
		return strconv.Quote(text)
	}
	return text
}

func needsQuotes(r rune) bool { return !unicode.IsGraphic(r) || r == '"' || unicode.IsSpace(r) }

// shorten cuts a text to at most limit bytes, at the end of a character.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const dots = "..."
	end := limit - len(dots)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + dots
}
