package svixmock

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"
)

// net/http does not send what the server sends: it trims header values, leaves some headers out and
// refuses paths that the server keeps as they are. So the mock writes its deliveries itself
// (section 13.2 of the contract).

// receiverURL is an endpoint's URL in its parts, as they are written to the wire.
type receiverURL struct {
	scheme string
	user   string // with its password, escaped
	host   string // perhaps with a port
	path   string // with the query
}

// splitURL takes a URL in its normal form apart.
func splitURL(normal string) receiverURL {
	scheme, rest, _ := strings.Cut(normal, "://")
	rest, _, _ = strings.Cut(rest, "#")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	u := receiverURL{scheme: scheme, host: rest[:end], path: rest[end:]}
	if i := strings.LastIndexByte(u.host, '@'); i >= 0 {
		u.user, u.host = u.host[:i], u.host[i+1:]
	}
	if !strings.HasPrefix(u.path, "/") {
		u.path = "/" + u.path
	}
	return u
}

// address is what to dial.
func (u receiverURL) address() string {
	if _, _, err := net.SplitHostPort(u.host); err == nil {
		return u.host
	}
	port := "80"
	if u.scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(u.host, "[]"), port)
}

// origin is what connections are kept for.
func (u receiverURL) origin() string { return u.scheme + "://" + u.host }

const (
	maxIdle        = 100              // connections that are kept for one receiver
	idleTimeout    = 90 * time.Second // for which a connection is kept
	maxReplyHeader = 400_000          // bytes
)

// wire is the way to receivers over sockets.
type wire struct {
	dialer net.Dialer

	mu     sync.Mutex
	idle   map[string][]*wireConn // by origin, the newest last
	closed bool
}

func newWire() *wire {
	return &wire{dialer: net.Dialer{ControlContext: checkAddress}, idle: map[string][]*wireConn{}}
}

// wireConn is a connection to a receiver.
type wireConn struct {
	net.Conn
	limit  *io.LimitedReader
	reader *bufio.Reader
	since  time.Time // since when it is idle
}

// connectError says that there was no connection, or none that is secure, to send a request over.
type connectError struct{ error }

func (e connectError) Unwrap() error { return e.error }

// send sends a request and reads the reply up to its body. The caller must release it.
func (w *wire) send(ctx context.Context, u receiverURL, request []byte) (*reply, error) {
	if target, err := netip.ParseAddrPort(u.address()); err == nil && target.Addr().Is4In6() {
		return nil, errRefused // a dialer would take it for the address that it embeds
	}
	if conn := w.take(u); conn != nil {
		if r, err := conn.exchange(ctx, w, u, request); err == nil || ctx.Err() != nil {
			return r, err
		} // else it had been closed while it was idle
	}
	conn, err := w.dial(ctx, u)
	if err != nil {
		return nil, connectError{err}
	}
	return conn.exchange(ctx, w, u, request)
}

// take takes an idle connection, nil if there is none.
func (w *wire) take(u receiverURL) *wireConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conns := w.idle[u.origin()]; len(conns) > 0; {
		last := conns[len(conns)-1]
		conns = conns[:len(conns)-1]
		w.idle[u.origin()] = conns
		if time.Since(last.since) < idleTimeout {
			return last
		}
		_ = last.Close()
	}
	return nil
}

// keep keeps a connection for the next request.
func (w *wire) keep(u receiverURL, conn *wireConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle[u.origin()]) >= maxIdle {
		_ = conn.Close()
		return
	}
	conn.since = time.Now()
	w.idle[u.origin()] = append(w.idle[u.origin()], conn)
}

// close closes the idle connections, and those that are released later.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, conns := range w.idle {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	clear(w.idle)
}

func (w *wire) dial(ctx context.Context, u receiverURL) (*wireConn, error) {
	conn, err := w.dialer.DialContext(ctx, "tcp", u.address())
	if err != nil {
		return nil, err
	}
	if u.scheme == "https" {
		name, _, err := net.SplitHostPort(u.address())
		if err != nil {
			name = u.host
		}
		secure := tls.Client(conn, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	limit := &io.LimitedReader{R: conn}
	return &wireConn{Conn: conn, limit: limit, reader: bufio.NewReader(limit)}, nil
}

// reply is a receiver's answer.
type reply struct {
	*http.Response

	release func(read bool) // read: the body was read to its end
}

// exchange sends a request over the connection.
func (c *wireConn) exchange(ctx context.Context, w *wire, u receiverURL, request []byte) (*reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	fail := func(err error) (*reply, error) {
		stop()
		_ = c.Close()
		return nil, err
	}
	if _, err := c.Write(request); err != nil {
		return fail(err)
	}
	c.limit.N = maxReplyHeader
	resp, err := c.readReply() //nolint:bodyclose // its end is that of the connection
	if err != nil {
		return fail(err)
	}
	c.limit.N = 1 << 62
	return &reply{resp, func(read bool) {
		if !stop() || !read || resp.Close || resp.StatusCode == http.StatusSwitchingProtocols {
			_ = c.Close()
			return
		}
		w.keep(u, c)
	}}, nil
}

var errBadReply = errors.New("the reply is no HTTP/1 response")

// readReply reads a reply up to its body, and passes over those before the final one.
func (c *wireConn) readReply() (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(c.reader, &http.Request{Method: http.MethodPost})
		switch {
		case err != nil:
			return nil, err
		case resp.ProtoMajor != 1 || resp.StatusCode < 100 || resp.StatusCode > 999 || !isReplyHeader(resp.Header):
			return nil, errBadReply
		case resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols:
			return resp, nil
		}
	}
}

// isReplyHeader reports whether the server's library takes the header of a reply.
func isReplyHeader(h http.Header) bool {
	lines := 0
	for _, values := range h {
		for _, value := range values {
			lines++
			if strings.ContainsRune(value, 0) {
				return false
			}
		}
	}
	return lines <= maxHeaders
}

// wireHeader are header values by lower-case name, with the casing that goes over the wire.
type wireHeader map[string]wireField

type wireField struct{ name, value string }

func (h wireHeader) set(name, value string) {
	h[strings.ToLower(name)] = wireField{name, value}
}

// addCustom adds an endpoint's own headers, which override others.
func (h wireHeader) addCustom(headers map[string]string) {
	for name, value := range headers {
		h.set(name, value)
	}
}

// request is what is written to the wire.
func (h wireHeader) request(u receiverURL, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\n", u.path)
	line := func(name, value string) {
		b.WriteString(name + ":")
		if value != "" {
			b.WriteString(" " + value)
		}
		b.WriteString("\r\n")
	}
	if host, custom := h["host"]; custom {
		line("Host", host.value)
	} else {
		line("Host", u.host)
	}
	for lower, f := range h {
		if lower != "host" {
			line(f.name, f.value)
		}
	}
	if len(body) > 0 {
		line("Content-Length", strconv.Itoa(len(body)))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// received are the headers as a Go receiver sees them.
func (h wireHeader) received(length int) http.Header {
	out := http.Header{}
	if length > 0 {
		out.Set("Content-Length", strconv.Itoa(length))
	}
	for _, f := range h {
		out.Set(f.name, textproto.TrimString(f.value))
	}
	out.Del("Host")
	return out
}
