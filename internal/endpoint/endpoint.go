// Package endpoint knows how an endpoint of the archive is kept on a Svix server, and how it is
// found there again.
package endpoint

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/svix/svix-webhooks/go/models"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/hookurl"
	"github.com/softwareheritage/webhooks/internal/identity"
)

// maxMetadata is the server's limit for the metadata as JSON.
const maxMetadata = 4096 // bytes

// A Description tells an endpoint from all others; Metadata goes with it.
type Description struct {
	EventType string
	URL       string
	Channel   string // empty: all
	Metadata  map[string]string
}

// String names the endpoint in errors.
func (d Description) String() string {
	if d.Channel == "" {
		return fmt.Sprintf("with url %s for event type %s", foreign.Quote(d.URL), foreign.Quote(d.EventType))
	}
	return fmt.Sprintf("with url %s and channel %s for event type %s",
		foreign.Quote(d.URL), foreign.Quote(d.Channel), foreign.Quote(d.EventType))
}

// UID returns the id under which the endpoint is created.
func (d Description) UID() string {
	if d.Channel == "" {
		return identity.Endpoint(d.EventType, d.URL, nil)
	}
	return identity.Endpoint(d.EventType, d.URL, &d.Channel)
}

// OtherUID returns the id of the same endpoint under the other spelling of its URL, if it has one.
func (d Description) OtherUID() (uid string, ok bool) {
	d.URL, ok = hookurl.OtherSpelling(d.URL)
	return d.UID(), ok
}

// SvixChannel returns the channel as the server knows it, empty if there is none.
func (d Description) SvixChannel() string {
	if d.Channel == "" {
		return ""
	}
	return identity.Channel(d.Channel)
}

// StoredMetadata is the metadata with the readable name of the channel, which the Python module
// keeps there too, under the name by which the server knows the channel.
func (d Description) StoredMetadata(svixChannel string) map[string]string {
	stored := maps.Clone(d.Metadata)
	if stored == nil {
		stored = map[string]string{}
	}
	if svixChannel != "" && svixChannel != d.Channel {
		stored[svixChannel] = d.Channel
	}
	return stored
}

// SettingUp describes an endpoint that is created and not yet complete. Nothing else tells one
// whose creator was killed before it could enable it from one that somebody has disabled.
const SettingUp = "being set up by swh-webhooks; creating it again completes it"

// New returns what creates the endpoint, disabled and [SettingUp]. An empty secret is left to the
// server.
func (d Description) New(secret string) models.EndpointIn {
	uid, description, disabled, version, channel := d.UID(), SettingUp, true, uint16(1), d.SvixChannel()
	metadata := d.StoredMetadata(channel)
	in := models.EndpointIn{
		Url: d.URL, Uid: &uid, Version: &version, Description: &description, Disabled: &disabled,
		FilterTypes: []string{d.EventType}, Metadata: &metadata,
	}
	if channel != "" {
		in.Channels = []string{channel}
	}
	if secret != "" {
		in.Secret = &secret
	}
	return in
}

// Check refuses what the server would refuse or could not keep. The error does not show the
// metadata.
func (d Description) Check() error {
	if err := hookurl.Check(d.URL); err != nil {
		return fmt.Errorf("URL %s: %w", foreign.Quote(d.URL), err)
	}
	if err := CheckChannel(d.Channel); err != nil {
		return err
	}
	metadata := d.StoredMetadata(d.SvixChannel())
	for name, value := range metadata {
		if err := checkText(name + value); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
	}
	tree, err := canonical.FromGo(metadata)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if size := len(canonical.Append(nil, tree)); size > maxMetadata {
		return fmt.Errorf("metadata of %d bytes as JSON, at most %d are possible", size, maxMetadata)
	}
	return nil
}

// CheckChannel refuses a name that the server could not keep with the channel's endpoints.
func CheckChannel(name string) error {
	if err := checkText(name); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	return nil
}

func checkText(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("not valid UTF-8")
	case strings.ContainsRune(text, 0):
		return errors.New("the server's database cannot store the character U+0000")
	}
	return nil
}

// Is reports whether a stored endpoint is the one that is described. An id that is derived does not
// prove it: it is that of a text in which a hyphen in the URL or the channel looks like the one
// between them.
func (d Description) Is(s Stored) bool {
	onChannel := s.ChannelName() == d.Channel || len(s.Channels) == 1 && s.Channels[0] == d.SvixChannel()
	return onChannel && hookurl.Same(s.URL, d.URL)
}
