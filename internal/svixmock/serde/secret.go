package serde

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

// Prefixes of the text forms of signing keys.
const (
	SymmetricPrefix  = "whsec_"
	AsymmetricPrefix = "whsk_"
	PublicPrefix     = "whpk_"
)

// Key is a signing key: an HMAC key, or an ed25519 private key (seed and public key).
type Key struct {
	Bytes      []byte
	Asymmetric bool
}

// Secret reads the text form of a signing key.
func Secret(d *decoder) (Key, error) {
	text, err := String(d)
	if err != nil {
		return Key{}, err
	}
	key, err := parseSecret(text)
	if err != nil {
		return Key{}, d.fail("%s", err)
	}
	return key, nil
}

// reason is an error in the words of the server, which are not those of Go.
type reason string

func (r reason) Error() string { return string(r) }

func parseSecret(text string) (Key, error) {
	if encoded, ok := strings.CutPrefix(text, SymmetricPrefix); ok {
		key, err := decodeBase64(encoded)
		return Key{Bytes: key}, err
	}
	encoded, ok := strings.CutPrefix(text, AsymmetricPrefix)
	if !ok {
		return Key{}, reason("invalid prefix")
	}
	key, err := decodeBase64(encoded)
	switch {
	case err != nil:
		return Key{}, reason("Failed parsing base64")
	case len(key) != ed25519.PrivateKeySize:
		return Key{}, reason("Failed parsing key.")
	}
	return Key{Bytes: key, Asymmetric: true}, nil
}

// decodeBase64 decodes standard base64 with its padding, whose unused bits must be zero.
func decodeBase64(text string) ([]byte, error) {
	last := max(len(text)-1, 0) / 4 * 4 // where the last group of four begins
	if i := strings.IndexFunc(text[:last], func(r rune) bool { return !isBase64(r) }); i >= 0 {
		return nil, badSymbol(text, i)
	}
	group := text[last:]
	digits := strings.TrimRight(group, "=")
	for i, r := range digits {
		switch {
		case r == '=':
			return nil, badSymbol(text, last+strings.IndexByte(digits, '='))
		case !isBase64(r):
			return nil, badSymbol(text, last+i)
		}
	}
	switch {
	case len(digits) < 2 && len(digits) < len(group):
		return nil, badSymbol(text, last+len(digits))
	case len(digits) == 1:
		return nil, reason(fmt.Sprintf("Invalid input length: %d", len(text)))
	case len(group)%4 != 0:
		return nil, reason("Invalid padding")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		at := last + len(digits) - 1
		return nil, reason(fmt.Sprintf("Invalid last symbol %d, offset %d.", text[at], at))
	}
	return key, nil
}

func badSymbol(text string, at int) error {
	return reason(fmt.Sprintf("Invalid symbol %d, offset %d.", text[at], at))
}

func isBase64(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '+' || r == '/'
}
