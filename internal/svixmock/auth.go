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
		"iss": "svix-server",
		"sub": defaultOrg,
		"iat": now.Unix(),
		"exp": now.AddDate(10, 0, 0).Unix(),
	})
}

// identify finds out whom the request's token stands for.
func (s *Server) identify(r *http.Request) (caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return caller{}, invalidToken("")
	case token == s.token:
		return caller{org: s.tokenOrg}, nil
	case token == s.secret:
		return caller{}, invalidToken("Authentication failed. JWT signing secrets can not be used as tokens, " +
			"please refer to https://github.com/svix/svix-webhooks#authentication for more information.")
	}
	claims, err := s.claims(token)
	if err != nil {
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

// tokenClaims are the claims that the server reads.
type tokenClaims struct {
	jwt.RegisteredClaims
	Org   *string  `json:"org"`
	Flags []string `json:"feature_flags"`
}

func (s *Server) claims(token string) (*tokenClaims, error) {
	claims := new(tokenClaims)
	_, err := jwt.ParseWithClaims(token, claims,
		func(*jwt.Token) (any, error) { return []byte(s.secret), nil },
		jwt.WithValidMethods([]string{"HS256"}),
		jwt.WithLeeway(clockTolerance),
		jwt.WithIssuedAt(),
		jwt.WithTimeFunc(s.now))
	return claims, err
}

// caller reads an organization's or an application's token.
func (c *tokenClaims) caller() (caller, error) {
	if c.Org == nil {
		return c.organization()
	}
	switch {
	case !strings.HasPrefix(*c.Org, orgPrefix):
		return caller{}, failWith(http.StatusBadRequest, "bad token", "`org` is not a valid organization id")
	case c.Subject == "":
		return caller{}, missingSubject()
	case !strings.HasPrefix(c.Subject, appPrefix):
		return caller{}, failWith(http.StatusBadRequest, "bad token", "`sub` is not a valid application id")
	}
	return caller{org: *c.Org, app: c.Subject, flags: c.Flags}, nil
}

func (c *tokenClaims) organization() (caller, error) {
	switch {
	case c.Subject == "":
		return caller{}, missingSubject()
	case !strings.HasPrefix(c.Subject, orgPrefix):
		return caller{}, failWith(http.StatusBadRequest, "bad_token", "`sub` is not a valid organization id.")
	}
	return caller{org: c.Subject}, nil
}

func missingSubject() error { return invalidToken("Invalid token (missing `sub`).") }

// organization is the organization of a request that only it may make.
func (s *Server) organization(c *call) (*org, error) {
	who, err := s.identify(c.Request)
	if err != nil {
		return nil, err
	}
	if who.app != "" {
		return nil, fail(http.StatusForbidden)
	}
	return s.org(who.org), nil
}

// application is the application that the request's path names.
func (s *Server) application(c *call) (*app, error) {
	who, err := s.identify(c.Request)
	if err != nil {
		return nil, err
	}
	a := s.findApp(s.org(who.org), c.params[0])
	if a == nil || who.app != "" && who.app != a.id {
		return nil, notFound()
	}
	return a, nil
}

// organizationApplication is the application that the path of an organization's request names.
func (s *Server) organizationApplication(c *call) (*app, error) {
	o, err := s.organization(c)
	if err != nil {
		return nil, err
	}
	if a := s.findApp(o, c.params[0]); a != nil {
		return a, nil
	}
	return nil, notFound()
}

// randomKey draws a signing key of n bytes.
func randomKey(n int) []byte {
	key := make([]byte, n)
	_, _ = rand.Read(key) // never fails
	return key
}

func encodeKey(key []byte) string { return base64.StdEncoding.EncodeToString(key) }
