package foreign_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/softwareheritage/webhooks/internal/foreign"
)

const token = `eyJhbGciOiJIUzI1NiJ9.not+a/real"token` //nolint:gosec // it opens nothing

func TestSecretsAreTakenOut(t *testing.T) {
	t.Parallel()
	filter := foreign.NewFilter(token, "")
	for text, want := range map[string]string{ //nolint:gosec // they open nothing
		"token " + token + " is wrong":                              "token [redacted] is wrong",
		fmt.Sprintf("malformed HTTP status code %q", token):         `malformed HTTP status code "[redacted]"`,
		"GET /?t=eyJhbGciOiJIUzI1NiJ9.not%2Ba%2Freal%22token":       "GET /?t=[redacted]",
		"url: http://swh:hunter2@hooks.example.org is down":         "url: http://[redacted]@hooks.example.org is down",
		"https:swh:hunter2@hooks.example.org":                       "https:[redacted]@hooks.example.org",
		`HTTP:\\swh:hunter2@hooks.example.org`:                      `HTTP:\\[redacted]@hooks.example.org`,
		"https://swh:hunter@2@hooks.example.org/@home":              "https://[redacted]@hooks.example.org/@home",
		"https://forge.example.org/@swh/repository":                 "https://forge.example.org/@swh/repository",
		"key: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsk_Zm9v%2B": "key: [redacted] [redacted]",
		"unexpected header Authorization: Bearer another-token": "unexpected header " +
			"Authorization: Bearer [redacted]",
		"a\r\nSet-Cookie: b\x1b[31m\u202e\u200b\u0000\u2028c": "a Set-Cookie: b [31m c",
		"caf\xe9": "caf\uFFFD",
		"nothing to hide in swh:1:dir:4b825dc642c": "nothing to hide in swh:1:dir:4b825dc642c",
	} {
		if got := filter.Text(text); got != want {
			t.Errorf("Text(%q) =\n%q, want\n%q", text, got, want)
		}
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	filter := foreign.NewFilter(token)
	err := filter.Error(fmt.Errorf("malformed line %q: %w", token, io.ErrUnexpectedEOF))
	if got, want := err.Error(), `malformed line "[redacted]": unexpected EOF`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got := filter.Error(io.EOF); got != io.EOF { //nolint:errorlint // the very same error
		t.Errorf("a harmless error became %v", got)
	}
	if filter.Error(nil) != nil {
		t.Error("no error became one")
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"origin.create":                        "origin.create",
		"":                                     `""`,
		"two words":                            `"two words"`,
		"\x1b[2J":                              `"\x1b[2J"`,
		"https://swh:hunter2@example.org/hook": "https://[redacted]@example.org/hook",
		"caf\xe9":                              `"caf\xe9"`,
		"münchen":                              "münchen",
		strings.Repeat("é", 200):               strings.Repeat("é", 148) + "...",
	} {
		if got := foreign.Quote(text); got != want {
			t.Errorf("Quote(%q) = %s, want %s", text, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("https://swh:hunter2@example.org/\x1b[31m\u202e" + token)
	f.Add("caf\xe9\r\n" + strings.Repeat("é", 400))
	f.Fuzz(func(t *testing.T, text string) {
		for _, shown := range []string{
			foreign.NewFilter(token).Text(text),
			foreign.NewFilter(token).Error(errors.New(text)).Error(),
		} {
			switch {
			case len(shown) > 10*foreign.MaxText, !utf8.ValidString(shown):
				t.Errorf("%d bytes: %q", len(shown), shown)
			case strings.Contains(shown, token):
				t.Errorf("shows the token: %q", shown)
			case strings.ContainsFunc(shown, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }):
				t.Errorf("does not print: %q", shown)
			}
		}
	})
}
