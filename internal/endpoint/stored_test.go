package endpoint_test

import (
	"maps"
	"testing"

	"github.com/softwareheritage/webhooks/internal/endpoint"
)

const (
	linux = "5d6f9a2a-6b1f-5c3e-9a43-0d7c1c6f3b11" // Svix's name of the channel of an origin
	git   = "8e0a3c55-19f2-5d8e-b6f7-4b8f2d3f9e02"
)

func TestRecipients(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stored                    endpoint.Stored
		create, onlyCreate, onGit bool
		onNone                    bool
	}{
		"everything": {endpoint.Stored{}, true, false, true, true},
		"empty lists": {
			endpoint.Stored{FilterTypes: []string{}, Channels: []string{}},
			true, false, true, true,
		},
		"one type": {endpoint.Stored{FilterTypes: []string{"origin.create"}}, true, true, true, true},
		"two types": {
			endpoint.Stored{FilterTypes: []string{"origin.visit", "origin.create"}},
			true, false, true, true,
		},
		"another type":        {endpoint.Stored{FilterTypes: []string{"origin.visit"}}, false, false, true, true},
		"one of two channels": {endpoint.Stored{Channels: []string{linux, git}}, true, false, true, false},
		"on another channel":  {endpoint.Stored{Channels: []string{linux}}, true, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := test.stored
			got := [...]bool{
				e.ReceivesType("origin.create"), e.ReceivesOnly("origin.create"),
				e.Receives(git), e.Receives(""),
			}
			if want := [...]bool{test.create, test.onlyCreate, test.onGit, test.onNone}; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestChannelDoesNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	metadata := map[string]string{linux: "https://github.com/torvalds/linux", "team": "archive"}
	for _, channels := range [][]string{{linux, git}, {git, linux}} {
		e := endpoint.Stored{Channels: channels, Metadata: metadata}
		if got := e.ChannelName(); got != metadata[linux] {
			t.Errorf("%v: channel %q", channels, got)
		}
		if got, want := e.OwnMetadata(), (map[string]string{"team": "archive"}); !maps.Equal(got, want) {
			t.Errorf("%v: metadata %v", channels, got)
		}
	}
	nameless := endpoint.Stored{Channels: []string{git}}
	if nameless.ChannelName() != git || nameless.OwnMetadata() != nil {
		t.Errorf("without a name: %q, %v", nameless.ChannelName(), nameless.OwnMetadata())
	}
	none := endpoint.Stored{Metadata: map[string]string{"": "not a channel"}}
	if none.ChannelName() != "" || len(none.OwnMetadata()) != 1 {
		t.Errorf("without a channel: %q, %v", none.ChannelName(), none.OwnMetadata())
	}
}
