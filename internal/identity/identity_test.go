package identity_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/softwareheritage/webhooks/internal/identity"
)

type vectors struct {
	Endpoints []struct {
		Note           string  `json:"note"`
		EventType      string  `json:"event_type_name"`
		URL            string  `json:"url"`
		Channel        *string `json:"channel"`
		ApplicationUID string  `json:"application_uid"`
		EndpointUID    string  `json:"endpoint_uid"`
		ChannelUID     *string `json:"channel_uid"`
	} `json:"endpoints"`
	Names []struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"names"`
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/identity.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Endpoints) == 0 || len(v.Names) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

func TestEndpointVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Endpoints {
		t.Run(v.Note, func(t *testing.T) {
			t.Parallel()
			if got := identity.Application(v.EventType); got != v.ApplicationUID {
				t.Errorf("Application = %s, want %s", got, v.ApplicationUID)
			}
			if got := identity.Endpoint(v.EventType, v.URL, v.Channel); got != v.EndpointUID {
				t.Errorf("Endpoint = %s, want %s", got, v.EndpointUID)
			}
			if v.Channel == nil {
				return
			}
			if got := identity.Channel(*v.Channel); got != *v.ChannelUID {
				t.Errorf("Channel = %s, want %s", got, *v.ChannelUID)
			}
		})
	}
}

func TestNameVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Names {
		if got := identity.Channel(v.Name); got != v.UID {
			t.Errorf("Channel(%q) = %s, want %s", v.Name, got, v.UID)
		}
	}
}
