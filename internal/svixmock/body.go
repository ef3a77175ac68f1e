package svixmock

import (
	"io"
	"net/http"
)

// maxBody is the largest request body in bytes.
const maxBody = 2 << 20

// requestBody reads a request's body when it is first asked for, as the server's handlers do: a
// request that is refused before that, or that waits for another one, leaves it unread.
type requestBody struct {
	request *http.Request
	read    bool
	data    []byte // up to one byte more than maxBody
	err     error
}

// bytes reads the body. It fails where the client stops sending.
func (b *requestBody) bytes() ([]byte, error) {
	if !b.read {
		b.read = true
		b.data, b.err = readBody(b.request)
	}
	return b.data, b.err
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if n := r.ContentLength; n > 0 && n <= maxBody {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(r.Body, maxBody+1))
}
