package svixmock_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// recordedRequest is a request of the recordings.
type recordedRequest struct {
	Method  string          `json:"method"`
	Path    string          `json:"path"`
	Body    *string         `json:"body"`
	Body64  []byte          `json:"body64"`
	Raw     string          `json:"raw"`
	Raw64   []byte          `json:"raw64"`
	Token   json.RawMessage `json:"token"`
	Headers [][2]any        `json:"headers"` // name, and a text, several or null
}

// bytes are what is sent.
func (r recordedRequest) bytes(t *testing.T, p *player) []byte {
	t.Helper()
	switch {
	case r.Raw64 != nil:
		return r.Raw64
	case r.Raw != "":
		return []byte(p.fill(r.Raw))
	}
	body := r.Body64
	if r.Body != nil {
		body = []byte(p.fill(*r.Body))
	}
	hasBody := r.Body != nil || r.Body64 != nil
	headers := [][2]string{{"Host", p.host}}
	if token := r.token(t, p); token != "" {
		headers = append(headers, [2]string{"Authorization", "Bearer " + token})
	}
	if hasBody {
		headers = append(headers, [2]string{"Content-Type", "application/json"})
	}
	if hasBody || strings.HasPrefix(r.Method, "P") {
		headers = append(headers, [2]string{"Content-Length", strconv.Itoa(len(body))})
	}
	for _, h := range r.Headers {
		headers = r.replace(headers, h, p)
	}
	headers = append(headers, [2]string{"Connection", "close"})
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, p.fill(r.Path))
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// replace puts a header of the recording in the place of the one with the same name.
func (r recordedRequest) replace(headers [][2]string, h [2]any, p *player) [][2]string {
	name := h[0].(string)
	var kept [][2]string
	for _, old := range headers {
		if old[0] != name {
			kept = append(kept, old)
		}
	}
	values, isList := h[1].([]any)
	if !isList && h[1] != nil {
		values = []any{h[1]}
	}
	for _, value := range values {
		kept = append(kept, [2]string{name, p.fill(value.(string))})
	}
	return kept
}

// signing says how a token of the recordings is made.
type signing struct {
	Claims any            `json:"claims"` // an object in most cases
	Alg    string         `json:"alg"`
	Header map[string]any `json:"header"`
	Key    string         `json:"key"`
	Edit   string         `json:"edit"`
	Secret bool           `json:"secret"`
}

func (r recordedRequest) token(t *testing.T, p *player) string {
	t.Helper()
	if r.Token == nil {
		return p.mock.Token()
	}
	var text string
	if err := json.Unmarshal(r.Token, &text); err == nil {
		return p.fill(text)
	}
	var s signing
	if err := json.Unmarshal([]byte(p.fill(string(r.Token))), &s); err != nil {
		t.Fatal(err)
	}
	if s.Secret {
		return secret
	}
	return s.token(p.clock.now())
}

// token signs.
func (s signing) token(now time.Time) string {
	claims, _ := s.Claims.(map[string]any)
	for name, value := range claims {
		if object, ok := value.(map[string]any); ok {
			if offset, ok := object["$now"].(float64); ok {
				claims[name] = now.Unix() + int64(offset)
			}
		}
	}
	alg := s.Alg
	if alg == "" {
		alg = "HS256"
	}
	header := map[string]any{"alg": alg, "typ": "JWT"}
	if s.Header != nil {
		header = s.Header
	}
	encode := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(jsonText(v))) }
	content := encode(header) + "." + encode(s.Claims)
	key := s.Key
	if key == "" {
		key = secret
	}
	hashes := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	var signature string
	if h := hashes[alg]; h != nil {
		mac := hmac.New(h, []byte(key))
		mac.Write([]byte(content))
		signature = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return content + "." + s.edit(signature)
}

func (s signing) edit(signature string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(signature) - 1
	switch s.Edit {
	case "pad":
		return signature + "="
	case "cut":
		return signature[:last]
	case "lastbit":
		return signature[:last] + string(digits[strings.IndexByte(digits, signature[last])+1])
	}
	return signature
}

var runID = uuid.NewString()

var offset = regexp.MustCompile(`\{now([+-]\d+)\}`)

// fill replaces the placeholders of a request.
func (p *player) fill(text string) string {
	text = strings.NewReplacer("{org}", "org_23rb8YdGqMT0qIzpgGwdXfHirMu", "{run}", runID, "{host}", p.host,
		"{token}", p.mock.Token(), "{receiver}", p.receiver).Replace(text)
	text = offset.ReplaceAllStringFunc(text, func(s string) string {
		seconds, err := strconv.Atoi(offset.FindStringSubmatch(s)[1])
		if err != nil {
			return s
		}
		return p.clock.now().Add(time.Duration(seconds) * time.Second).UTC().Format(time.RFC3339)
	})
	return placeholder.ReplaceAllStringFunc(text, func(s string) string {
		if bound, ok := p.bindings[s]; ok {
			return bound
		}
		return s
	})
}
