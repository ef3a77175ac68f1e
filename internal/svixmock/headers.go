package svixmock

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// maxHeaderValue is the longest custom header value in bytes.
const maxHeaderValue = 4096

// sensitiveHeaders are shown by name only.
var sensitiveHeaders = []string{
	"x-auth-token", "x-api-key", "www-authenticate", "authorization", "proxy-authenticate", "proxy-authorization",
}

var forbiddenHeaders = []string{
	"user-agent", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
	"upgrade", "age", "cache-control", "clear-site-data", "expires", "pragma", "warning", "content-length",
	"content-type", "content-encoding", "content-language", "content-location",
}

var forbiddenHeaderPrefixes = []string{
	"x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-",
}

// headerNameRule checks the name of a custom header.
func headerNameRule(name string) (msgs []string) {
	name = strings.ToLower(name)
	if !isToken(name) {
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

// isHeaderValue reports whether the API accepts a header value, isVisible whether the server also sends it.
func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func isVisible(s string) bool {
	return isHeaderValue(s) && !strings.ContainsFunc(s, func(r rune) bool { return r > 127 })
}

// parseHeaders reads the headers of a PUT, whose rules are part of parsing.
func parseHeaders(d *decoder) (map[string]string, error) {
	headers, err := parseMap(parseString)(d)
	if err != nil {
		return nil, err
	}
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
	if msgs != nil {
		return nil, d.fail("%s: %s", all, strings.Join(msgs, ", "))
	}
	return headers, nil
}

// decodeHeaderPatch reads the headers of a PATCH, of which only the names are checked.
func decodeHeaderPatch(c *call) (map[string]opt[string], error) {
	var headers opt[map[string]opt[string]]
	if err := decodeBody(c, required("headers", &headers, parseMap(parseOptString))); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	for _, name := range slices.Sorted(maps.Keys(headers.value)) {
		p.addAll(headerNameRule(name), "headers")
	}
	return headers.value, p.err()
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

func (s *Server) getHeaders(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, showHeaders(ep.settings.headers)), nil
}

func (s *Server) putHeaders(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	var headers opt[map[string]string]
	if err := decodeBody(c, required("headers", &headers, parseHeaders)); err != nil {
		return answer{}, err
	}
	return s.changeHeaders(a, c, func(map[string]string) map[string]string { return headers.value })
}

func (s *Server) patchHeaders(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	patch, err := decodeHeaderPatch(c)
	if err != nil {
		return answer{}, err
	}
	return s.changeHeaders(a, c, func(old map[string]string) map[string]string {
		headers := notNil(maps.Clone(old))
		for name, value := range patch {
			if value.null {
				delete(headers, name)
			} else {
				headers[name] = value.value
			}
		}
		return headers
	})
}

// changeHeaders replaces the headers of the endpoint that the path names. The recipient cache is not told, so
// deliveries may use the old ones for as long as it lasts.
func (s *Server) changeHeaders(a *app, c *call, change func(map[string]string) map[string]string) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	settings := *ep.settings
	settings.headers = change(settings.headers)
	ep.store(settings, c.now)
	return noContent, nil
}
