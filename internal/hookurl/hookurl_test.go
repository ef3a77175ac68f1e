package hookurl_test

import (
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/hookurl"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://hooks.example.org", "http://127.0.0.1:8080/hook?a=b#c", " https://example.org ", "https:example.org",
		"https://example.org/%zz", "https://example.org/100%", "HTTPS://EXAMPLE.ORG:443/a/../b",
		"https://münchen.example/",
		"https://swh:hunter2@example.org", "http://[::1]/",
	} {
		if err := hookurl.Check(good); err != nil {
			t.Errorf("Check(%q): %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "example.org", "/hook", "ftp://example.org", "https://", "http:///",
		"https://exa mple.org/", "https://example.org:99999",
		"https://example.org/caf\xe9", "javascript:alert(1)", "https://[::1",
		"https://example.org/" + strings.Repeat("a", 1<<20),
	} {
		err := hookurl.Check(bad)
		if err == nil {
			t.Errorf("Check(%.40q) takes it", bad)
			continue
		}
		if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("Check(%.40q) shows it: %v", bad, err)
		}
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{
		{"https://hooks.example.org", "https://hooks.example.org/"},
		{"HTTPS://Hooks.Example.org:443/a/./b/../c", "https://hooks.example.org/a/c"},
		{"https://münchen.example", "https://xn--mnchen-3ya.example/"},
		{" http://127.1/ ", "http://127.0.0.1/"},
		{"not a URL", "not a URL"},
	} {
		if !hookurl.Same(same[0], same[1]) || !hookurl.Same(same[1], same[0]) {
			t.Errorf("%q and %q differ", same[0], same[1])
		}
	}
	for _, other := range [][2]string{
		{"https://example.org/a", "https://example.org/a/"},
		{"https://example.org", "http://example.org"},
		{"https://example.org/?a", "https://example.org/"},
		{"not a URL", "neither is this"},
	} {
		if hookurl.Same(other[0], other[1]) {
			t.Errorf("%q and %q are the same", other[0], other[1])
		}
	}
}

func TestOtherSpelling(t *testing.T) {
	t.Parallel()
	for spelling, other := range map[string]string{
		"https://example.org":             "https://example.org/",
		"https://example.org:8443/":       "https://example.org:8443",
		"HTTP://example.org?channel=a":    "HTTP://example.org/?channel=a",
		"http://swh@example.org/#section": "http://swh@example.org#section",
	} {
		if got, ok := hookurl.OtherSpelling(spelling); !ok || got != other {
			t.Errorf("OtherSpelling(%q) = %q, %v, want %q", spelling, got, ok, other)
		}
		if !hookurl.Same(spelling, other) {
			t.Errorf("%q and %q differ", spelling, other)
		}
	}
	for _, none := range []string{
		"https://example.org/hook", "https://example.org/hook/", "",
		"https:example.org", "ftp://example.org",
	} {
		if got, ok := hookurl.OtherSpelling(none); ok {
			t.Errorf("OtherSpelling(%q) = %q", none, got)
		}
	}
}
