package svixmock

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// handler answers a request that was routed to it. An error that is no *failure becomes an internal error.
type handler func(*call) (answer, error)

// call is a request on its way to a handler.
type call struct {
	*http.Request
	params []string // the variable segments of the path, decoded
	query  query
	body   *requestBody
	now    time.Time
	fault  Fault
	tasks  []task // to be queued in the end, if the client is still there
}

// router finds the handler of a path. A segment in braces matches any text but none.
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

// handle registers a handler, below the prefix of the API.
func (r *router) handle(name, path string, h handler) {
	n := &r.root
	for segment := range strings.SplitSeq("api/v1"+path, "/") {
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
	if n.param == nil || segments[0] == "" {
		return nil, nil
	}
	return n.param.find(segments[1:], append(params, segments[0]))
}

// route answers a request, trailing slashes of its path aside.
func (r *router) route(c *call) answer {
	path, rooted := strings.CutPrefix(trimSlashes(c.URL.EscapedPath()), "/")
	if !rooted {
		return answer{status: http.StatusNotFound}
	}
	n, params := r.root.find(strings.Split(path, "/"), make([]string, 0, 3))
	if n == nil {
		return answer{status: http.StatusNotFound}
	}
	handle := n.method(c.Method)
	if handle == nil {
		return answer{status: http.StatusMethodNotAllowed, header: http.Header{"Allow": {n.allow()}}}
	}
	for i, param := range params {
		text, err := url.PathUnescape(param)
		if err != nil || !utf8.ValidString(text) {
			return internalError
		}
		params[i] = text
	}
	c.params = params
	a, err := handle(c)
	var f *failure
	switch {
	case err == nil:
		return a
	case errors.As(err, &f):
		return f.answer
	default:
		return internalError
	}
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

func trimSlashes(path string) string {
	return strings.TrimRight(path, "/")
}
