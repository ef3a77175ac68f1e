package svixmock

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	symmetricPrefix  = "whsec_"
	asymmetricPrefix = "whsk_"
	publicPrefix     = "whpk_"

	// maxOldKeys is how many unexpired old keys an endpoint may have.
	maxOldKeys = 10

	defaultGrace = 24 * 60 * 60 // seconds
	maxGrace     = 7 * defaultGrace
)

// secret is a signing key: an HMAC key, or an ed25519 private key (seed and public key).
type secret struct {
	key        []byte
	asymmetric bool
}

// oldKey is a rotated key that still signs until it expires.
type oldKey struct {
	secret
	expires time.Time
}

// drawKey draws a key as the server does where the request brings none.
func drawKey() secret {
	return secret{key: randomKey(24)}
}

// parseSecret reads the text form of a secret.
func parseSecret(d *decoder) (secret, error) {
	text, err := parseString(d)
	if err != nil {
		return secret{}, err
	}
	encoded, asymmetric := strings.CutPrefix(text, asymmetricPrefix)
	if !asymmetric {
		var symmetric bool
		if encoded, symmetric = strings.CutPrefix(text, symmetricPrefix); !symmetric {
			return secret{}, d.fail("invalid prefix")
		}
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return secret{}, d.fail("invalid base64")
	}
	if asymmetric && len(key) != ed25519.PrivateKeySize {
		return secret{}, d.fail("invalid key length")
	}
	return secret{key: key, asymmetric: asymmetric}, nil
}

// complaints says what is wrong with a key that could be decoded.
func (k secret) complaints() []string {
	if k.asymmetric {
		derived := ed25519.NewKeyFromSeed(k.key[:ed25519.SeedSize])
		if !slices.Equal(derived, k.key) {
			return []string{"Invalid key, failed signing test msg"}
		}
		return nil
	}
	if len(k.key) < 24 || len(k.key) > 75 {
		return []string{"secret length invalid"}
	}
	return nil
}

// public is the text form that the API shows: of an asymmetric key only the public half.
func (k secret) public() string {
	if k.asymmetric {
		return publicPrefix + encodeKey(k.key[ed25519.SeedSize:])
	}
	return symmetricPrefix + encodeKey(k.key)
}

// sign is the signature header's token for content.
func (k secret) sign(content []byte) string {
	if k.asymmetric {
		return "v1a," + encodeKey(ed25519.Sign(k.key, content))
	}
	mac := hmac.New(sha256.New, k.key)
	mac.Write(content)
	return "v1," + encodeKey(mac.Sum(nil))
}

// signature is the signature header: the current key's token, then those of the unexpired old keys.
func (set *endpointSettings) signature(content []byte, now time.Time) string {
	tokens := []string{set.key.sign(content)}
	for _, old := range set.oldKeys {
		if old.expires.After(now) {
			tokens = append(tokens, old.sign(content))
		}
	}
	return strings.Join(tokens, " ")
}

// rotated are the settings after a rotation. The current key stays valid for grace.
func (set *endpointSettings) rotated(next secret, grace time.Duration, now time.Time) (endpointSettings, error) {
	old := append(slices.Clone(set.oldKeys), oldKey{set.key, now.Add(grace)})
	old = slices.DeleteFunc(old, func(k oldKey) bool { return !k.expires.After(now) })
	slices.SortStableFunc(old, func(a, b oldKey) int { return a.expires.Compare(b.expires) })
	if len(old) > maxOldKeys {
		return endpointSettings{}, failWith(http.StatusBadRequest, "limit_reached", fmt.Sprintf(
			"You can only rotate a key %d times; please wait for old keys to expire. Your next key expires at %s.",
			maxOldKeys, spacedTime(old[0].expires)))
	}
	settings := *set
	settings.key = next
	settings.oldKeys = old
	return settings, nil
}

// rotateIn is the body of a rotation.
type rotateIn struct {
	key   opt[secret]
	grace opt[int64]
}

func decodeRotation(c *call) (*rotateIn, error) {
	in := new(rotateIn)
	err := decodeBody(c,
		nullable("key", &in.key, parseSecret),
		nullable("gracePeriodSeconds", &in.grace, parseInt("u32", 0, 1<<32-1)))
	if err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	if in.key.has() {
		p.addAll(in.key.value.complaints(), "key")
	}
	if in.grace.value > maxGrace {
		p.add("Duration must be between 0 and 7 days", "grace_period_seconds")
	}
	return in, p.err()
}

func (s *Server) getSecret(c *call) (answer, error) {
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
	return jsonAnswer(http.StatusOK, struct {
		Key string `json:"key"`
	}{ep.settings.key.public()}), nil
}

func (s *Server) rotateSecret(c *call) (answer, error) {
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeRotation(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ep, err := endpointOf(a, c)
	if err != nil {
		return answer{}, err
	}
	next := in.key.value
	if !in.key.has() {
		next = drawKey()
	}
	grace := time.Duration(in.grace.or(defaultGrace)) * time.Second
	settings, err := ep.settings.rotated(next, grace, c.now)
	if err != nil {
		return answer{}, err
	}
	return noContent, ep.change(settings, c.now)
}
