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

// Check refuses a secret that cannot be that of an endpoint: any but "whsec_" followed by the
// padded standard base64 of 24 to 75 bytes. The error never shows the text.
func Check(secret string) error {
	key, err := Key(secret)
	if err == nil && (len(key) < minKey || len(key) > maxKey) {
		err = fmt.Errorf("its key is %d bytes long, want %d to %d", len(key), minKey, maxKey)
	}
	return err
}

// Key returns the key with which the holder of a secret signs. Other senders than a Svix server may
// have shorter and longer ones, but none that is empty. The error never shows the text.
//
// It is strict: the server refuses bits that base64 leaves unused, and Go's decoder would skip line
// breaks.
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
	case len(key) == 0:
		return nil, fmt.Errorf("nothing follows %q", prefix)
	}
	return key, nil
}
