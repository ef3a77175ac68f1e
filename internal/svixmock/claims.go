package svixmock

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenClaims are the claims of a token by name, as they stand in it: what the server's library
// accepts in them differs from what golang-jwt does (section 2 of the contract).
type tokenClaims map[string]json.RawMessage

// verify checks a token's signature and the form of its claims, and that it is valid now.
func (s *Server) verify(token string) (tokenClaims, bool) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"HS256"}),
		jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation(),
	)
	raw := new(rawClaims)
	_, err := parser.ParseWithClaims(token, raw, func(*jwt.Token) (any, error) { return []byte(s.secret), nil })
	if err != nil || raw.claims == nil {
		return nil, false
	}
	return raw.claims, raw.claims.wellFormed() && raw.claims.validAt(s.now())
}

// rawClaims takes the claims of a token as they are.
type rawClaims struct {
	jwt.Claims // nil: nothing asks for them

	claims tokenClaims
}

func (r *rawClaims) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &r.claims) }

// text is a claim that is a text; without one it is nil. It reports false for any other type.
func (c tokenClaims) text(name string) (*string, bool) {
	raw, found := c[name]
	if !found {
		return nil, true
	}
	var text *string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

// wellFormed reports whether the registered claims have the types that they must have.
func (c tokenClaims) wellFormed() bool {
	for _, name := range []string{"iss", "jti", "sub", "org"} {
		if _, ok := c.text(name); !ok {
			return false
		}
	}
	var several []string
	if _, ok := c.text("aud"); !ok && json.Unmarshal(c["aud"], &several) != nil {
		return false
	}
	raw, found := c["feature_flags"]
	if !found {
		return true
	}
	var flags []string
	return json.Unmarshal(raw, &flags) == nil && flags != nil && firstLimited(flags) == nil
}

// validAt checks the times of the claims. Negative ones count as far away.
func (c tokenClaims) validAt(now time.Time) bool {
	for _, name := range []string{"exp", "nbf", "iat"} {
		raw, found := c[name]
		if !found {
			continue
		}
		var seconds *float64
		if err := json.Unmarshal(raw, &seconds); err != nil || seconds == nil {
			return false
		}
		early := float64(now.Add(-clockTolerance).Unix())
		late := float64(now.Add(clockTolerance).Unix())
		switch {
		case *seconds < 0:
		case name == "exp" && *seconds < early, name != "exp" && *seconds > late:
			return false
		}
	}
	return true
}

// caller reads an organization's or an application's token.
func (c tokenClaims) caller() (caller, error) {
	org, _ := c.text("org")
	subject, _ := c.text("sub")
	switch {
	case org != nil && !strings.HasPrefix(*org, orgPrefix):
		return caller{}, failWith(http.StatusBadRequest, "bad token", "`org` is not a valid organization id")
	case subject == nil:
		return caller{}, invalidToken("Invalid token (missing `sub`).")
	case org == nil && !strings.HasPrefix(*subject, orgPrefix):
		return caller{}, failWith(http.StatusBadRequest, "bad_token", "`sub` is not a valid organization id.")
	case org == nil:
		return caller{org: *subject}, nil
	case !strings.HasPrefix(*subject, appPrefix):
		return caller{}, failWith(http.StatusBadRequest, "bad token", "`sub` is not a valid application id")
	}
	who := caller{org: *org, app: *subject}
	_ = json.Unmarshal(c["feature_flags"], &who.flags) // checked before, or missing
	return who, nil
}
