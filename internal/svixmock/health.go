package svixmock

import (
	"net/http"

	"github.com/golang-jwt/jwt/v5"
)

// health says that all is well.
func (s *Server) health(*call) (answer, error) {
	return answer{
		status: http.StatusOK,
		body:   []byte(`{"database":{"status":"ok"},"queue":{"status":"ok"},"cache":{"status":"ok"}}`),
	}, nil
}

func (s *Server) ping(*call) (answer, error) { return noContent, nil }

func (s *Server) logout(*call) (answer, error) {
	return answer{}, fail(http.StatusNotImplemented)
}

// portalAccess issues a token for one application.
func (s *Server) portalAccess(c *call) (answer, error) {
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	var flags opt[[]string]
	var create opt[*appIn]
	err = decodeBody(c,
		optional("featureFlags", &flags, parseSet),
		nullable("application", &create, parseNestedApp))
	if err != nil {
		return answer{}, err
	}
	p := problems{root: "body"}
	validateNestedApp(create, &p)
	if err := p.err(); err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	a, err := o.appOrCreate(c.params[0], create, c.now)
	s.mu.Unlock()
	if err != nil {
		return answer{}, err
	}
	claims := jwt.MapClaims{"org": o.id, "sub": a.id, "iat": c.now.Unix(), "exp": c.now.AddDate(0, 0, 28).Unix()}
	if flags.value != nil {
		claims["feature_flags"] = flags.value
	}
	return jsonAnswer(http.StatusOK, struct {
		URL   string `json:"url"`
		Token string `json:"token"`
	}{"https://docs.svix.com/app-portal/oss", s.sign(claims)}), nil
}
