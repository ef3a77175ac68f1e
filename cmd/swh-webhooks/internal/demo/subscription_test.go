package demo_test

import (
	"testing"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/demo"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	due := map[string]webhooks.Event{
		"msg_1": {
			Type:    "origin.create",
			Payload: webhooks.OriginCreate{OriginURL: "https://example.org/é&"},
		},
		"msg_2": {Type: "origin.create", Payload: webhooks.OriginCreate{OriginURL: "2"}},
	}
	one := webhooks.Delivery{
		MessageID: "msg_1", EventType: "origin.create",
		Payload: []byte(`{"origin_url":"https://example.org/é&"}`),
	}
	two := webhooks.Delivery{
		MessageID: "msg_2", EventType: "origin.create",
		Payload: []byte(`{"origin_url":"2"}`),
	}
	escaped, mistaken, stray := one, one, one
	escaped.Payload = []byte(`{"origin_url":"https://example.org/\u00e9&"}`)
	mistaken.EventType = "origin.visit"
	stray.MessageID = "msg_3"

	tests := map[string]struct {
		arrived  []webhooks.Delivery
		verdict  string
		complete bool
	}{
		"all": {
			[]webhooks.Delivery{two, one},
			"2 of 2 deliveries verified",
			true,
		},
		"none": {nil, "0 of 2 deliveries verified, 2 missing", false},
		"one lost": {
			[]webhooks.Delivery{one},
			"1 of 2 deliveries verified, 1 missing", false,
		},
		"one twice": {
			[]webhooks.Delivery{one, two, one},
			"2 of 2 deliveries verified, 1 too many", false,
		},
		"one altered": {
			[]webhooks.Delivery{escaped, two},
			"1 of 2 deliveries verified, 1 altered", false,
		},
		"one of another type": {
			[]webhooks.Delivery{mistaken, two},
			"1 of 2 deliveries verified, 1 altered", false,
		},
		"one that nobody sent": {
			[]webhooks.Delivery{one, two, stray},
			"2 of 2 deliveries verified, 1 too many", false,
		},
		"altered, then repeated": {
			[]webhooks.Delivery{escaped, one},
			"0 of 2 deliveries verified, 1 missing, 1 altered, 1 too many", false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdict, complete := demo.Check(due, tt.arrived)
			if verdict != tt.verdict || complete != tt.complete {
				t.Errorf("got %q, %t, want %q, %t", verdict, complete, tt.verdict, tt.complete)
			}
		})
	}
}
