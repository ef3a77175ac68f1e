package svixmock

import (
	"net/http"

	"github.com/golang-jwt/jwt/v5"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// portalRequest is the body of a request for access to the application portal.
type portalRequest struct {
	flags serde.Opt[[]string]
	app   serde.Opt[*appIn]
}

func decodePortalAccess(c *call) (*portalRequest, error) {
	in := new(portalRequest)
	err := c.decode(serde.Struct{Name: "AppPortalAccessIn", Lenient: true, Members: []serde.Member{
		serde.Optional("featureFlags", &in.flags, serde.Set(limited)),
		serde.Nullable("application", &in.app, serde.Nested(describeApp)),
	}})
	if err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	validateNestedApp(in.app, &p)
	return in, p.err()
}

// portalAccess issues a token for one application.
func (s *Server) portalAccess(c *call, o *org, in *portalRequest) (answer, error) {
	ref, err := c.param(0)
	if err != nil {
		return answer{}, err
	}
	a, err := o.appOrCreate(ref, in.app, c.now)
	if err != nil {
		return answer{}, err
	}
	now := c.now.Unix()
	claims := jwt.MapClaims{
		"iss": issuer, "org": o.id, "sub": a.id, "iat": now, "nbf": now, "exp": c.now.AddDate(0, 0, 28).Unix(),
	}
	if len(in.flags.Value) > 0 {
		claims["feature_flags"] = in.flags.Value
	}
	return jsonAnswer(http.StatusOK, struct {
		URL   string `json:"url"`
		Token string `json:"token"`
	}{"https://docs.svix.com/app-portal/oss", s.sign(claims)}), nil
}

// dashboardAccess is the older name of it, and does not read the body.
func (s *Server) dashboardAccess(c *call, o *org) (answer, error) {
	return s.portalAccess(c, o, new(portalRequest))
}
