package webhooks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/webhookstest"
)

const messageID = "msg_2Yq0000000000000000000000"

// signedHeader has the headers of a delivery, of the family that prefix begins.
func signedHeader(tb testing.TB, prefix, secret, id string, at time.Time, body []byte) http.Header {
	tb.Helper()
	signature, err := webhooks.SignPayload(secret, id, at, body)
	if err != nil {
		tb.Fatal(err)
	}
	header := http.Header{}
	header.Set(prefix+"id", id)
	header.Set(prefix+"timestamp", strconv.FormatInt(at.Unix(), 10))
	header.Set(prefix+"signature", signature)
	return header
}

type signatureVector struct {
	Note            string `json:"note"`
	Secret          string `json:"secret"`
	MessageID       string `json:"msg_id"`
	Timestamp       int64  `json:"timestamp"`
	Body            string `json:"utf8_body"`
	Signature       string `json:"utf8_signature"`
	PythonBody      string `json:"python_recomputed_body"`
	PythonSignature string `json:"python_recomputed_signature"`
}

func signatureVectors(t *testing.T) []signatureVector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []signatureVector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	return vectors
}

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	for _, v := range signatureVectors(t) {
		at := time.Unix(v.Timestamp, 0)
		bodies := map[string]string{v.Body: v.Signature}
		if v.PythonBody != "" {
			bodies[v.PythonBody] = v.PythonSignature
		}
		for body, signature := range bodies {
			got, err := webhooks.SignPayload(v.Secret, v.MessageID, at, []byte(body))
			if got != signature || err != nil {
				t.Errorf("%s: SignPayload = %q, %v; want %q", v.Note, got, err, signature)
			}
			for _, prefix := range []string{"svix-", "webhook-"} {
				t.Run(v.Note+" "+prefix, func(t *testing.T) {
					t.Parallel()
					header := http.Header{}
					header.Set(prefix+"id", v.MessageID)
					header.Set(prefix+"timestamp", strconv.FormatInt(v.Timestamp, 10))
					header.Set(prefix+"signature", signature)
					synctest.Test(t, func(t *testing.T) {
						harness.SleepUntil(at)
						got, err := webhooks.VerifyPayload(v.Secret, header, []byte(body))
						if string(got) != body || err != nil {
							t.Errorf("VerifyPayload = %s, %v; want %s", got, err, body)
						}
					})
				})
			}
		}
	}
}

func TestSignPayloadRefusesTheSecret(t *testing.T) {
	t.Parallel()
	const bad = "whsec_not?base64notbase64notbase64notba"
	got, err := webhooks.SignPayload(bad, messageID, time.Now(), nil)
	if got != "" || !errors.Is(err, webhooks.ErrInvalidSecret) {
		t.Errorf("got %q, %v; want an ErrInvalidSecret", got, err)
	}
	if strings.Contains(err.Error(), "base64notbase64") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestVerifyPayload(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	body := []byte(`{"foo":"bar"}`)
	good, err := webhooks.SignPayload(harness.SecretA, messageID, now, body)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := webhooks.SignPayload(harness.SecretB, messageID, now, body)
	if err != nil {
		t.Fatal(err)
	}
	signedAt := func(offset time.Duration) func(http.Header) {
		return func(h http.Header) {
			maps.Copy(h, signedHeader(t, "svix-", harness.SecretA, messageID, now.Add(offset), body))
		}
	}
	set := func(pairs ...string) func(http.Header) {
		return func(h http.Header) {
			for pair := range slices.Chunk(pairs, 2) {
				h.Set(pair[0], pair[1])
			}
		}
	}
	tests := map[string]struct {
		change func(h http.Header) // of a good delivery
		want   string              // the reason; empty: it verifies
	}{
		"as sent": {change: func(http.Header) {}},

		"last of several signatures":        {change: set("svix-signature", foreign+" "+good)},
		"first of several signatures":       {change: set("svix-signature", good+" "+foreign)},
		"beside other versions and rubbish": {change: set("svix-signature", "v1a,"+good[3:]+"  v2,x v1 v1, , "+good)},
		"in a second header line": {change: func(h http.Header) {
			h.Set("svix-signature", foreign)
			h.Add("svix-signature", good)
		}},
		"of another secret":         {change: set("svix-signature", foreign), want: "no matching signature"},
		"of another version":        {change: set("svix-signature", "v2,"+good[3:]), want: "no matching signature"},
		"of the asymmetric version": {change: set("svix-signature", "v1a,"+good[3:]), want: "no matching signature"},
		"version in upper case":     {change: set("svix-signature", "V1,"+good[3:]), want: "no matching signature"},
		"without version":           {change: set("svix-signature", good[3:]), want: "no matching signature"},
		"with more after it":        {change: set("svix-signature", good+","), want: "no matching signature"},
		"shortened": {
			change: set("svix-signature", good[:len(good)-1]),
			want:   "no matching signature",
		},
		"version alone":         {change: set("svix-signature", "v1,"), want: "no matching signature"},
		"signatures with a tab": {change: set("svix-signature", foreign+"\t"+good), want: "no matching signature"},
		"same bytes, unused bit set": {change: set("svix-signature",
			good[:len(good)-2]+string(good[len(good)-2]+1)+"="), want: "no matching signature"},

		"one second less than too old": {change: signedAt(-5 * time.Minute)},
		"too old":                      {change: signedAt(-5*time.Minute - time.Second), want: "too old"},
		"one second less than too new": {change: signedAt(5 * time.Minute)},
		"too new":                      {change: signedAt(5*time.Minute + time.Second), want: "too new"},
		"far too new":                  {change: set("svix-timestamp", "4611686018427387904"), want: "too new"},
		"at the epoch":                 {change: set("svix-timestamp", "0"), want: "too old"},
		"timestamp in words":           {change: set("svix-timestamp", "now"), want: "not a number"},
		"timestamp with a sign":        {change: set("svix-timestamp", "+1700000000"), want: "not a number"},
		"timestamp before the epoch":   {change: set("svix-timestamp", "-1"), want: "not a number"},
		"timestamp with a fraction":    {change: set("svix-timestamp", "1700000000.0"), want: "not a number"},
		"timestamp too long":           {change: set("svix-timestamp", "18446744073709551615"), want: "not a number"},
		"timestamp spelled otherwise":  {change: set("svix-timestamp", "01700000000"), want: "no matching signature"},

		"no headers": {change: func(h http.Header) {
			clear(h)
		}, want: "missing header Svix-Id, Svix-Timestamp, Svix-Signature"},
		"no message id": {change: func(h http.Header) { h.Del("svix-id") }, want: "missing header Svix-Id"},
		"no timestamp": {change: func(h http.Header) {
			h.Del("svix-timestamp")
		}, want: "missing header Svix-Timestamp"},
		"no signature": {change: func(h http.Header) {
			h.Del("svix-signature")
		}, want: "missing header Svix-Signature"},
		"empty signature":     {change: set("svix-signature", ""), want: "missing header Svix-Signature"},
		"empty message id":    {change: set("svix-id", ""), want: "missing header Svix-Id"},
		"other message id":    {change: set("svix-id", messageID+"1"), want: "no matching signature"},
		"message id too long": {change: set("svix-id", strings.Repeat("a", 257)), want: "longer than 256 bytes"},

		"svix wins over webhook": {change: set("webhook-id", "x", "webhook-timestamp", "x", "webhook-signature", "x")},
		"bad svix, good webhook": {
			change: func(h http.Header) {
				set("webhook-id", messageID, "webhook-timestamp", "1700000000", "webhook-signature", good)(h)
				h.Set("svix-signature", foreign)
			},
			want: "no matching signature",
		},
		"incomplete svix, good webhook": {change: func(h http.Header) {
			set("webhook-id", messageID, "webhook-timestamp", "1700000000", "webhook-signature", good)(h)
			h.Del("svix-signature")
		}},
		"families mixed": {
			change: func(h http.Header) {
				h.Del("svix-signature")
				h.Set("webhook-signature", good)
			},
			want: "missing header Svix-Signature",
		},
		"incomplete webhook": {
			change: func(h http.Header) {
				clear(h)
				set("webhook-id", messageID, "webhook-signature", good)(h)
			},
			want: "missing header Webhook-Timestamp",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := signedHeader(t, "svix-", harness.SecretA, messageID, now, body)
			tt.change(header)
			synctest.Test(t, func(t *testing.T) {
				harness.SleepUntil(now)
				got, err := webhooks.VerifyPayload(harness.SecretA, header, body)
				if tt.want == "" {
					if err != nil || !bytes.Equal(got, body) {
						t.Errorf("got %s, %v; want the body", got, err)
					}
					return
				}
				if got != nil || !errors.Is(err, webhooks.ErrVerification) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %s, %v; want an ErrVerification: %s", got, err, tt.want)
				}
			})
		})
	}
}

// A sender that is no Svix server may have keys that one would refuse.
func TestSecretsOfAnyLength(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 18, 23, 24, 75, 76, 1000} {
		secret := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, size))
		body := []byte(`{"origin_url":"https://git.example.org/"}`)
		header := signedHeader(t, "webhook-", secret, messageID, time.Now(), body)
		if _, err := webhooks.VerifyPayload(secret, header, body); err != nil {
			t.Errorf("key of %d bytes: %v", size, err)
		}
		if _, err := webhooks.VerifyPayload(harness.SecretA, header, body); !errors.Is(err, webhooks.ErrVerification) {
			t.Errorf("key of %d bytes: another secret verifies, %v", size, err)
		}
		h := webhooks.NewHandler([]string{secret}, func(context.Context, webhooks.Delivery) error {
			return nil
		}, silent())
		checkAnswer(t, serve(h, newRequest(t, secret, messageID, string(body))), http.StatusNoContent)
	}
}

func TestVerifyPayloadRefusesTheSecret(t *testing.T) {
	t.Parallel()
	body := []byte(`{}`)
	header := signedHeader(t, "svix-", harness.SecretA, messageID, time.Now(), body)
	for _, secret := range []string{
		"", "whsec_", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		harness.SecretA + "\n", harness.SecretA + "a",
	} {
		got, err := webhooks.VerifyPayload(secret, header, body)
		if got != nil || !errors.Is(err, webhooks.ErrVerification) || !errors.Is(err, webhooks.ErrInvalidSecret) {
			t.Errorf("secret %q: got %s, %v; want ErrVerification and ErrInvalidSecret", secret, got, err)
		}
	}
}

// Without a rule against dots, the signature of one delivery would prove another one, whose
// timestamp is part of the first one's body.
func TestVerifyPayloadRefusesAmbiguousMessageID(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ahead := strconv.FormatInt(now.Add(time.Minute).Unix(), 10)
	header := signedHeader(t, "svix-", harness.SecretA, "a", now, []byte(ahead+`.{"forged":true}`))
	header.Set("svix-id", "a."+header.Get("svix-timestamp"))
	header.Set("svix-timestamp", ahead)
	got, err := webhooks.VerifyPayload(harness.SecretA, header, []byte(`{"forged":true}`))
	if got != nil || !errors.Is(err, webhooks.ErrVerification) || !strings.Contains(err.Error(), "dot") {
		t.Errorf("got %s, %v; want a refusal of the dot", got, err)
	}
}

func TestFlippedBitNeverVerifies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		prefix := rapid.SampledFrom([]string{"svix-", "webhook-"}).Draw(rt, "prefix")
		id := rapid.StringMatching(`msg_[0-9A-Za-z]{1,40}`).Draw(rt, "id")
		body := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(rt, "body")
		header := signedHeader(t, prefix, harness.SecretA, id, time.Now(), body)
		if _, err := webhooks.VerifyPayload(harness.SecretA, header, body); err != nil {
			rt.Fatalf("before: %v", err)
		}
		part := rapid.SampledFrom([]string{"body", "id", "timestamp", "signature"}).Draw(rt, "part")
		if part == "body" {
			body = flipBit(rt, body)
		} else {
			name := prefix + part
			header.Set(name, string(flipBit(rt, []byte(header.Get(name)))))
		}
		if got, err := webhooks.VerifyPayload(harness.SecretA, header, body); got != nil ||
			!errors.Is(err, webhooks.ErrVerification) {
			rt.Fatalf("after: %s, %v; want an ErrVerification", got, err)
		}
	})
}

func flipBit(t *rapid.T, data []byte) []byte {
	bit := rapid.IntRange(0, 8*len(data)-1).Draw(t, "bit")
	data = slices.Clone(data)
	data[bit/8] ^= 1 << (bit % 8)
	return data
}

// newRequest returns a delivery signed now.
func newRequest(t *testing.T, secret, id, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header = signedHeader(t, "svix-", secret, id, time.Now(), []byte(body))
	r.Header.Set("X-Swh-Event", "origin.create")
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer
}

// checkAnswer makes sure that an answer says no more than its status.
func checkAnswer(t *testing.T, answer *httptest.ResponseRecorder, want int) {
	t.Helper()
	wantBody := http.StatusText(want) + "\n"
	if want == http.StatusNoContent {
		wantBody = ""
	}
	if body := answer.Body.String(); answer.Code != want || body != wantBody {
		t.Errorf("answer %d %q, want %d %q", answer.Code, body, want, wantBody)
	}
}

func silent() webhooks.HandlerOption {
	return webhooks.WithHandlerLogger(slog.New(slog.DiscardHandler))
}

func TestHandlerReceives(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"svix-", "webhook-"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			const body = `{"origin_url":"https://git.example.org/a?b=1&c=é"}`
			at := time.Unix(1700000000, 0)
			synctest.Test(t, func(t *testing.T) {
				harness.SleepUntil(at.Add(time.Minute))
				r := newRequest(t, harness.SecretA, messageID, body)
				r.Header = signedHeader(t, prefix, harness.SecretA, messageID, at, []byte(body))
				r.Header.Set("x-swh-event", "origin.create")
				var got []webhooks.Delivery
				h := webhooks.NewHandler([]string{harness.SecretB, harness.SecretA},
					func(ctx context.Context, d webhooks.Delivery) error {
						if ctx != r.Context() {
							t.Error("not the context of the request")
						}
						got = append(got, d)
						return nil
					}, silent())
				checkAnswer(t, serve(h, r), http.StatusNoContent)
				want := []webhooks.Delivery{{
					MessageID: messageID, EventType: "origin.create",
					Timestamp: at.UTC(), Payload: json.RawMessage(body),
				}}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("deliveries (-want +got):\n%s", diff)
				}
				if location := got[0].Timestamp.Location(); location != time.UTC {
					t.Errorf("the timestamp is in %v, want UTC", location)
				}
			})
		})
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	const body = `{"foo":"bar"}`
	signed := func(body string, offset time.Duration) func(r *http.Request) {
		return func(r *http.Request) {
			r.Header = signedHeader(t, "svix-", harness.SecretA, messageID, time.Now().Add(offset), []byte(body))
			r.Body = io.NopCloser(strings.NewReader(body))
		}
	}
	method := func(method string) func(r *http.Request) {
		return func(r *http.Request) { r.Method = method }
	}
	header := func(name, value string) func(r *http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := map[string]struct {
		change func(r *http.Request) // of a good delivery
		opts   []webhooks.HandlerOption
		want   int
	}{
		"GET":                {change: method(http.MethodGet), want: http.StatusMethodNotAllowed},
		"PUT":                {change: method(http.MethodPut), want: http.StatusMethodNotAllowed},
		"POST in lower case": {change: method("post"), want: http.StatusMethodNotAllowed},

		"no id":         {change: header("svix-id", ""), want: http.StatusBadRequest},
		"no timestamp":  {change: header("svix-timestamp", ""), want: http.StatusBadRequest},
		"no signature":  {change: header("svix-signature", ""), want: http.StatusBadRequest},
		"bad timestamp": {change: header("svix-timestamp", "x"), want: http.StatusBadRequest},
		"dot in id":     {change: header("svix-id", "a.b"), want: http.StatusBadRequest},
		"not JSON":      {change: signed(`{"foo":`, 0), want: http.StatusBadRequest},
		"empty body":    {change: signed("", 0), want: http.StatusBadRequest},
		"cut off body": {
			change: func(r *http.Request) {
				r.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), iotest.ErrReader(io.ErrUnexpectedEOF)))
			},
			want: http.StatusBadRequest,
		},

		"too old":       {change: signed(body, -6*time.Minute), want: http.StatusUnauthorized},
		"too new":       {change: signed(body, 6*time.Minute), want: http.StatusUnauthorized},
		"bad signature": {change: header("svix-signature", "v1,x"), want: http.StatusUnauthorized},
		"other id":      {change: header("svix-id", "msg_other"), want: http.StatusUnauthorized},
		"other body": {
			change: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"foo":"baz"}`)) },
			want:   http.StatusUnauthorized,
		},
		"other secret": {
			change: func(r *http.Request) {
				r.Header = signedHeader(t, "svix-", harness.SecretB, messageID, time.Now(), []byte(body))
			},
			want: http.StatusUnauthorized,
		},
		"older than its tolerance": {
			change: signed(body, -11*time.Second),
			opts:   []webhooks.HandlerOption{webhooks.WithTolerance(10 * time.Second)},
			want:   http.StatusUnauthorized,
		},

		"more than 1 MiB": {
			change: signed(`"`+strings.Repeat("a", 1<<20-1)+`"`, 0),
			want:   http.StatusRequestEntityTooLarge,
		},
		"more than its limit": {
			change: signed(body+" ", 0),
			opts:   []webhooks.HandlerOption{webhooks.WithMaxBody(int64(len(body)))},
			want:   http.StatusRequestEntityTooLarge,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
				t.Error("received")
				return nil
			}, append(tt.opts, silent())...)
			r := newRequest(t, harness.SecretA, messageID, body)
			tt.change(r)
			answer := serve(h, r)
			checkAnswer(t, answer, tt.want)
			wantAllow := ""
			if tt.want == http.StatusMethodNotAllowed {
				wantAllow = http.MethodPost
			}
			if got := answer.Header().Get("Allow"); got != wantAllow {
				t.Errorf("Allow %q, want %q", got, wantAllow)
			}
		})
	}
}

func TestHandlerLimits(t *testing.T) {
	t.Parallel()
	full := `"` + strings.Repeat("a", 1<<20-2) + `"`
	tests := map[string]struct {
		body string
		age  time.Duration
		opts []webhooks.HandlerOption
	}{
		"1 MiB":               {body: full},
		"more with an option": {body: full + " ", opts: []webhooks.HandlerOption{webhooks.WithMaxBody(1<<20 + 1)}},
		"zero is the default": {
			body: full, age: 4 * time.Minute,
			opts: []webhooks.HandlerOption{webhooks.WithMaxBody(0), webhooks.WithTolerance(0)},
		},
		"negative is the default": {
			body: full, age: 4 * time.Minute,
			opts: []webhooks.HandlerOption{webhooks.WithMaxBody(-1), webhooks.WithTolerance(-1)},
		},
		"older with an option": {
			body: full, age: time.Hour,
			opts: []webhooks.HandlerOption{webhooks.WithTolerance(time.Hour + time.Minute)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
				return nil
			}, tt.opts...)
			r := newRequest(t, harness.SecretA, messageID, tt.body)
			r.Header = signedHeader(t, "svix-", harness.SecretA, messageID, time.Now().Add(-tt.age), []byte(tt.body))
			checkAnswer(t, serve(h, r), http.StatusNoContent)
		})
	}
}

func TestHandlerThatCannotReceive(t *testing.T) {
	t.Parallel()
	receive := func(context.Context, webhooks.Delivery) error { return nil }
	tests := map[string]struct {
		secrets []string
		receive func(context.Context, webhooks.Delivery) error
		want    string // in the log
	}{
		"no secret": {receive: receive, want: "there is none"},
		"bad secret": {
			secrets: []string{harness.SecretA, "whsec_mistyped!"}, receive: receive,
			want: "secret 2 of 2",
		},
		"nothing to call": {secrets: []string{harness.SecretA}, want: "no receive function"},
		"nothing to call with what is decoded": {
			secrets: []string{harness.SecretA},
			receive: webhooks.DecodePayload[webhooks.OriginCreate](nil),
			want:    "no receive function",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			h := webhooks.NewHandler(tt.secrets, tt.receive,
				webhooks.WithHandlerLogger(slog.New(slog.NewTextHandler(&logged, nil))))
			if got := logged.String(); !strings.Contains(got, "level=ERROR") ||
				!strings.Contains(got, tt.want) || strings.Contains(got, "mistyped") {
				t.Errorf("logged %q, want an error with %q and without the secret", got, tt.want)
			}
			checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`)), http.StatusInternalServerError)
		})
	}
}

func TestHandlerTriesAgainAfterFailure(t *testing.T) {
	t.Parallel()
	failures := map[string]func() error{
		"error":         func() error { return errors.New("boom " + harness.SecretA) },
		"panic":         func() error { panic("boom") },
		"panic, nil":    func() error { panic(nil) },
		"abort handler": func() error { panic(http.ErrAbortHandler) },
		"verification":  func() error { return webhooks.ErrVerification },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
				if calls++; calls <= 2 {
					return fail()
				}
				return nil
			}, silent())
			for _, want := range []int{500, 500, 204, 204} {
				checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`)), want)
			}
			if calls != 3 {
				t.Errorf("received %d times, want 3: a message that was received is not received again", calls)
			}
		})
	}
}

func TestHandlerLogsTheReason(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
		panic("boom")
	},
		webhooks.WithHandlerLogger(slog.New(slog.NewTextHandler(&logged, nil))))
	serve(h, newRequest(t, harness.SecretB, messageID, `{"private":true}`))
	serve(h, newRequest(t, harness.SecretA, messageID, `{"private":true}`))
	lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("logged %q, want two lines", lines)
	}
	for i, wants := range [][]string{
		{"level=WARN", "status=401", messageID, "no matching signature"},
		// with the stack
		{"level=ERROR", "status=500", messageID, "receive panicked: boom", "TestHandlerLogsTheReason"},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("logged %q, want %q in it", lines[i], want)
			}
		}
	}
	for _, secret := range []string{harness.SecretA, harness.SecretB, "private", "v1,"} {
		if strings.Contains(logged.String(), secret) {
			t.Errorf("logged %q, which shows %q", logged.String(), secret)
		}
	}
}

// Not parallel: the default logger is one for all.
func TestHandlerLogsToTheDefaultLogger(t *testing.T) {
	logger, output, flags := slog.Default(), log.Writer(), log.Flags() // SetDefault redirects package log too
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(output)
		log.SetFlags(flags)
	})
	for name, opts := range map[string][]webhooks.HandlerOption{
		"no option": nil,
		"nil":       {webhooks.WithHandlerLogger(nil)},
	} {
		var logged bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
		webhooks.NewHandler(nil, nil, opts...)
		if !strings.Contains(logged.String(), "webhooks cannot be received") {
			t.Errorf("%s: logged %q, want that nothing can be received", name, logged.String())
		}
	}
}

func TestReplayIsNotReceived(t *testing.T) {
	t.Parallel()
	var got []string
	receive := func(_ context.Context, d webhooks.Delivery) error {
		got = append(got, d.MessageID)
		return nil
	}
	guarded := webhooks.NewHandler([]string{harness.SecretA, harness.SecretB}, receive)
	// A later attempt has another timestamp and signature, perhaps of another secret.
	checkAnswer(t, serve(guarded, newRequest(t, harness.SecretA, "a", `{}`)), http.StatusNoContent)
	checkAnswer(t, serve(guarded, newRequest(t, harness.SecretB, "a", `{}`)), http.StatusNoContent)
	checkAnswer(t, serve(guarded, newRequest(t, harness.SecretA, "b", `{}`)), http.StatusNoContent)

	unguarded := webhooks.NewHandler([]string{harness.SecretA}, receive, webhooks.WithReplayGuard(nil))
	checkAnswer(t, serve(unguarded, newRequest(t, harness.SecretA, "a", `{}`)), http.StatusNoContent)
	checkAnswer(t, serve(unguarded, newRequest(t, harness.SecretA, "a", `{}`)), http.StatusNoContent)
	if diff := cmp.Diff([]string{"a", "b", "a", "a"}, got); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}

// A forged delivery must not make the handler take the genuine one for a replay.
func TestRefusedDeliveryIsNotRemembered(t *testing.T) {
	t.Parallel()
	calls := 0
	h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
		calls++
		return nil
	}, silent())
	checkAnswer(t, serve(h, newRequest(t, harness.SecretB, messageID, `{}`)), http.StatusUnauthorized)
	checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`)), http.StatusNoContent)
	if calls != 1 {
		t.Errorf("received %d times, want once", calls)
	}
}

func TestConcurrentDeliveriesWaitForTheOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outcomes := make(chan error)
		calls := 0 // only one call runs at a time
		h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
			calls++
			return <-outcomes
		}, silent())
		answers := make(chan int, 5)
		for range cap(answers) {
			r := newRequest(t, harness.SecretA, messageID, `{}`)
			go func() { answers <- serve(h, r).Code }()
		}
		synctest.Wait()
		outcomes <- errors.New("boom")
		if got := <-answers; got != http.StatusInternalServerError {
			t.Errorf("the one that failed answered %d", got)
		}
		synctest.Wait()
		if len(answers) != 0 {
			t.Errorf("%d answered while another one was being received", len(answers))
		}
		outcomes <- nil
		for range cap(answers) - 1 {
			if got := <-answers; got != http.StatusNoContent {
				t.Errorf("answered %d after the message was received", got)
			}
		}
		if calls != 2 {
			t.Errorf("received %d times, want 2: once failing", calls)
		}
	})
}

func TestWaitingDeliveryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outcomes := make(chan error)
		calls := 0
		h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
			calls++
			return <-outcomes
		}, silent())
		first := make(chan int)
		r := newRequest(t, harness.SecretA, messageID, `{}`)
		go func() { first <- serve(h, r).Code }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`).WithContext(ctx)),
			http.StatusInternalServerError)
		outcomes <- nil
		if got := <-first; got != http.StatusNoContent || calls != 1 {
			t.Errorf("the first one answered %d, %d calls; want 204, 1", got, calls)
		}
	})
}

func TestManyDeliveriesOfOneMessageAreSentAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outcome := make(chan error)
		h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
			return <-outcome
		}, silent())
		answers := make(chan int, 200)
		for range cap(answers) {
			r := newRequest(t, harness.SecretA, messageID, `{}`)
			go func() { answers <- serve(h, r).Code }()
		}
		synctest.Wait()
		if got := len(answers); got != 195 {
			t.Errorf("%d of 200 answered while one is being received, want 195", got)
		}
		for range len(answers) {
			if got := <-answers; got != http.StatusServiceUnavailable {
				t.Errorf("answered %d, want 503", got)
			}
		}
		outcome <- nil
		for range 5 {
			if got := <-answers; got != http.StatusNoContent {
				t.Errorf("answered %d after the message was received", got)
			}
		}
	})
}

// The sender of a replay reads the clock, too: it sends the headers while they are young, and the
// body when the guard has forgotten the message.
func TestBodyThatTakesLongIsNotReceived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
			t.Error("received")
			return nil
		}, silent())
		r := newRequest(t, harness.SecretA, messageID, `{}`)
		body, pipe := io.Pipe()
		r.Body = body
		go func() {
			time.Sleep(11 * time.Minute)
			_, _ = io.WriteString(pipe, `{}`)
			_ = pipe.Close()
		}()
		checkAnswer(t, serve(h, r), http.StatusUnauthorized)
	})
}

func TestHandlerTellsOfASmallGuard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		guard := webhooks.NewMemoryReplayGuard(3, time.Hour)
		h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
			return nil
		},
			webhooks.WithReplayGuard(guard), webhooks.WithHandlerLogger(slog.New(slog.NewTextHandler(&logged, nil))))
		for i := range 60 { // in two minutes
			checkAnswer(t, serve(h, newRequest(t, harness.SecretA, strconv.Itoa(i), `{}`)), http.StatusNoContent)
			time.Sleep(2 * time.Second)
		}
		if got := strings.Count(logged.String(), "level=WARN"); got != 2 {
			t.Errorf("%d warnings, want 2, one a minute: %s", got, logged.String())
		}
		if got := logged.String(); !strings.Contains(got, "forgotten=1\n") || !strings.Contains(got, "forgotten=30\n") {
			t.Errorf("logged %s, want how many messages were forgotten since it last said so", got)
		}
	})
}

func TestHandlerLogsWhatItDoesNotReceiveAgain(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error { return nil },
		webhooks.WithHandlerLogger(slog.New(slog.NewTextHandler(&logged,
			&slog.HandlerOptions{Level: slog.LevelDebug}))))
	for range 2 {
		checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`)), http.StatusNoContent)
	}
	if got := logged.String(); strings.Count(got, "\n") != 1 ||
		!strings.Contains(got, "level=DEBUG") || !strings.Contains(got, messageID) {
		t.Errorf("logged %q, want one line about the second delivery", got)
	}
}

func TestDiscardedDeliveryIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	calls := 0
	h := webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
		calls++
		return fmt.Errorf("no such repository: %w", webhooks.ErrDiscard)
	}, webhooks.WithHandlerLogger(slog.New(slog.NewTextHandler(&logged, nil))))
	for range 2 {
		checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`)), http.StatusNoContent)
	}
	if calls != 1 {
		t.Errorf("received %d times, want once", calls)
	}
	for _, want := range []string{"level=WARN", "no such repository", messageID} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("logged %q, want %q in it", logged.String(), want)
		}
	}
}

func TestHandlerAsksForSecrets(t *testing.T) {
	t.Parallel()
	const secretC = "whsec_cccccccccccccccccccccccccccccccc"
	type answer struct {
		secrets []string
		err     error
	}
	tests := map[string]struct {
		given  []string
		answer answer
		want   map[string]int // status of a delivery signed with the secret
	}{
		"none given": {
			answer: answer{secrets: []string{harness.SecretA, harness.SecretB}},
			want:   map[string]int{harness.SecretA: 204, harness.SecretB: 204, secretC: 401},
		},
		"one given": {
			given:  []string{harness.SecretA},
			answer: answer{secrets: []string{harness.SecretB}},
			want:   map[string]int{harness.SecretA: 204, harness.SecretB: 204, secretC: 401},
		},
		"one given and no more": {
			given: []string{harness.SecretA},
			want:  map[string]int{harness.SecretA: 204, harness.SecretB: 401},
		},
		"none at all": {want: map[string]int{harness.SecretA: 500}},
		"one is no secret": {
			answer: answer{secrets: []string{harness.SecretA, "mistyped"}},
			want:   map[string]int{harness.SecretA: 500},
		},
		"store is down": {
			given:  []string{harness.SecretA},
			answer: answer{err: errors.New("store is down")}, want: map[string]int{harness.SecretA: 500},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for secret, want := range tt.want {
				r := newRequest(t, secret, messageID, `{}`)
				h := webhooks.NewHandler(tt.given, func(context.Context, webhooks.Delivery) error { return nil },
					webhooks.WithSecretsFunc(func(ctx context.Context) ([]string, error) {
						if ctx != r.Context() {
							t.Error("not the context of the request")
						}
						return tt.answer.secrets, tt.answer.err
					}), silent())
				checkAnswer(t, serve(h, r), want)
			}
		})
	}
}

func TestHandlerFollowsARotationAndKeepsItsMemory(t *testing.T) {
	t.Parallel()
	secret, calls := harness.SecretA, 0
	h := webhooks.NewHandler(nil, func(context.Context, webhooks.Delivery) error {
		calls++
		return nil
	}, webhooks.WithSecretsFunc(func(context.Context) ([]string, error) { return []string{secret}, nil }), silent())
	checkAnswer(t, serve(h, newRequest(t, harness.SecretA, "a", `{}`)), http.StatusNoContent)
	secret = harness.SecretB
	checkAnswer(t, serve(h, newRequest(t, harness.SecretA, "b", `{}`)), http.StatusUnauthorized)
	checkAnswer(t, serve(h, newRequest(t, harness.SecretB, "a", `{}`)), http.StatusNoContent)
	if calls != 1 {
		t.Errorf("received %d times, want once", calls)
	}
}

func TestHandlerSurvivesAFunctionForSecretsThatPanics(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	h := webhooks.NewHandler(nil, func(context.Context, webhooks.Delivery) error { return nil },
		webhooks.WithSecretsFunc(func(context.Context) ([]string, error) { panic("boom") }),
		webhooks.WithHandlerLogger(slog.New(slog.NewTextHandler(&logged, nil))))
	checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`)), http.StatusInternalServerError)
	if got := logged.String(); !strings.Contains(got, "asking for secrets") || !strings.Contains(got, "boom") {
		t.Errorf("logged %q, want the panic", got)
	}
}

func TestDecodePayload(t *testing.T) {
	t.Parallel()
	var got []string
	h := webhooks.NewHandler([]string{harness.SecretA},
		webhooks.DecodePayload(func(_ context.Context, d webhooks.Delivery, origin webhooks.OriginCreate) error {
			got = append(got, d.MessageID, origin.OriginURL)
			return nil
		}), silent())
	checkAnswer(t, serve(h, newRequest(t, harness.SecretA, "a", `{"origin_url":"https://git.example.org/project"}`)),
		http.StatusNoContent)
	checkAnswer(t, serve(h, newRequest(t, harness.SecretA, "b", `{"origin_url":3}`)), http.StatusInternalServerError)
	checkAnswer(t, serve(h, newRequest(t, harness.SecretA, "b", `{"origin_url":"https://git.example.org/mended"}`)),
		http.StatusNoContent)
	if diff := cmp.Diff([]string{"a", "https://git.example.org/project", "b", "https://git.example.org/mended"},
		got); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}

func TestDecodePayloadRefuses(t *testing.T) {
	t.Parallel()
	receive := webhooks.DecodePayload(func(context.Context, webhooks.Delivery, webhooks.OriginVisit) error {
		t.Error("received")
		return nil
	})
	err := receive(t.Context(), webhooks.Delivery{MessageID: messageID, Payload: json.RawMessage(`[]`)})
	if !errors.Is(err, webhooks.ErrInvalidPayload) {
		t.Errorf("got %v, want an ErrInvalidPayload", err)
	}
}

type guardFunc func(ctx context.Context, messageID string, receive func(ctx context.Context) error) error

func (g guardFunc) Once(ctx context.Context, messageID string, receive func(ctx context.Context) error) error {
	return g(ctx, messageID, receive)
}

func TestHandlerAsksItsReplayGuard(t *testing.T) {
	t.Parallel()
	type key struct{}
	tests := map[string]struct {
		guard guardFunc
		want  int
		calls int
	}{
		"received before": {
			guard: func(context.Context, string, func(context.Context) error) error { return nil },
			want:  http.StatusNoContent,
		},
		"cannot tell": {
			guard: func(context.Context, string, func(context.Context) error) error {
				return errors.New("store is down")
			},
			want: http.StatusInternalServerError,
		},
		"receives in a transaction": {
			guard: func(ctx context.Context, _ string, receive func(context.Context) error) error {
				return receive(context.WithValue(ctx, key{}, "transaction"))
			},
			want:  http.StatusNoContent,
			calls: 1,
		},
		"cannot commit": {
			guard: func(ctx context.Context, _ string, receive func(context.Context) error) error {
				return errors.Join(receive(context.WithValue(ctx, key{}, "transaction")), errors.New("commit"))
			},
			want:  http.StatusInternalServerError,
			calls: 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			guard := guardFunc(func(ctx context.Context, id string, receive func(context.Context) error) error {
				if id != messageID {
					t.Errorf("asked for message %q, want %q", id, messageID)
				}
				return tt.guard(ctx, id, receive)
			})
			h := webhooks.NewHandler([]string{harness.SecretA}, func(ctx context.Context, _ webhooks.Delivery) error {
				calls++
				if ctx.Value(key{}) != "transaction" {
					t.Error("not the context of the guard")
				}
				return nil
			}, webhooks.WithReplayGuard(guard), silent())
			checkAnswer(t, serve(h, newRequest(t, harness.SecretA, messageID, `{}`)), tt.want)
			if calls != tt.calls {
				t.Errorf("received %d times, want %d", calls, tt.calls)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	snapshot := "swh:1:snp:" + strings.Repeat("0", 40)
	tests := map[string]struct {
		payload string
		into    any
		want    any
	}{
		"origin.create": {
			payload: `{"origin_url":"https://git.example.org/é?a&b","more":1}`,
			into:    &webhooks.OriginCreate{},
			want:    &webhooks.OriginCreate{OriginURL: "https://git.example.org/é?a&b"},
		},
		"origin.visit": {
			payload: `{"origin_url":"u","snapshot_swhid":"` + snapshot +
				`","visit_date":"2026-11-23T10:00:00+00:00","visit_status":"full","visit_type":"git"}`,
			into: &webhooks.OriginVisit{},
			want: &webhooks.OriginVisit{
				OriginURL: "u", VisitType: "git", VisitDate: "2026-11-23T10:00:00+00:00",
				VisitStatus: webhooks.VisitFull, SnapshotSWHID: &snapshot,
			},
		},
		"origin.visit without snapshot, date without offset": {
			payload: `{"origin_url":"u","snapshot_swhid":null,"visit_date":"2026-11-23T10:00:00",` +
				`"visit_status":"not_found","visit_type":"hg"}`,
			into: &webhooks.OriginVisit{},
			want: &webhooks.OriginVisit{
				OriginURL: "u", VisitType: "hg",
				VisitDate: "2026-11-23T10:00:00", VisitStatus: webhooks.VisitNotFound,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := webhooks.Delivery{MessageID: messageID, Payload: json.RawMessage(tt.payload)}
			if err := d.Decode(tt.into); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tt.into); diff != "" {
				t.Errorf("payload (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	d := webhooks.Delivery{MessageID: messageID, Payload: json.RawMessage(`{"origin_url":3}`)}
	err := d.Decode(&webhooks.OriginCreate{})
	var typeErr *json.UnmarshalTypeError
	if !errors.Is(err, webhooks.ErrInvalidPayload) || !errors.As(err, &typeErr) ||
		!strings.Contains(err.Error(), messageID) {
		t.Errorf("got %v, want an ErrInvalidPayload that names the message and the field", err)
	}
}

const receiverURL = "https://receiver.example/webhooks"

// sender returns a client of a server that knows origin.visit and delivers it, signed with secretA,
// to receiverURL. It belongs in a synctest bubble.
func sender(t *testing.T, opts ...webhookstest.Option) (*webhookstest.Server, *webhooks.Client) {
	t.Helper()
	srv := webhookstest.NewServer(t, append(opts, webhookstest.InMemory())...)
	client := srv.Client()
	for _, et := range webhooks.DefaultEventTypes() {
		if err := client.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.CreateEndpoint(t.Context(), receiverEndpoint(), harness.SecretA); err != nil {
		t.Fatal(err)
	}
	return srv, client
}

func receiverEndpoint() webhooks.Endpoint {
	return webhooks.Endpoint{URL: receiverURL, EventType: "origin.visit"}
}

// send sends an event and waits until n deliveries in all were attempted.
func send(t *testing.T, srv *webhookstest.Server, client *webhooks.Client, payload any, n int) webhooks.Message {
	t.Helper()
	msg, err := client.SendEvent(t.Context(), webhooks.Event{Type: "origin.visit", Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitForDeliveries(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return msg
}

func statuses(srv *webhookstest.Server) []int {
	var statuses []int
	for _, d := range srv.Deliveries() {
		statuses = append(statuses, d.Status)
	}
	return statuses
}

// How to test a receiver: what the server delivers is what Svix would deliver.
func TestReceiver(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]webhookstest.Option{
		"webhook headers": nil,
		"svix headers":    {webhookstest.WithSvixHeaders()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, client := sender(t, opts...)
				var delivery webhooks.Delivery
				var received webhooks.OriginVisit
				srv.Handle(receiverURL, webhooks.NewHandler([]string{harness.SecretA},
					func(_ context.Context, d webhooks.Delivery) error {
						delivery = d
						return d.Decode(&received)
					}))
				sent := webhooks.OriginVisit{
					OriginURL:   "https://git.example.org/é?a&b",
					VisitType:   "git",
					VisitDate:   webhooks.NewVisitDate(time.Now()),
					VisitStatus: webhooks.VisitFailed,
				}
				msg := send(t, srv, client, sent, 1)
				if diff := cmp.Diff(sent, received); diff != "" {
					t.Errorf("payload (-sent +received):\n%s", diff)
				}
				want := webhooks.Delivery{
					MessageID: msg.ID,
					EventType: "origin.visit",
					Timestamp: time.Now().UTC(),
					// The Python module sends the same bytes.
					Payload: []byte(`{"origin_url":"https://git.example.org/é?a&b","snapshot_swhid":null,` +
						`"visit_date":"2000-01-01T00:00:00+00:00","visit_status":"failed","visit_type":"git"}`),
				}
				if diff := cmp.Diff(want, delivery); diff != "" {
					t.Errorf("delivery (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReceiverWhileTheSecretIsRotated(t *testing.T) {
	t.Parallel()
	const secretC = "whsec_cccccccccccccccccccccccccccccccc"
	tests := map[string]struct {
		secrets []string
		want    []int // before the rotation, after it, and when the old secret has expired
	}{
		"old one":      {secrets: []string{harness.SecretA}, want: []int{204, 204, 401}},
		"new one":      {secrets: []string{harness.SecretB}, want: []int{401, 204, 204}},
		"both":         {secrets: []string{harness.SecretA, harness.SecretB}, want: []int{204, 204, 204}},
		"another one":  {secrets: []string{secretC}, want: []int{401, 401, 401}},
		"one too many": {secrets: []string{secretC, harness.SecretB, harness.SecretA}, want: []int{204, 204, 204}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, client := sender(t, webhookstest.WithRetrySchedule())
				srv.Handle(receiverURL, webhooks.NewHandler(tt.secrets, func(context.Context, webhooks.Delivery) error {
					return nil
				}, silent()))
				payload := webhooks.OriginVisit{VisitStatus: webhooks.VisitFull}
				send(t, srv, client, payload, 1)
				if err := client.CreateEndpoint(t.Context(), receiverEndpoint(), harness.SecretB); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // the server caches an endpoint's keys for a while
				send(t, srv, client, payload, 2)
				time.Sleep(25 * time.Hour)
				send(t, srv, client, payload, 3)
				if diff := cmp.Diff(tt.want, statuses(srv)); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReceiverThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, client := sender(t)
		calls := 0
		srv.Handle(receiverURL, webhooks.NewHandler([]string{harness.SecretA},
			func(context.Context, webhooks.Delivery) error {
				switch calls++; calls {
				case 1:
					return errors.New("boom")
				case 2:
					panic("boom")
				}
				return nil
			}, silent()))
		send(t, srv, client, webhooks.OriginVisit{VisitStatus: webhooks.VisitFull}, 3)
		time.Sleep(48 * time.Hour) // longer than the server would try again
		if diff := cmp.Diff([]int{500, 500, 204}, statuses(srv)); diff != "" || calls != 3 {
			t.Errorf("received %d times, want 3; answers (-want +got):\n%s", calls, diff)
		}
	})
}

// While the guard remembers a message, its sender is told that it was received. An operator who
// wants it received again waits until its timestamps of then are too old.
func TestReceiverAndAMessageThatIsResent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		after time.Duration
		opts  []webhooks.HandlerOption
		want  int // times that it is received
	}{
		"soon":  {after: 9 * time.Minute, want: 1},
		"later": {after: 11 * time.Minute, want: 2},
		"with twice the tolerance": {
			after: 19 * time.Minute,
			opts:  []webhooks.HandlerOption{webhooks.WithTolerance(10 * time.Minute)}, want: 1,
		},
		"a guard that keeps it longer": {
			after: 24 * time.Hour,
			opts:  []webhooks.HandlerOption{webhooks.WithReplayGuard(webhooks.NewMemoryReplayGuard(0, 25*time.Hour))},
			want:  1,
		},
		"a guard that keeps it for a bit": {
			after: 2 * time.Minute,
			opts:  []webhooks.HandlerOption{webhooks.WithReplayGuard(webhooks.NewMemoryReplayGuard(10, time.Minute))},
			want:  2,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, client := sender(t)
				calls := 0
				srv.Handle(receiverURL, webhooks.NewHandler([]string{harness.SecretA},
					func(context.Context, webhooks.Delivery) error {
						calls++
						return nil
					}, tt.opts...))
				msg := send(t, srv, client, webhooks.OriginVisit{VisitStatus: webhooks.VisitFull}, 1)
				time.Sleep(tt.after)
				resend(t, srv, msg)
				if err := srv.WaitForDeliveries(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]int{204, 204}, statuses(srv)); diff != "" || calls != tt.want {
					t.Errorf("received %d times, want %d; answers (-want +got):\n%s", calls, tt.want, diff)
				}
			})
		})
	}
}

// resend does what the operator of a Svix server can do.
func resend(t *testing.T, srv *webhookstest.Server, msg webhooks.Message) {
	t.Helper()
	const app = "21dacaea-7e38-5e52-80af-4d926f0c43d1" // of origin.visit
	url := srv.URL + "/api/v1/app/" + app + "/msg/" + msg.ID + "/endpoint/" + receiverEndpoint().UID() + "/resend"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+srv.Token)
	answer, err := srv.RoundTripper().RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusAccepted {
		t.Fatalf("resend: %s", answer.Status)
	}
}

// TestVerificationIsStricterThanTheSDKs: what the SDK's verification overlooks.
func TestVerificationIsStricterThanTheSDKs(t *testing.T) {
	t.Parallel()
	body := []byte(`{}`)
	header := signedHeader(t, "webhook-", harness.SecretA, messageID, time.Now(), body)
	good := header.Get("Webhook-Signature")
	for name, test := range map[string]struct {
		change func(http.Header)
		ok     bool
	}{
		"second line":    {func(h http.Header) { h["Webhook-Signature"] = []string{"v1,AAAA", good} }, true},
		"first line":     {func(h http.Header) { h["Webhook-Signature"] = []string{good, "v1,AAAA"} }, true},
		"other versions": {func(h http.Header) { h.Set("Webhook-Signature", "v1a,AAAA v2,x garbage "+good) }, true},
		"id with a dot":  {func(h http.Header) { h.Set("Webhook-Id", messageID+".1") }, false},
		"signed timestamp": {func(h http.Header) {
			h.Set("Webhook-Timestamp", "+"+h.Get("Webhook-Timestamp"))
		}, false},
		"no signature":    {func(h http.Header) { h.Del("Webhook-Signature") }, false},
		"empty signature": {func(h http.Header) { h.Set("Webhook-Signature", "v1,") }, false},
		"another's version": {func(h http.Header) {
			h.Set("Webhook-Signature", strings.Replace(good, "v1,", "v2,", 1))
		}, false},
	} {
		changed := header.Clone()
		test.change(changed)
		if _, err := webhooks.VerifyPayload(harness.SecretA, changed, body); (err == nil) != test.ok ||
			err != nil && !errors.Is(err, webhooks.ErrVerification) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
