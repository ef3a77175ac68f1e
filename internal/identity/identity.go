// Package identity derives the identifiers under which event types, endpoints and channels are
// known to a Svix server.
//
// They are the ones that the Python module swh.webhooks.interface derives, so that both can work on
// one server: UUIDs of version 5 in the DNS namespace (RFC 9562), computed over the UTF-8 text as
// it is given, without normalisation of any kind.
package identity

import "github.com/google/uuid"

// Application returns the uid of the Svix application that holds the endpoints and messages of an
// event type.
func Application(eventType string) string { return derive(eventType) }

// Channel returns the name by which Svix knows a channel. Svix takes few characters in channel
// names, whereas channels are in practice origin URLs.
func Channel(name string) string { return derive(name) }

// Endpoint returns the uid of the endpoint of an event type for a URL and a channel. A nil channel
// stands for none and is spelled "None", so that an endpoint on no channel and one on a channel of
// that name share their uid.
func Endpoint(eventType, url string, channel *string) string {
	last := "None"
	if channel != nil {
		last = *channel
	}
	return derive(eventType + "-" + url + "-" + last)
}

func derive(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name)).String()
}
