package webhooks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// answering is a RoundTripper that gives one answer to everything.
func answering(status int, body string, also func()) harness.RoundTripFunc {
	return func(r *http.Request) (*http.Response, error) {
		also()
		return &http.Response{
			StatusCode: status, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	}
}

// TestAnswerThatComesWithTheEndOfTheContext: an answer that was read whole is what is reported, and
// never by an error of the SDK.
func TestAnswerThatComesWithTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	for name, do := range harness.Operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			forbidden := answering(http.StatusForbidden, `{"code":"insufficient access","detail":"No."}`, cancel)
			err := do(ctx, harness.NewClient(t, forbidden, "token", webhooks.WithCacheTTL(0)))
			var api *webhooks.APIError
			if !errors.As(err, &api) || api.StatusCode != http.StatusForbidden || api.Code != "insufficient access" {
				t.Errorf("got the error %v, want the APIError of the answer", err)
			}
			if _, ok := errors.AsType[*svix.Error](err); ok {
				t.Errorf("an error of the SDK is in the chain of %v", err)
			}
		})
	}
}

// TestDetailOfForeignAnswers: what something before the server says is not lost because it says it
// in JSON.
func TestDetailOfForeignAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"no detail":        {`{"message":"no route matched"}`, `{"message":"no route matched"}`},
		"detail of a kind": {`{"code":"odd","detail":{"reason":"too odd"}}`, `{"reason":"too odd"}`},
		"text":             {`"go away"`, `"go away"`},
		"empty object":     {`{}`, ``},
		"null":             {`{"detail":null}`, ``},
		"no problems":      {`{"detail":[]}`, ``},
	}
	for name, tt := range tests {
		_, err := harness.NewClient(t, answering(http.StatusForbidden, tt.body, func() {}),
			"token").GetEventType(t.Context(), webhooks.TypeOriginCreate)
		var api *webhooks.APIError
		if !errors.As(err, &api) || api.Detail != tt.want {
			t.Errorf("%s: got the error %v, want the detail %q", name, err, tt.want)
		}
	}
}

// TestEveryErrorAnswerIsAnAPIError makes every request of every operation meet an error answer.
func TestEveryErrorAnswerIsAnAPIError(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html"}}
	tests := map[string]struct {
		fault        svixmock.Fault
		code, detail string // detail: part of it
	}{
		"of Svix": {
			svixmock.Fault{
				Status: 403,
				Body:   `{"code":"insufficient access","detail":"Insufficient access."}`,
			},
			"insufficient access", "Insufficient access.",
		},
		"validation": {
			svixmock.Fault{
				Status: 422,
				Body: `{"detail":[{"loc":["body","url"],"msg":"is ` +
					`bad","type":"value_error"},{"loc":["body","",""],"msg":"so is that"}]}`,
			},
			"",
			"body.url: is bad; body: so is that",
		},
		"internal error":  {svixmock.Fault{Status: 500, Body: `{}`}, "", ""},
		"empty":           {svixmock.Fault{Status: 500}, "", ""},
		"empty not found": {svixmock.Fault{Status: 404}, "", "server URL"},
		"HTML not found": {
			svixmock.Fault{Status: 404, Header: html, Body: "<html>Not found</html>"},
			"", "server URL",
		},
		"JSON of somebody else": {svixmock.Fault{Status: 404, Body: `{"error":"no such page"}`}, "", "server URL"},
		"HTML of a proxy": {
			svixmock.Fault{Status: 502, Header: html, Body: "<html>\n<h1>Bad\tGateway</h1>"},
			"", "<html> <h1>Bad Gateway</h1>",
		},
		"cut off":     {svixmock.Fault{Status: 400, Body: `{"code":"generic_err`}, "", "generic_err"},
		"binary":      {svixmock.Fault{Status: 418, Body: "\x00\xff\x1b[31m"}, "", ""},
		"other types": {svixmock.Fault{Status: 400, Body: `{"code":7,"detail":{"a":1}}`}, "", ""},
		"list":        {svixmock.Fault{Status: 400, Body: `[1]`}, "", ""},
		"very long": {
			svixmock.Fault{
				Status: 400,
				Body:   `{"code":"` + strings.Repeat("é", 1000) + `","detail":"` + strings.Repeat("日", 1000) + `"}`,
			},
			"éé", "日日",
		},
		"unauthorised": {
			svixmock.Fault{
				Status: 401,
				Body:   `{"code":"authentication_failed","detail":"Invalid token"}`,
			},
			"authentication_failed", "Invalid token",
		},
		"unknown status": {svixmock.Fault{Status: 599}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					mock.FailRate(1, 1, tt.fault)
					err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
					var api *webhooks.APIError
					if !errors.As(err, &api) || api.StatusCode != tt.fault.Status || api.Op == "" {
						t.Fatalf("%s: got the error %v, want an APIError of status %d", name, err, tt.fault.Status)
					}
					if !strings.HasPrefix(api.Code, tt.code) || tt.code == "" && api.Code != "" ||
						!strings.Contains(api.Detail, tt.detail) {
						t.Errorf("%s: got the code %q and the detail %q, want %q and %q", name,
							api.Code, api.Detail, tt.code, tt.detail)
					}
					if len(api.Detail) > 300 || len(api.Code) > 300 ||
						strings.ContainsAny(api.Error(), "\x00\x1b\n\t") {
						t.Errorf("%s: the error is not fit to be shown: %q", name, api.Error())
					}
					checkNoSentinel(t, name, err)
				})
			}
		})
	}
}

// checkNoSentinel checks that an error does not claim to know what is missing.
func checkNoSentinel(t *testing.T, operation string, err error) {
	t.Helper()
	for _, sentinel := range []error{
		webhooks.ErrEventTypeNotFound, webhooks.ErrEndpointNotFound, webhooks.ErrEventTypeArchived,
		webhooks.ErrSecretRotationLimit,
		webhooks.ErrInvalidPayload, webhooks.ErrInvalidSchema, webhooks.ErrInvalidEndpoint,
	} {
		if errors.Is(err, sentinel) {
			t.Errorf("%s: got %v, want no %q", operation, err, sentinel)
		}
	}
}

// TestErrorTypesArePointers: errors.As wants pointers, and Error works on zero values.
func TestErrorTypesArePointers(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&webhooks.APIError{}, &webhooks.PayloadError{}, &webhooks.SchemaError{}} {
		if text := err.Error(); !strings.HasPrefix(text, "webhooks: ") || errors.Unwrap(err) != nil {
			t.Errorf("the zero %T says %q and wraps %v", err, text, errors.Unwrap(err))
		}
		wrapped := fmt.Errorf("sending: %w", err)
		var api *webhooks.APIError
		var payload *webhooks.PayloadError
		var schema *webhooks.SchemaError
		if !errors.As(wrapped, &api) && !errors.As(wrapped, &payload) && !errors.As(wrapped, &schema) {
			t.Errorf("%T is not found by errors.As", err)
		}
	}
	checkError(t, &webhooks.PayloadError{Violations: []webhooks.Violation{
		{Path: "/a", Message: "is bad"},
		{Message: "so is all"},
	}}, webhooks.ErrInvalidPayload, "/a: is bad; so is all")
	checkError(t, &webhooks.SchemaError{}, webhooks.ErrInvalidSchema)
}

// TestSuccessThatIsNotTheAPIIsAnError: a 2xx answer that is not what was asked for is an error.
func TestSuccessThatIsNotTheAPIIsAnError(t *testing.T) {
	t.Parallel()
	tests := map[string]svixmock.Fault{
		"empty 200": {Status: 200}, "204": {Status: 204}, "null": {Status: 200, Body: "null"},
		"object": {Status: 200, Body: "{}"}, "list": {Status: 200, Body: "[]"},
		"unrelated": {Status: 201, Body: `{"status":"ok"}`},
		"HTML":      {Status: 200, Body: "<html>Please log in</html>"}, "number": {Status: 202, Body: "1"},
		"cut off":    {Status: 200, Body: `{"data":[{"id":"ep_1"`},
		"two values": {Status: 200, Body: "{} {}"}, "data null": {Status: 200, Body: `{"data":null,"done":true}`},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				if fault.Status == http.StatusNoContent && strings.HasPrefix(name, "Delete") {
					continue // that is what the API promises
				}
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					mock.FailRate(1, 1, fault)
					err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
					var api *webhooks.APIError
					if !errors.As(err, &api) || api.StatusCode != fault.Status {
						t.Errorf("%s: got the error %v, want an APIError of status %d", name, err, fault.Status)
					}
				})
			}
		})
	}
}

// TestHalfAnAnswerIsNone: half an answer is none, whatever it says.
func TestHalfAnAnswerIsNone(t *testing.T) {
	t.Parallel()
	for name, do := range harness.Operations() {
		if strings.HasPrefix(name, "Delete") {
			continue // their answers are empty
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				mock.FailRate(1, 1, svixmock.Fault{Truncate: true})
				err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
				if api := (*webhooks.APIError)(nil); !errors.As(err, &api) ||
					api.StatusCode > 299 || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %v, want an APIError of a good status that wraps io.ErrUnexpectedEOF", err)
				}
			})
		})
	}
}

// TestRedirectsAreNotFollowed answers every request with a redirect.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			for name, do := range harness.Operations() {
				harness.InBubble(t, func(t *testing.T) {
					mock := harness.NewServer(t, svixmock.Config{})
					var elsewhere []string
					client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
						if r.URL.Host != "svix.test" {
							elsewhere = append(elsewhere, r.URL.String())
						}
						return mock.RoundTripper().RoundTrip(r)
					}), mock.Token())
					mock.FailRate(1, 1, svixmock.Fault{
						Status: status,
						Header: http.Header{"Location": {"https://elsewhere.example/api"}},
					})
					err := do(t.Context(), client)
					var api *webhooks.APIError
					if !errors.As(err, &api) || api.StatusCode != status ||
						!strings.Contains(err.Error(), "https") ||
						!strings.Contains(err.Error(), "https://elsewhere.example/api") {
						t.Errorf("%s: got %v, want an APIError of status %d with a hint", name, err, status)
					}
					if elsewhere != nil {
						t.Errorf("%s: the token went to %v", name, elsewhere)
					}
				})
			}
		})
	}
}

// TestLargeAnswersAreErrors: an answer above 16 MiB is an error with its status; of a page that is
// too large, less is asked for.
func TestLargeAnswersAreErrors(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	large := `{"name":"` + strings.Repeat(" ", 16<<20) + `"}`
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		mock.FailNext(1, svixmock.Fault{Status: status, Body: large})
		var api *webhooks.APIError
		if _, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate); !errors.As(err, &api) ||
			api.StatusCode != status || !strings.Contains(err.Error(), "16") {
			t.Errorf("got %v, want an APIError of status %d that says the limit", err, status)
		}
	}
	before := len(mock.Requests())
	mock.FailNext(2, svixmock.Fault{Status: http.StatusOK, Body: large})
	types, err := webhooks.Collect(client.ListEventTypes(t.Context()))
	if err != nil || len(types) != 2 {
		t.Errorf("got %d event types, %v; want 2", len(types), err)
	}
	var limits []string
	for _, r := range mock.Requests()[before:] {
		limits = append(limits, strings.TrimSuffix(strings.TrimPrefix(r.RawQuery, "limit="), "&with_content=true"))
	}
	if diff := cmp.Diff([]string{"250", "62", "15"}, limits); diff != "" {
		t.Errorf("limits that were asked for (-want +got):\n%s", diff)
	}
}

// TestSuccessWithoutContent: a 204 is the success of a deletion, and each other 2xx that is not
// what was asked for an error; never a panic, never a zero value.
func TestSuccessWithoutContent(t *testing.T) {
	t.Parallel()
	for name, do := range harness.Operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, fault := range []svixmock.Fault{
				{Status: 204},
				{Status: 200},
				{Status: 202},
				{Status: 205},
				{Status: 200, Body: "null"},
				{Status: 201, Body: "{}"},
				{Status: 200, Body: "[]"},
				{Status: 200, Body: `""`},
				{Status: 200, Body: `{"id":""}`},
				{Status: 200, Body: `{"id":null,"data":null}`},
				{Status: 200, Body: "<html>"},
			} {
				mock := harness.NewServer(t, svixmock.Config{})
				mock.FailRate(1, 1, fault)
				err := do(t.Context(), harness.NewClient(t, mock.RoundTripper(), mock.Token()))
				var api *webhooks.APIError
				isDone := fault.Status == 204 && name == "DeleteEventType" // DeleteEndpoint reads the endpoint first
				if isDone && err != nil || !isDone && (!errors.As(err, &api) || api.StatusCode != fault.Status) {
					t.Errorf("%d %s: got %v", fault.Status, fault.Body, err)
				}
			}
		})
	}
}

// TestNothingIsDoneTwiceByARedirect: a POST or DELETE that is redirected is not made a GET, not
// repeated and not reported as done.
func TestNothingIsDoneTwiceByARedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithoutListenerCheck())
		for name, do := range map[string]harness.Operation{
			"POST":   harness.Operations()["SendEvent"],
			"DELETE": harness.Operations()["DeleteEndpoint"],
		} {
			mock.FailNext(1, svixmock.Fault{
				Status: status,
				Header: http.Header{"Location": {"/api/v1/health"}},
				Only:   func(r *http.Request) bool { return r.Method == name },
			})
			sent := len(mock.Requests())
			var api *webhooks.APIError
			if err := do(t.Context(), client); !errors.As(err, &api) || api.StatusCode != status {
				t.Errorf("%d: got %v", status, err)
			}
			for _, r := range mock.Requests()[sent:] {
				if strings.HasSuffix(r.Path, "/health") || r.Method == http.MethodHead {
					t.Errorf("%d: was followed to %s %s", status, r.Method, r.Path)
				}
			}
		}
	}
}

// TestErrorsAreFoundAsPointers, with the server's own words in them.
func TestErrorsAreFoundAsPointers(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	mock.FailNext(1, svixmock.Fault{Status: 403, Body: `{"code":"insufficient access","detail":"no"}`})
	_, err := harness.NewClient(t, mock.RoundTripper(), mock.Token()).GetEventType(t.Context(),
		webhooks.TypeOriginCreate)
	var api *webhooks.APIError
	if !errors.As(fmt.Errorf("wrapped: %w", err), &api) || api.StatusCode != http.StatusForbidden ||
		api.Code != "insufficient access" || api.Detail != "no" {
		t.Errorf("got %#v", err)
	}
}

// TestDetailOfManyProblems: a refusal that lists millions of them costs no more than its text.
func TestDetailOfManyProblems(t *testing.T) { //nolint:paralleltest // it measures memory
	mock := harness.NewServer(t, svixmock.Config{})
	body := `{"code":"validation","detail":[` + strings.Repeat("{},", 5_000_000) + "{}]}"
	mock.FailNext(1, svixmock.Fault{Status: http.StatusUnprocessableEntity, Body: body})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate)
	runtime.ReadMemStats(&after)
	var api *webhooks.APIError
	if !errors.As(err, &api) || api.Code != "validation" || len(api.Detail) > 1000 {
		t.Errorf("got the error %.1000v", err)
	}
	const copies = 20 // of the answer on its way, and of its text to be shown
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(copies*len(body)) {
		t.Errorf("took %d MiB for %d MiB", took>>20, len(body)>>20)
	}
}
