package serde_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// FuzzCanonical: what is read back is JSON that means the same, and reading it again changes
// nothing.
func FuzzCanonical(f *testing.F) {
	for _, text := range []string{
		`{"origin_url":"https://git.example.org/r","n":[1E5,-0,-0.0,1.50],"a":{"b":1,"b":2}}`,
		`"\u0000\ud83d\ude00"`, `[1,]`, `{"a":tru}`, "", "\xff",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		canonical, err := serde.Canonical(text)
		if err != nil {
			return
		}
		var want, got any
		for into, source := range map[*any][]byte{&want: text, &got: canonical} {
			decoder := json.NewDecoder(bytes.NewReader(source))
			if err := decoder.Decode(into); err != nil {
				return // a number beyond a double
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("meaning (-want +got):\n%s", diff)
		}
		again, err := serde.Canonical(canonical)
		if err != nil || !bytes.Equal(canonical, again) {
			t.Errorf("got %s, read again %s and error %v", canonical, again, err)
		}
	})
}

// FuzzDecode: bodies, dates, queries and URLs are read or refused, whatever they are.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"url":"https://receiver.example","at":"2026-11-25T15:00:00Z","key":"whsec_AAAA","set":["a"],` +
			`"map":{"a":"b"},"n":-0,"any":{"a":[1e400]}}`,
		`["https://receiver.example"]`, `{"n":1e20}`, `{"set":[1]}`, `{"url":"http://[::1"}`,
		"2026-11-25 15:00:00.123 UTC", "a=%zz&a=+", "-9999-1-1 0:0:0z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var (
			url    serde.Opt[string]
			key    serde.Opt[serde.Key]
			set    serde.Opt[[]string]
			values serde.Opt[map[string]string]
			number serde.Opt[int64]
			value  serde.Opt[json.RawMessage]
		)
		err := serde.Decode([]byte(text), serde.Struct{Name: "FuzzIn", Members: []serde.Member{
			serde.Nullable("url", &url, serde.URL),
			serde.Nullable("key", &key, serde.Secret),
			serde.Optional("set", &set, serde.Set(nil)),
			serde.Optional("map", &values, serde.Map(serde.String)),
			serde.Optional("n", &number, serde.Int("u16", 0, 65535)),
			serde.Optional("any", &value, serde.JSONB),
		}})
		if err == nil && value.Has() && !json.Valid(value.Value) {
			t.Errorf("got %s, which is no JSON", value.Value)
		}
		if serde.HasNUL(value.Value) && err == nil && !bytes.Contains(value.Value, []byte("u0000")) {
			t.Errorf("found U+0000 in %s", value.Value)
		}
		if at, err := serde.ParseDate(text); err == nil && at.Nanosecond() < 0 {
			t.Errorf("got %v", at)
		}
		serde.ParseQuery(text).List("a")
		serde.Unescape(text)
	})
}
