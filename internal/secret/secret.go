// Package secret knows what the secret of an endpoint looks like.
package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	prefix = "whsec_"

	minKey = 24 // bytes, the least and the most that a Svix server accepts
	maxKey = 75
)

// Check refuses a text that is not "whsec_" followed by the padded standard
// base64 of 24 to 75 bytes. The error never shows the text.
func Check(secret string) error {
	_, err := Key(secret)
	return err
}

// Key returns the key with which the holder of a secret signs; an error is that
// of [Check].
//
// It is strict: the server refuses bits that base64 leaves unused, and Go's
// decoder would skip line breaks.
func Key(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, prefix)
	switch {
	case !ok:
		return nil, fmt.Errorf("it does not begin with %q", prefix)
	case strings.ContainsAny(text, "\r\n"):
		return nil, errors.New("it has a line break")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("what follows %q is not padded standard base64", prefix)
	case len(key) < minKey || len(key) > maxKey:
		return nil, fmt.Errorf("its key is %d bytes long, want %d to %d", len(key), minKey, maxKey)
	}
	return key, nil
}
