package audience_test

import (
	"testing"

	"github.com/softwareheritage/webhooks/internal/audience"
	"github.com/softwareheritage/webhooks/internal/endpoint"
)

func TestMayHear(t *testing.T) {
	t.Parallel()
	const eventType = "origin.create"
	onA := endpoint.Stored{FilterTypes: []string{eventType}, Channels: []string{"a", "b"}}
	disabled, other, everywhere := onA, onA, onA
	disabled.Disabled = true
	other.FilterTypes = []string{"origin.visit"}
	everywhere.Channels = nil
	tests := map[string]struct {
		endpoints []endpoint.Stored
		others    bool
		hears     [3]bool // what is sent on a, on c, on no channel
	}{
		"nobody":                {nil, false, [3]bool{}},
		"two channels":          {[]endpoint.Stored{onA}, false, [3]bool{true, false, false}},
		"disabled":              {[]endpoint.Stored{disabled}, false, [3]bool{}},
		"another event type":    {[]endpoint.Stored{other}, false, [3]bool{}},
		"no filter, no channel": {[]endpoint.Stored{{}}, false, [3]bool{true, true, true}},
		"every channel":         {[]endpoint.Stored{onA, everywhere}, false, [3]bool{true, true, true}},
		"unknown others":        {[]endpoint.Stored{disabled}, true, [3]bool{true, true, true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a audience.Audience
			for _, s := range tt.endpoints {
				a.Add(s, eventType)
			}
			if tt.others {
				a = a.AndOthers()
			}
			for i, channels := range [][]string{{"a"}, {"c"}, nil} {
				if got := a.MayHear(channels); got != tt.hears[i] {
					t.Errorf("sent on %q: got %v, want %v", channels, got, tt.hears[i])
				}
			}
		})
	}
}
