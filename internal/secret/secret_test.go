package secret_test

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks/internal/secret"
)

func TestKeyReturnsTheKey(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 18, 23, 24, 25, 26, 32, 64, 75, 76, 4096} {
		want := bytes.Repeat([]byte{0xfb}, size) // base64 with + and /
		got, err := secret.Key("whsec_" + base64.StdEncoding.EncodeToString(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("key of %d bytes: got %x, %v; want %x", size, got, err, want)
		}
	}
}

func TestCheckBoundsTheKey(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{1: false, 23: false, 24: true, 32: true, 75: true, 76: false, 4096: false} {
		err := secret.Check("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, size)))
		if (err == nil) != ok {
			t.Errorf("key of %d bytes: got %v, want success: %v", size, err, ok)
		}
	}
}

func TestKeyRefuses(t *testing.T) {
	t.Parallel()
	letters := strings.Repeat("a", 32)
	encoded := func(size int) string { return base64.StdEncoding.EncodeToString(make([]byte, size)) }
	tests := map[string]string{
		"empty":                    "",
		"prefix alone":             "whsec_",
		"no prefix":                letters,
		"prefix in upper case":     "WHSEC_" + letters,
		"asymmetric":               "whsk_" + encoded(64),
		"blank before":             " whsec_" + letters,
		"line break after":         "whsec_" + letters + "\n",
		"line break inside":        "whsec_" + letters[:16] + "\r\n" + letters[16:],
		"33 letters":               "whsec_" + letters + "a",
		"34 letters, no padding":   "whsec_" + letters + "aa",
		"unused bits set":          "whsec_" + letters + "ab==",
		"padding in the middle":    "whsec_" + letters[:30] + "==" + letters,
		"URL alphabet":             "whsec_" + letters[:31] + "-",
		"not ASCII":                "whsec_" + letters[:30] + "é",
		"NUL":                      "whsec_" + letters[:31] + "\x00",
		"two secrets with a blank": "whsec_" + letters + " whsec_" + letters,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := secret.Key(text)
			if err == nil || key != nil {
				t.Fatalf("Key(%q) = %x, %v; want an error", text, key, err)
			}
			if secret.Check(text) == nil {
				t.Errorf("Check(%q) = nil; want an error", text)
			}
			if strings.Contains(err.Error(), "aaaa") || strings.Contains(err.Error(), "AAAA") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// What passes here must pass the expression of the Python module, since one deployment may use the
// secrets of the other, and be the only text of its key.
func TestCheckAcceptsOnlyWhatPythonAccepts(t *testing.T) {
	t.Parallel()
	python := regexp.MustCompile(`\Awhsec_[a-zA-Z0-9+/=]{32,100}\z`)
	rapid.Check(t, func(t *rapid.T) {
		text := "whsec_" + rapid.StringMatching(`[a-zA-Z0-9+/]{30,104}[=]{0,2}[\n]?`).Draw(t, "text")
		key, err := secret.Key(text)
		if err != nil || secret.Check(text) != nil {
			return
		}
		if !python.MatchString(text) {
			t.Fatalf("accepted %q", text)
		}
		if again := "whsec_" + base64.StdEncoding.EncodeToString(key); again != text {
			t.Fatalf("%q and %q have the same key", text, again)
		}
	})
}
