package svixmock

import (
	"net/http"
	"sync/atomic"
)

// Watcher is shown an answer that a server gave of itself, not one of a fault.
type Watcher func(r *http.Request, status int, header http.Header, body []byte)

// watcher sees the answers of all servers of the process.
var watcher atomic.Pointer[Watcher]

// Watch shows the answers of all servers of this process to w, or to nobody if it is nil. It is for
// a test binary that holds them against a description of the API.
func Watch(w Watcher) {
	if w == nil {
		watcher.Store(nil)
		return
	}
	watcher.Store(&w)
}

// show shows an answer to the watcher.
func show(r *http.Request, o outcome) {
	w := watcher.Load()
	if w == nil || o.dropped || o.bare {
		return
	}
	body := o.body
	if r.Method == http.MethodHead {
		body = nil
	}
	(*w)(r, o.status, o.headers(), body)
}
