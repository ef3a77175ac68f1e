package svixmock

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// defaultOrg is the organization for which the server's own token generator issues tokens.
const defaultOrg = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"

// issuer is that of the server's tokens.
const issuer = "svix-server"

// clockTolerance is by how much the times of a token may be off.
const clockTolerance = 15 * time.Minute

// caller is whom a token stands for.
type caller struct {
	org   string
	app   string   // id; empty: the whole organization
	flags []string // feature flags of an application's caller
}

// sees reports whether the caller may see what a feature flag guards.
func (who caller) sees(flag *string) bool {
	return who.app == "" || flag == nil || slices.Contains(who.flags, *flag)
}

// drawSecret draws a secret that signs tokens.
func drawSecret() string {
	return rand.Text()
}

// sign issues a token for claims.
func (s *Server) sign(claims jwt.MapClaims) string {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(s.secret))
	if err != nil {
		panic("svixmock: signing a token: " + err.Error()) // cannot fail with a byte key
	}
	return token
}

// orgToken issues a token for the default organization.
func (s *Server) orgToken() string {
	now := s.now()
	return s.sign(jwt.MapClaims{
		"iss": issuer,
		"sub": defaultOrg,
		"iat": now.Unix(),
		"exp": now.AddDate(10, 0, 0).Unix(),
	})
}

// identify finds out whom the request's token stands for.
func (s *Server) identify(r *http.Request) (caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return caller{}, invalidToken("")
	case token == s.token:
		return caller{org: s.tokenOrg}, nil
	case token == s.secret:
		return caller{}, invalidToken("Authentication failed. JWT signing secrets can not be used as tokens, " +
			"please refer to https://github.com/svix/svix-webhooks#authentication for more information.")
	}
	claims, ok := s.verify(token)
	if !ok {
		return caller{}, invalidToken("")
	}
	return claims.caller()
}

func invalidToken(detail string) error {
	if detail == "" {
		detail = "Invalid token"
	}
	return failWith(http.StatusUnauthorized, "", detail)
}

func admitAnybody(s *Server, c *call) (err error) {
	if c.who, err = s.identify(c.Request); err != nil {
		return err
	}
	c.org = s.org(c.who.org)
	return nil
}

func admitOrg(s *Server, c *call) error {
	if err := admitAnybody(s, c); err != nil {
		return err
	}
	if c.who.app != "" {
		return fail(http.StatusForbidden)
	}
	return nil
}

// admitApp finds the application that the request's path names.
func admitApp(s *Server, c *call) error {
	if err := admitAnybody(s, c); err != nil {
		return err
	}
	return s.lookUpApp(c)
}

func admitOwnApp(s *Server, c *call) error {
	if err := admitOrg(s, c); err != nil {
		return err
	}
	return s.lookUpApp(c)
}

func (s *Server) lookUpApp(c *call) error {
	ref, err := c.param(0)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c.app = c.org.app(ref)
	if c.app == nil || c.who.app != "" && c.who.app != c.app.id {
		return notFound()
	}
	return nil
}

// randomKey draws a signing key of n bytes.
func randomKey(n int) []byte {
	key := make([]byte, n)
	_, _ = rand.Read(key) // never fails
	return key
}

func encodeKey(key []byte) string { return base64.StdEncoding.EncodeToString(key) }
