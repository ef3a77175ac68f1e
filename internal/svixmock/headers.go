package svixmock

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// maxHeaderValue is the longest custom header value in bytes.
const maxHeaderValue = 4096

// maxHeaderName is the longest header name that the server's library takes.
const maxHeaderName = 1<<16 - 1

// sensitiveHeaders are shown by name only.
var sensitiveHeaders = []string{
	"x-auth-token", "x-api-key", "www-authenticate", "authorization", "proxy-authenticate", "proxy-authorization",
}

var forbiddenHeaders = []string{
	"user-agent", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
	"upgrade", "age", "cache-control", "clear-site-data", "expires", "pragma", "warning", "content-length",
	"content-type", "content-encoding", "content-language", "content-location",
}

// forbiddenHeaderPrefixes has one twice, as the server's list does: it is reported twice.
var forbiddenHeaderPrefixes = []string{
	"x-amz-", "x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-",
}

// headerNameRule checks the name of a custom header.
func headerNameRule(name string) (msgs []string) {
	name = strings.ToLower(name)
	if !isToken(name) || len(name) > maxHeaderName {
		msgs = append(msgs, "Invalid Header Name.")
	}
	if slices.Contains(forbiddenHeaders, name) {
		msgs = append(msgs, "Header uses a forbidden key.")
	}
	for _, prefix := range forbiddenHeaderPrefixes {
		if strings.HasPrefix(name, prefix) {
			msgs = append(msgs, "Header starts with a forbidden prefix.")
		}
	}
	return msgs
}

// isToken reports whether s may be a header name.
func isToken(s string) bool {
	const special = "!#$%&'*+-.^_`|~"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && (r > 127 || !strings.ContainsRune(special, r))
	})
}

// isHeaderValue reports whether the API accepts a header value, isVisible whether the server also
// sends it.
func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func isVisible(s string) bool {
	return isHeaderValue(s) && !strings.ContainsFunc(s, func(r rune) bool { return r > 127 })
}

// parseHeaders reads the headers of a PUT, whose rules are part of the reading.
var parseHeaders = serde.Checked(serde.Map(serde.String), func(headers map[string]string) error {
	var msgs []string
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		msgs = append(msgs, headerNameRule(name)...)
		if !isHeaderValue(headers[name]) {
			msgs = append(msgs, "Invalid Header Value.")
		}
		if len(headers[name]) > maxHeaderValue {
			msgs = append(msgs, "Maximum header length is 4096 bytes")
		}
	}
	if msgs == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", all, strings.Join(msgs, ", "))
})

func decodeHeaders(c *call) (map[string]string, error) {
	var headers serde.Opt[map[string]string]
	err := c.decode(serde.Struct{Name: "EndpointHeadersIn", Members: []serde.Member{
		serde.Required("headers", &headers, parseHeaders),
	}})
	return headers.Value, err
}

// headerPatch are the headers of a PATCH; null removes one.
type headerPatch map[string]serde.Opt[string]

// decodeHeaderPatch reads the headers of a PATCH, of which only the names are checked.
func decodeHeaderPatch(c *call) (headerPatch, error) {
	var headers serde.Opt[map[string]serde.Opt[string]]
	err := c.decode(serde.Struct{Name: "EndpointHeadersPatchIn", Members: []serde.Member{
		serde.Required("headers", &headers, serde.Map(serde.OptString)),
	}})
	if err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	for _, name := range slices.Sorted(maps.Keys(headers.Value)) {
		p.addAll(headerNameRule(name), "headers")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	for _, value := range headers.Value {
		if strings.ContainsRune(value.Value, 0) {
			return nil, errDatabase
		}
	}
	return headers.Value, nil
}

// poisons reports whether a value is stored that the server can then not read.
func (patch headerPatch) poisons() bool {
	for _, value := range patch {
		if !isHeaderValue(value.Value) || len(value.Value) > maxHeaderValue {
			return true
		}
	}
	return false
}

// headersOut are the custom headers in an answer.
type headersOut struct {
	Headers   map[string]string `json:"headers"`
	Sensitive []string          `json:"sensitive"`
}

func showHeaders(headers map[string]string) headersOut {
	out := headersOut{Headers: map[string]string{}, Sensitive: []string{}}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if slices.Contains(sensitiveHeaders, strings.ToLower(name)) {
			out.Sensitive = append(out.Sensitive, name)
		} else {
			out.Headers[name] = headers[name]
		}
	}
	return out
}

func getHeaders(_ *call, ep *endpoint) (answer, error) {
	return jsonAnswer(http.StatusOK, showHeaders(ep.settings.headers)), nil
}

func putHeaders(c *call, ep *endpoint, headers map[string]string) (answer, error) {
	ep.setHeaders(headers, c.now)
	return noContent, nil
}

// patchHeaders merges headers. A value that the PATCH of the real server does not check, though it
// cannot read it, makes the endpoint unusable, and with it its application's messages.
func (s *Server) patchHeaders(c *call, ep *endpoint, patch headerPatch) (answer, error) {
	headers := notNil(maps.Clone(ep.settings.headers))
	for name, value := range patch {
		if value.Null {
			delete(headers, name)
		} else {
			headers[name] = value.Value
		}
	}
	ep.setHeaders(headers, c.now)
	if patch.poisons() {
		ep.poison()
		s.log.Error(
			"the endpoint has a header value that no Svix server can read: requests about it, its application's "+
				"list of endpoints and every new message fail until the application is deleted",
			"endpoint",
			ep.id,
		)
		panic(http.ErrAbortHandler)
	}
	return noContent, nil
}

// setHeaders replaces the headers. The recipient cache is not told, so that deliveries may use the
// old ones for as long as it lasts.
func (ep *endpoint) setHeaders(headers map[string]string, now time.Time) {
	settings := *ep.settings
	settings.headers = headers
	ep.store(settings, now)
}

// poison makes an endpoint unreadable.
func (ep *endpoint) poison() {
	settings := *ep.settings
	settings.poisoned = true
	ep.settings = &settings
	ep.app.poisoned = true
}

// mustBeReadable drops the request if an endpoint of the application is unreadable.
func (a *app) mustBeReadable() {
	if a.poisoned {
		panic(http.ErrAbortHandler)
	}
}
