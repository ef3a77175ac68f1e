package svixmock

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// call is a request on its way to a handler.
type call struct {
	*http.Request
	path     string // in its one spelling, escaped
	rawQuery string
	query    serde.Query
	params   []string // the variable segments of the path, decoded
	body     *requestBody
	now      time.Time
	fault    Fault

	httpsOnly bool // the server refuses http for endpoints
	who       caller
	org       *org
	app       *app
	tasks     []task // to be queued in the end, if the client is still there
}

func newCall(r *http.Request, body *requestBody, fault Fault, now time.Time) *call {
	path, rawQuery := target(r.URL)
	return &call{
		Request:  r,
		path:     path,
		rawQuery: rawQuery,
		query:    serde.ParseQuery(rawQuery),
		body:     body,
		now:      now,
		fault:    fault,
	}
}

// target splits what a request asks for into path and query. All spellings of a path that the
// server takes for the same become one: slashes at its end, more than one at its beginning or
// behind the API's prefix. A fragment is cut off.
func target(u *url.URL) (path, query string) {
	path = u.RawPath // as it was sent, if it is not in its normal form
	if path == "" {
		path = u.EscapedPath()
	}
	path, _, _ = strings.Cut(path, "#")
	query, _, _ = strings.Cut(u.RawQuery, "#")
	path = "/" + strings.Trim(path, "/")
	if rest, ok := strings.CutPrefix(path, apiPrefix+"/"); ok {
		path = apiPrefix + "/" + strings.TrimLeft(rest, "/")
	}
	return path, query
}

// decode reads the body of a request. There is no answer for a client that stops sending: the
// handler ends.
func (c *call) decode(s serde.Struct) error {
	body, err := c.body.bytes()
	switch {
	case err != nil:
		panic(http.ErrAbortHandler)
	case len(body) > maxBody:
		return fail(http.StatusRequestEntityTooLarge)
	}
	return serde.Decode(body, s)
}

// errDatabase stands for what the server's database refuses.
var errDatabase = errors.New("the database refuses the text")
