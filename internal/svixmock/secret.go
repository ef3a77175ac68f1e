package svixmock

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

const (
	// maxOldKeys is how many unexpired old keys an endpoint may have.
	maxOldKeys = 10

	defaultGrace = 24 * 60 * 60 // seconds
	maxGrace     = 7 * defaultGrace
)

// oldKey is a rotated key that still signs until it expires.
type oldKey struct {
	serde.Key
	expires time.Time
}

// drawKey draws a key as the server does if the request brings none.
func drawKey() serde.Key { return serde.Key{Bytes: randomKey(24)} }

// keyRule says what is wrong with a key that could be decoded.
func keyRule(k serde.Key) []string {
	if k.Asymmetric {
		derived := ed25519.NewKeyFromSeed(k.Bytes[:ed25519.SeedSize])
		if !slices.Equal(derived, k.Bytes) {
			return []string{"Invalid key, failed signing test msg"}
		}
		return nil
	}
	if len(k.Bytes) < 24 || len(k.Bytes) > 75 {
		return []string{"secret length invalid"}
	}
	return nil
}

// publicText is the text form that the API shows: of an asymmetric key only the public half.
func publicText(k serde.Key) string {
	if k.Asymmetric {
		return serde.PublicPrefix + encodeKey(k.Bytes[ed25519.SeedSize:])
	}
	return serde.SymmetricPrefix + encodeKey(k.Bytes)
}

// signWith is the signature header's token for content.
func signWith(k serde.Key, content []byte) string {
	if k.Asymmetric {
		return "v1a," + encodeKey(ed25519.Sign(k.Bytes, content))
	}
	mac := hmac.New(sha256.New, k.Bytes)
	mac.Write(content)
	return "v1," + encodeKey(mac.Sum(nil))
}

// signature is the signature header: the current key's token, then those of the unexpired old keys.
func (set *endpointSettings) signature(content []byte, now time.Time) string {
	tokens := []string{signWith(set.key, content)}
	for _, old := range set.oldKeys {
		if old.expires.After(now) {
			tokens = append(tokens, signWith(old.Key, content))
		}
	}
	return strings.Join(tokens, " ")
}

// rotated are the settings after a rotation. The current key stays valid for grace.
func (set *endpointSettings) rotated(
	next serde.Key,
	grace time.Duration,
	now time.Time,
) (endpointSettings, error) {
	old := append(slices.Clone(set.oldKeys), oldKey{set.key, now.Add(grace)})
	old = slices.DeleteFunc(old, func(k oldKey) bool { return !k.expires.After(now) })
	slices.SortStableFunc(old, func(a, b oldKey) int { return a.expires.Compare(b.expires) })
	if len(old) > maxOldKeys {
		return endpointSettings{}, failWith(http.StatusBadRequest, "limit_reached", fmt.Sprintf(
			"You can only rotate a key %d times; please wait for old keys to expire. Your next key expires at %s.",
			maxOldKeys,
			spacedTime(old[0].expires),
		))
	}
	settings := *set
	settings.key = next
	settings.oldKeys = old
	return settings, nil
}

// rotation is the body of a rotation.
type rotation struct {
	key   serde.Opt[serde.Key]
	grace serde.Opt[int64]
}

func decodeRotation(c *call) (*rotation, error) {
	in := new(rotation)
	err := c.decode(serde.Struct{Name: "EndpointSecretRotateIn", Lenient: true, Members: []serde.Member{
		serde.Nullable("key", &in.key, serde.Secret),
		serde.Nullable("gracePeriodSeconds", &in.grace, serde.Int("u32", 0, 1<<32-1)),
	}})
	if err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	if in.key.Has() {
		p.addAll(keyRule(in.key.Value), "key")
	}
	if in.grace.Value > maxGrace {
		p.add("Duration must be between 0 and 7 days", "grace_period_seconds")
	}
	return in, p.err()
}

func getSecret(_ *call, ep *endpoint) (answer, error) {
	return jsonAnswer(http.StatusOK, struct {
		Key string `json:"key"`
	}{publicText(ep.settings.key)}), nil
}

func rotateSecret(c *call, ep *endpoint, in *rotation) (answer, error) {
	next := in.key.Value
	if !in.key.Has() {
		next = drawKey()
	}
	grace := time.Duration(in.grace.Or(defaultGrace)) * time.Second
	settings, err := ep.settings.rotated(next, grace, c.now)
	if err != nil {
		return answer{}, err
	}
	return noContent, ep.change(settings, c.now)
}
