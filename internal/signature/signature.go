// Package signature knows how a webhook is signed and what its headers claim:
// the scheme that Svix publishes as Standard Webhooks.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	version = "v1,"

	maxMessageID = 256 // bytes, the most of any identifier of a Svix server
)

// Sign returns the signature of a delivery. It takes the timestamp as the header
// has it: that text is what is signed.
func Sign(key []byte, messageID, timestamp string, body []byte) []byte {
	buf := make([]byte, 0, 128) // one allocation for the identifiers of a Svix server
	buf = append(buf, messageID...)
	buf = append(buf, '.')
	buf = append(buf, timestamp...)
	buf = append(buf, '.')
	mac := hmac.New(sha256.New, key)
	mac.Write(buf)
	mac.Write(body)
	return base64.StdEncoding.AppendEncode([]byte(version), mac.Sum(buf[:0]))
}

// Verify refuses a delivery whose headers do not prove that a holder of the key signed the body, no
// further than tolerance from now.
func Verify(key []byte, header http.Header, body []byte, tolerance time.Duration) error {
	claim, err := Parse(header)
	if err != nil {
		return err
	}
	if err := claim.CheckAge(tolerance); err != nil {
		return err
	}
	return claim.CheckSignature([][]byte{key}, body)
}

// A Claim is what the headers of a delivery say, before it is proven.
type Claim struct {
	MessageID string
	Sent      time.Time // UTC, to the second

	timestamp  string   // as in the header
	signatures []string // the header's lines
}

// headerNames are those of message id, timestamp and signatures. A server sends
// the one family or the other.
type headerNames [3]string

var (
	svix       = headerNames{"Svix-Id", "Svix-Timestamp", "Svix-Signature"}
	whiteLabel = headerNames{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}
)

func (names headerNames) missing(header http.Header) []string {
	var missing []string
	for _, name := range names {
		if header.Get(name) == "" {
			missing = append(missing, name)
		}
	}
	return missing
}

// Parse reads the headers of a delivery: those named Svix-..., or those named
// Webhook-... if fewer of them are missing.
func Parse(header http.Header) (Claim, error) {
	names, missing := svix, svix.missing(header)
	if len(missing) > 0 {
		if m := whiteLabel.missing(header); len(m) < len(missing) {
			names, missing = whiteLabel, m
		}
	}
	if len(missing) > 0 {
		return Claim{}, fmt.Errorf("missing header %s", strings.Join(missing, ", "))
	}
	c := Claim{
		MessageID:  header.Get(names[0]),
		timestamp:  header.Get(names[1]),
		signatures: header.Values(names[2]),
	}
	switch {
	case len(c.MessageID) > maxMessageID:
		return Claim{}, fmt.Errorf("the message id in %s is longer than %d bytes", names[0], maxMessageID)
	case strings.Contains(c.MessageID, "."):
		return Claim{}, fmt.Errorf("the message id in %s has a dot", names[0])
	}
	seconds, err := strconv.ParseUint(c.timestamp, 10, 63) // digits alone, no sign
	if err != nil {
		return Claim{}, fmt.Errorf("the timestamp in %s is not a number of seconds", names[1])
	}
	c.Sent = time.Unix(int64(seconds), 0).UTC()
	return c, nil
}

// CheckAge refuses a claim that is further than tolerance from now.
func (c Claim) CheckAge(tolerance time.Duration) error {
	age := time.Since(c.Sent)
	switch {
	case age > tolerance:
		return fmt.Errorf("the timestamp is too old: more than %v ago", tolerance)
	case age < -tolerance:
		return fmt.Errorf("the timestamp is too new: more than %v ahead", tolerance)
	}
	return nil
}

// CheckSignature refuses a body that none of the keys has signed. It compares
// whole signatures with their version, in the one text that encodes them: a text
// that merely decodes to the same bytes is a forgery or a mistake.
func (c Claim) CheckSignature(keys [][]byte, body []byte) error {
	for _, key := range keys {
		want := Sign(key, c.MessageID, c.timestamp, body)
		for _, line := range c.signatures {
			for got := range strings.SplitSeq(line, " ") {
				if hmac.Equal([]byte(got), want) {
					return nil
				}
			}
		}
	}
	return errors.New("no matching signature")
}
