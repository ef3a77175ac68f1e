package svixmock

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// http.ServeMux is no router for this server: it redirects what has doubled slashes or dots where
// the server serves or refuses it, does not match an empty segment, and has texts of its own for
// 404 and 405.

// handler answers a request that was routed to it. An error that is no *failure becomes an internal
// error.
type handler func(*call) (answer, error)

// router finds the handler of a path. A segment in braces matches any text.
type router struct {
	root node
}

type node struct {
	static  map[string]*node
	param   *node
	methods []method // in the order of registration
}

type method struct {
	name   string
	handle handler
}

// handle registers a handler.
func (r *router) handle(name, path string, h handler) {
	n := &r.root
	for segment := range strings.SplitSeq(path[1:], "/") {
		n = n.child(segment)
	}
	n.methods = append(n.methods, method{name, h})
}

func (n *node) child(segment string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.param == nil {
			n.param = new(node)
		}
		return n.param
	}
	if n.static == nil {
		n.static = map[string]*node{}
	}
	if n.static[segment] == nil {
		n.static[segment] = new(node)
	}
	return n.static[segment]
}

// find walks down the path, text before variables, and returns the variables it met.
func (n *node) find(segments, params []string) (*node, []string) {
	if len(segments) == 0 {
		if n.methods == nil {
			return nil, nil
		}
		return n, params
	}
	if next := n.static[segments[0]]; next != nil {
		if found, p := next.find(segments[1:], params); found != nil {
			return found, p
		}
	}
	if n.param == nil {
		return nil, nil
	}
	return n.param.find(segments[1:], append(params, segments[0]))
}

// route answers a request.
func (r *router) route(c *call) answer {
	n, params := r.root.find(strings.Split(c.path[1:], "/"), make([]string, 0, 3))
	if n == nil {
		return answer{status: http.StatusNotFound}
	}
	handle := n.method(c.Method)
	if handle == nil {
		return answer{status: http.StatusMethodNotAllowed, header: http.Header{"Allow": {n.allow()}}}
	}
	for i, param := range params {
		params[i] = serde.Unescape(param)
		if !utf8.ValidString(params[i]) {
			return internalError
		}
	}
	c.params = params
	a, err := handle(c)
	if err != nil {
		return failureOf(err)
	}
	return a
}

// failureOf is the answer that reports an error.
func failureOf(err error) answer {
	var (
		f     *failure
		query *serde.QueryError
		body  *serde.BodyError
	)
	switch {
	case errors.As(err, &f):
	case errors.As(err, &query):
		errors.As(failWith(http.StatusBadRequest, "", query.Error()), &f)
	case errors.As(err, &body):
		errors.As(unprocessable(problem{Loc: body.Loc, Msg: body.Msg, Type: "value_error.jsondecode"}), &f)
	default:
		return internalError
	}
	return f.answer
}

// method is the handler of a method; HEAD is served as GET.
func (n *node) method(name string) handler {
	if name == http.MethodHead {
		name = http.MethodGet
	}
	for _, m := range n.methods {
		if m.name == name {
			return m.handle
		}
	}
	return nil
}

func (n *node) allow() string {
	var names []string
	for _, m := range n.methods {
		names = append(names, m.name)
		if m.name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	return strings.Join(names, ",")
}
