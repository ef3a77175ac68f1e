package dashboard

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

const (
	keyParam    = "key"
	tokenParam  = "token"
	maxFormSize = 64 << 10
)

// A gate lets in whoever has the key, and nobody who only made a browser come. It has to hold
// against pages of other origins that the same browser shows, those on other ports of this machine
// included, and against names that are made to point here (DNS rebinding).
type gate struct {
	key    string // in the address that was printed
	cookie string // value of the cookie that the key is exchanged for
	token  string // in each form, so that only pages of ours can send one
	name   string // of the cookie
	tls    bool
	remote bool
	hosts  map[string]bool
	next   http.Handler
}

func newGate(cfg Config, next http.Handler) *gate {
	g := &gate{
		key: rand.Text(), cookie: rand.Text(), token: rand.Text(),
		name: "swh-webhooks-" + rand.Text()[:8], // cookies are shared by all ports of a host
		tls:  cfg.TLS, remote: cfg.Remote, hosts: map[string]bool{"localhost": true}, next: next,
	}
	if g.tls {
		g.name = "__Host-" + g.name
	}
	for _, host := range cfg.Hosts {
		g.hosts[strings.ToLower(host)] = true
	}
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	switch {
	case !g.knows(r.Host):
		refuse(w, http.StatusMisdirectedRequest, "The dashboard is not reached by this name.")
	case r.URL.Query().Has(keyParam):
		g.exchange(w, r)
	case !g.isIn(r):
		refuse(w, http.StatusForbidden,
			"Open the address with the key that the dashboard printed when it began. If you have, "+
				"and followed a link to it, reload this page.")
	case isFromElsewhere(r):
		refuse(w, http.StatusForbidden, "Another site has asked for this.")
	case r.Method == http.MethodPost && !g.isOurForm(w, r):
		refuse(w, http.StatusForbidden,
			"This form is not from a page of the dashboard that runs now. Go back, reload, and try again.")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// setHeaders forbids whatever the pages do not need.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func refuse(w http.ResponseWriter, status int, text string) {
	http.Error(w, text, status)
}

// knows reports whether a browser may have been told this name for the dashboard. An IP address is
// never one that somebody else has made to point here.
func (g *gate) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return g.remote || ip.IsLoopback()
	}
	return g.hosts[host]
}

// exchange gives a cookie for the key, and the same page without it.
func (g *gate) exchange(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if r.Method != http.MethodGet || !equal(query.Get(keyParam), g.key) {
		refuse(w, http.StatusForbidden, "This key is not that of the dashboard that runs now.")
		return
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // without TLS no cookie can be secure
		Name: g.name, Value: g.cookie, Path: "/", HttpOnly: true, Secure: g.tls, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (g *gate) isIn(r *http.Request) bool {
	cookie, err := r.Cookie(g.name)
	return err == nil && equal(cookie.Value, g.cookie)
}

// isFromElsewhere reports whether a page of another origin has asked: one on another port of this
// machine has the cookie sent along. It may lead to a page, but not show or read it.
func isFromElsewhere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	leads := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document"
	return !leads
}

func (g *gate) isOurForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormSize)
	return equal(r.PostFormValue(tokenParam), g.token)
}

func equal(given, want string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}
