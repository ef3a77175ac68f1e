// Package hookurl knows which URLs an endpoint can have and when two texts are the same URL, by the
// rules of browsers (https://url.spec.whatwg.org), which a Svix server follows: it stores
// "https://Example.org:443" as "https://example.org/".
package hookurl

import (
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// maxLength is far beyond any URL, and such that a request with it stays below the server's limit.
const maxLength = 1 << 20 // bytes

var errNotAbsolute = errors.New("not an absolute http or https URL")

// Check refuses a text that the server would not take as the URL of an endpoint: one that is not an
// absolute http or https URL with a host. The error does not show the text.
func Check(raw string) error {
	switch {
	case len(raw) > maxLength:
		return fmt.Errorf("longer than %d bytes", maxLength)
	case !utf8.ValidString(raw):
		return errors.New("not valid UTF-8")
	}
	u, err := whatwg.Parse(raw)
	if err != nil {
		return errNotAbsolute // the library's text quotes it
	}
	if scheme := u.Scheme(); scheme != "http" && scheme != "https" {
		return errNotAbsolute
	}
	return nil
}

// Same reports whether two texts are the same URL to the server.
func Same(a, b string) bool { return a == b || normalised(a) == normalised(b) }

func normalised(raw string) string {
	u, err := whatwg.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Href(false)
}

// emptyPath matches a URL whose path is empty or a slash.
var emptyPath = regexp.MustCompile(`^(?i)(https?://[^/?#\\]+)(/?)([?#].*)?$`)

// OtherSpelling returns a URL without the slash that is its path, or with it if the path is empty.
// Both name the same, and the server lists the one as the other. Of any other URL there is none.
func OtherSpelling(raw string) (other string, ok bool) {
	m := emptyPath.FindStringSubmatch(raw)
	switch {
	case m == nil:
		return "", false
	case m[2] == "":
		return m[1] + "/" + m[3], true
	default:
		return m[1] + m[3], true
	}
}
