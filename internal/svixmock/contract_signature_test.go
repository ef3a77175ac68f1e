package svixmock_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// symmetricToken is the signature of a delivery under a symmetric secret (13.3).
func symmetricToken(t *testing.T, secret, id, timestamp string, body []byte) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// The vector of 13.3, without which the checks of deliveries would prove nothing.
func TestSignatureVector(t *testing.T) {
	t.Parallel()
	got := symmetricToken(t, symmetric, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
		[]byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// checkSignatures checks that the signatures of a delivery are those of the symmetric secrets, in
// this order.
func checkSignatures(t *testing.T, d delivery, secrets ...string) {
	t.Helper()
	var want []string
	for _, secret := range secrets {
		want = append(
			want,
			symmetricToken(t, secret, d.header.Get("Webhook-Id"), d.header.Get("Webhook-Timestamp"), d.body),
		)
	}
	if diff := cmp.Diff(strings.Join(want, " "), d.header.Get("Webhook-Signature")); diff != "" {
		t.Errorf("signatures (-want +got):\n%s", diff)
	}
}

// signedBy returns which of the symmetric secrets alone has signed the delivery, "" if none.
func (d delivery) signedBy(t *testing.T, secrets ...string) string {
	t.Helper()
	for _, secret := range secrets {
		if d.header.Get(
			"Webhook-Signature",
		) == symmetricToken(t, secret, d.header.Get("Webhook-Id"), d.header.Get("Webhook-Timestamp"), d.body) {
			return secret
		}
	}
	return ""
}

// checkAsymmetric checks that a delivery has one signature, of the private half of a public key.
func checkAsymmetric(t *testing.T, d delivery, publicKey string) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(publicKey, "whpk_"))
	if err != nil || len(key) != ed25519.PublicKeySize {
		t.Fatalf("public key %q: %v, %d bytes", publicKey, err, len(key))
	}
	token, ok := strings.CutPrefix(d.header.Get("Webhook-Signature"), "v1a,")
	signature, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	signed := fmt.Appendf(
		nil,
		"%s.%s.%s",
		d.header.Get("Webhook-Id"),
		d.header.Get("Webhook-Timestamp"),
		d.body,
	)
	if !ok || !ed25519.Verify(key, signed, signature) {
		t.Errorf("got signature %q, which is not one of %s", d.header.Get("Webhook-Signature"), publicKey)
	}
}

// signatureHeaders returns the sorted names, in lower case, of the headers that identify and sign a
// delivery.
func signatureHeaders(header http.Header) []string {
	var found []string
	for name := range header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "svix-") || strings.HasPrefix(name, "webhook-") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}
