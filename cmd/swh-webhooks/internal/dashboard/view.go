package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// A view is a page before it is written.
type view struct {
	Template string // its name
	Title    string
	Place    string // the entry of the menu that it belongs to
	Type     string // the event type that it is about
	Refresh  int    // seconds after which the script asks for what has changed; 0: never
	Data     any

	// What show sets.
	Server string
	Token  string
	Done   string
	Now    time.Time
}

// done are the texts that tell of an action that was carried out.
var done = map[string]string{
	"resend":  "The server delivers the message once more. The attempt appears below when it is over.",
	"recover": "The server delivers once more what failed in that time.",
	"enable":  "The endpoint is enabled: deliveries to it begin again.",
	"disable": "The endpoint is disabled: nothing more is delivered to it.",
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"link":    link,
	"name":    foreign.Quote,
	"text":    visible,
	"took":    took,
	"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05.000") },
	"day":     func(t time.Time) string { return t.UTC().Format("Jan 02") },
	"moment":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"ago":     ago,
	"many":    many,
	"share":   share,
	"bytes":   sizeText,
	"isZero":  func(t time.Time) bool { return t.IsZero() },
	"add":     func(a, b int) int { return a + b },
	"last":    func(first, n int) int { return first + n - 1 },
	"class":   statusClass,
	"answer":  answerText,
	"headers": headersOf,
	"windows": newTabs,
	"confirm": newConfirmation,
}).ParseFS(files, "templates/*.html"))

// tabs choose a window.
type tabs struct {
	Path, Type, ID, Channel, Current string
	Windows                          []window
}

func newTabs(path, eventType, id, channel, current string) tabs {
	return tabs{path, eventType, id, channel, current, windows}
}

// A confirmation is a button that asks before it does something.
type confirmation struct {
	Token, Type                          string
	Do, Label, Question, ID, Msg, Window string
}

func newConfirmation(v view, do, label, question, id, message, window string) confirmation {
	return confirmation{v.Token, v.Type, do, label, question, id, message, window}
}

// show writes the page that prepare returns, or why there is none.
func (d *Dashboard) show(w http.ResponseWriter, r *http.Request,
	prepare func(context.Context, *http.Request) (view, error),
) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	v, err := prepare(ctx, r)
	if err != nil {
		d.failWith(w, r, err)
		return
	}
	v.Done = done[r.URL.Query().Get("done")]
	d.write(w, r, http.StatusOK, v)
}

func (d *Dashboard) write(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.Server, v.Token, v.Now = d.server, d.gate.token, time.Now()
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, v.Template, v); err != nil {
		d.log.ErrorContext(r.Context(), "page cannot be made", "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // a browser that has gone needs none
}

// failWith tells what went wrong. The texts of the library's errors are fit to be shown.
func (d *Dashboard) failWith(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, webhooks.ErrEventTypeNotFound),
		errors.Is(err, webhooks.ErrEndpointNotFound), errors.Is(err, webhooks.ErrMessageNotFound):
		status = http.StatusNotFound
	case errors.Is(err, webhooks.ErrInvalidQuery), errors.Is(err, webhooks.ErrInvalidEndpoint),
		errors.Is(err, webhooks.ErrEventTypeArchived),
		errors.Is(err, webhooks.ErrPayloadExpired), errors.As(err, new(inputError)):
		status = http.StatusBadRequest
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	if status >= http.StatusInternalServerError {
		d.log.ErrorContext(r.Context(), "page cannot be shown", "path", r.URL.Path, "error", err)
	}
	d.fail(w, r, status, strings.TrimPrefix(err.Error(), "webhooks: "))
}

func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	d.write(w, r, status, view{Template: "error", Title: http.StatusText(status), Data: text})
}

// An inputError is a mistake in an address or a form.
type inputError struct{ text string }

func (e inputError) Error() string { return e.text }

// link returns an address with the parameters that are not empty, given as names and values.
func link(path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// maxShown is the most of a payload or an answer that a page shows, in bytes.
const maxShown = 20_000

// visible returns a text of several lines with everything in it that does not print written out, so
// that nothing hides and nothing changes the direction of writing.
func visible(text string) string {
	cut := ""
	if len(text) > maxShown {
		cut = fmt.Sprintf("\n… and %s more", sizeText(len(text)-maxShown))
		text = strings.ToValidUTF8(text[:maxShown], "")
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String() + cut
}

// maxIndented is the longest payload that is shown with line breaks. They can make it many times as
// long.
const maxIndented = 64 << 10

func indented(payload json.RawMessage) string {
	if len(payload) > maxIndented {
		return string(payload)
	}
	var b bytes.Buffer
	if json.Indent(&b, payload, "", "  ") != nil {
		return string(payload)
	}
	return b.String()
}

func sizeText(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
}

func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

func ago(t, now time.Time) string {
	if d := now.Sub(t); d >= time.Second {
		return took(d.Truncate(time.Second)) + " ago"
	}
	return "just now"
}

// many writes a number with thin spaces between its thousands.
func many(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u2009" + text[i:]
	}
	return text
}

// share writes how many of the attempts that have ended succeeded.
func share(s webhooks.EndpointStats) string {
	ended := s.Succeeded + s.Failed
	switch {
	case ended == 0:
		return "–"
	case s.Failed == 0:
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", min(99.9, 100*float64(s.Succeeded)/float64(ended)))
}
