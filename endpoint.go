package webhooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"

	"github.com/softwareheritage/webhooks/internal/endpoint"
	"github.com/softwareheritage/webhooks/internal/identity"
)

// An Endpoint is a URL that receives events of one event type. Event type, URL and channel tell
// endpoints apart.
//
// Operations find an endpoint by its ID if that is set. Otherwise they find it by [Endpoint.UID],
// by the UID of the URL with or without the slash that is its whole path, or, all but
// [Client.CreateEndpoint] and [Client.EnsureEndpoint], by its URL as the server normalises it and
// its channel. What they find has that URL and channel, or they return [ErrInvalidEndpoint].
type Endpoint struct {
	// URL is the http or https address that events are posted to. A listed endpoint has it as the
	// server normalised it ("https://example.org" becomes "https://example.org/").
	URL string
	// EventType is the name of the event type that it receives.
	EventType string
	// Channel restricts it to the events sent on that channel; empty means all events, on whichever
	// channel or none.
	Channel string
	// Metadata is what the server keeps with the endpoint for whoever manages it, at most 4096
	// bytes as JSON. It is nil if there is none.
	Metadata map[string]string
	// Disabled means that nothing is delivered. The server disables an endpoint itself when
	// deliveries to it have failed for days.
	Disabled bool
	// ID is the server's own id, set by [Client.ListEndpoints]. An endpoint on a channel named
	// "None", which only other programs create, can be addressed by its ID alone: its UID is that
	// of the endpoint on no channel.
	ID string
	// CreatedAt and UpdatedAt are in UTC and set by [Client.ListEndpoints]. Operations ignore them.
	CreatedAt time.Time
	UpdatedAt time.Time
}

// UID returns the id that is derived from the event type, the URL as it is written here and the
// channel, and under which [Client.CreateEndpoint] and the Python module create the endpoint. That
// of a listed endpoint may differ from the one it was created under: the server normalises URLs.
func (e Endpoint) UID() string { return e.description().UID() }

// An EndpointQuery selects endpoints. The zero value selects all, newest first.
type EndpointQuery struct {
	// Channel selects the endpoints that receive events sent on this channel: those on it and those
	// on none. Empty selects all endpoints.
	Channel string
	// NoChannel selects only the endpoints on no channel, as the Python module does if it is given
	// none. It cannot be combined with Channel.
	NoChannel bool
	// Ascending lists them in order of creation; the default is newest first.
	Ascending bool
	// Limit is the most endpoints to list; 0 means no limit.
	Limit int
}

const (
	// eventHeader tells the receiver which event type a delivery is of.
	eventHeader = "X-Swh-Event"

	// A channel of this name would share its uid with no channel.
	reservedChannel = "None"
)

// svixEndpointID is what the server's own ids look like.
var svixEndpointID = regexp.MustCompile(`^ep_[a-zA-Z0-9]{1,250}$`)

// CreateEndpoint creates an endpoint, with the given secret or, if that is empty, one that the
// server generates ([Client.GetEndpointSecret] reads it). Deliveries start when all of it is set
// up; none lacks the header X-Swh-Event, which holds the name of the event type.
//
// An endpoint that exists is updated: its metadata and Disabled become those of ep, it receives the
// event type and no other, and X-Swh-Event joins its other custom headers. Its secret is set to the
// given one or, if that is empty, rotated to a new one; [Client.EnsureEndpoint] keeps it. After a
// change the server goes on signing with the former secrets, too, for 24 hours each. A given secret
// that is the current one changes nothing. An ep with an ID is always updated, never created.
//
// It returns
//   - [ErrInvalidEndpoint], before any request, for a URL that is not an absolute http or https
//     one, too much metadata, text that is not UTF-8 or has a NUL, an ID that cannot be one and,
//     without an ID, the channel "None",
//   - [ErrInvalidSecret], before any request,
//   - [ErrEventTypeNotFound] or [ErrEventTypeArchived],
//   - [ErrEndpointNotFound] for an ID that is gone,
//   - [ErrInvalidEndpoint] if the ID or the derived uid belongs to an endpoint with another URL or
//     channel; nothing is changed then,
//   - [ErrSecretRotationLimit] if the secret was rotated too often; everything else is updated
//     then,
//   - an [*APIError] for any other answer.
//
// It can be repeated after any error: an endpoint that was only half set up delivers nothing until
// then.
func (c *Client) CreateEndpoint(ctx context.Context, ep Endpoint, secret string) error {
	if err := checkSecret(secret); err != nil {
		return err
	}
	ep, stored, isNew, err := c.createOrFind(ctx, ep, secret)
	if err != nil {
		return err
	}
	defer c.listeners.Forget(ep.EventType)
	var errSecret error
	if !isNew {
		errSecret = c.setSecret(ctx, ep, secret)
	}
	if errSecret != nil && !errors.Is(errSecret, ErrSecretRotationLimit) {
		return errSecret
	}
	if err := c.update(ctx, ep, stored, &ep.Disabled); err != nil {
		return halfDone(errors.Join(errSecret, err))
	}
	return errSecret
}

// EnsureEndpoint creates an endpoint if it is missing, as [Client.CreateEndpoint] does with an
// empty secret. Of one that exists the secret and Disabled stay as they are; its metadata becomes
// that of ep, it receives the event type and no other, and X-Swh-Event joins its other custom
// headers. So a service can call it each time it starts.
//
// It returns the errors of [Client.CreateEndpoint] but [ErrInvalidSecret] and
// [ErrSecretRotationLimit], and can be repeated after any error.
func (c *Client) EnsureEndpoint(ctx context.Context, ep Endpoint) error {
	ep, stored, _, err := c.createOrFind(ctx, ep, "")
	if err != nil {
		return err
	}
	defer c.listeners.Forget(ep.EventType)
	return halfDone(c.update(ctx, ep, stored, nil))
}

// createOrFind creates the endpoint, not yet to be delivered to, or finds the one that exists. It
// returns it with its ID, and as the server has it.
func (c *Client) createOrFind(
	ctx context.Context, ep Endpoint, secret string,
) (_ Endpoint, stored endpoint.Stored, isNew bool, err error) {
	if err := ep.checkAddress(); err != nil {
		return ep, stored, false, err
	}
	if err := ep.description().Check(); err != nil {
		return ep, stored, false, fmt.Errorf("webhooks: %w: %w", ErrInvalidEndpoint, err)
	}
	if _, err := c.registered(ctx, ep.EventType); err != nil {
		return ep, stored, false, err
	}
	if ep.ID != "" {
		stored, err = c.endpointServer(ep.EventType).At(ctx, ep.description(), ep.ID)
	} else {
		create := func(ctx context.Context) (endpoint.Stored, error) { return c.createDisabled(ctx, ep, secret) }
		stored, isNew, err = c.endpointServer(ep.EventType).Place(ctx, ep.description(), create, isConflict)
	}
	ep.ID = stored.ID
	return ep, stored, isNew, c.missing(ctx, ep, notThatOne(err))
}

// createDisabled creates the endpoint so that it does not receive anything before its header is
// set: the server takes custom headers only afterwards.
func (c *Client) createDisabled(ctx context.Context, ep Endpoint, secret string) (endpoint.Stored, error) {
	in := ep.description().New(secret)
	create := func() (endpointBody, error) {
		return query[endpointBody](ctx, c, "endpoint create", func(ctx context.Context) error {
			_, err := c.svix.Endpoint.Create(ctx, identity.Application(ep.EventType), in, nil)
			return err
		})
	}
	body, err := create()
	if isNotFound(err) { // a program registered the event type without the application
		if err := c.createApplication(ctx, ep.EventType); err != nil {
			return endpoint.Stored{}, err
		}
		body, err = create()
	}
	return body.Stored, err
}

// update sets the header, the metadata and the filter of an endpoint, and Disabled if that is given
// or if the endpoint is not set up yet. What need not change is not sent.
func (c *Client) update(ctx context.Context, ep Endpoint, stored endpoint.Stored, disabled *bool) error {
	if err := c.setEventHeader(ctx, ep); err != nil {
		return err
	}
	metadata := ep.description().StoredMetadata(stored.Channel())
	filter := utils.NewNullable([]string{ep.EventType})
	patch := models.EndpointPatch{Metadata: &metadata, Disabled: disabled, FilterTypes: filter}
	switch {
	case stored.Description == endpoint.SettingUp:
		patch.Description, patch.Disabled = new(string), &ep.Disabled
	case disabled == nil && stored.ReceivesOnly(ep.EventType) && maps.Equal(metadata, stored.Metadata):
		return nil
	}
	return c.patchEndpoint(ctx, ep, patch)
}

// setSecret sets or rotates the secret of an endpoint that exists.
func (c *Client) setSecret(ctx context.Context, ep Endpoint, secret string) error {
	in := models.EndpointSecretRotateIn{}
	if secret != "" {
		current, err := c.getSecret(ctx, ep)
		if err != nil || current == secret {
			return c.missing(ctx, ep, err)
		}
		in.Key = &secret
	}
	_, err := c.exec(ctx, "endpoint secret rotate", func(ctx context.Context) error {
		return c.svix.Endpoint.RotateSecret(ctx, identity.Application(ep.EventType), ep.ID, in, nil)
	})
	if api, ok := errors.AsType[*APIError](err); ok && api.Code == codeLimitReached {
		return fmt.Errorf("webhooks: %w: %w", ErrSecretRotationLimit, err)
	}
	return c.missing(ctx, ep, err)
}

func (c *Client) setEventHeader(ctx context.Context, ep Endpoint) error {
	_, err := c.exec(ctx, "endpoint headers patch", func(ctx context.Context) error {
		headers := models.EndpointHeadersPatchIn{Headers: map[string]string{eventHeader: ep.EventType}}
		return c.svix.Endpoint.PatchHeaders(ctx, identity.Application(ep.EventType), ep.ID, headers)
	})
	return c.missing(ctx, ep, err)
}

func (c *Client) patchEndpoint(ctx context.Context, ep Endpoint, patch models.EndpointPatch) error {
	_, err := query[endpointBody](ctx, c, "endpoint patch", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.Patch(ctx, identity.Application(ep.EventType), ep.ID, patch)
		return err
	})
	return c.missing(ctx, ep, err)
}

// GetEndpoint returns an endpoint as the server has it, with its ID and times. It works for
// endpoints of an archived event type, too. It returns the errors of [Client.DeleteEndpoint].
func (c *Client) GetEndpoint(ctx context.Context, ep Endpoint) (Endpoint, error) {
	ep, err := c.find(ctx, ep)
	if err != nil {
		return Endpoint{}, c.missing(ctx, ep, err)
	}
	body, err := c.getEndpoint(ctx, ep.EventType, ep.ID)
	return body.endpoint(ep.EventType), c.missing(ctx, ep, err)
}

// ListEndpoints returns the endpoints of an event type that q selects, disabled ones included.
// Their ID is set, so that they can be passed to the other operations. An endpoint that another
// program created has the channel and the metadata that can be made out: the first Svix channel in
// byte order if there are several, under its own name unless the metadata does not tell it. One
// that does not receive the event type is left out.
//
// Errors come as the last pair:
//   - [ErrInvalidQuery], without a request, for a query that contradicts itself or a channel that
//     is not UTF-8,
//   - [ErrEventTypeNotFound] or [ErrEventTypeArchived],
//   - an [*APIError] for any other answer.
func (c *Client) ListEndpoints(ctx context.Context, eventType string, q EndpointQuery) iter.Seq2[Endpoint, error] {
	if err := q.validate(); err != nil {
		return errorSeq[Endpoint](err)
	}
	if !validEventTypeName(eventType) {
		return errorSeq[Endpoint](eventTypeNotFound(eventType, nil))
	}
	return limited(q.Limit, func(yield func(Endpoint, error) bool) {
		if _, err := c.registered(ctx, eventType); err != nil {
			yield(Endpoint{}, err)
			return
		}
		for body, err := range c.endpoints(ctx, eventType, pageRequest{ascending: q.Ascending}) {
			if err == nil && !q.selects(body, eventType) {
				continue
			}
			if !yield(body.endpoint(eventType), err) {
				return
			}
		}
	})
}

func (q EndpointQuery) validate() error {
	switch {
	case q.Channel != "" && q.NoChannel:
		return fmt.Errorf("webhooks: %w: Channel and NoChannel cannot be combined, only one can be given",
			ErrInvalidQuery)
	case q.Limit < 0:
		return fmt.Errorf("webhooks: %w: negative limit %d", ErrInvalidQuery, q.Limit)
	}
	if err := endpoint.CheckChannel(q.Channel); err != nil {
		return fmt.Errorf("webhooks: %w: %w", ErrInvalidQuery, err)
	}
	return nil
}

func (q EndpointQuery) selects(body endpointBody, eventType string) bool {
	switch {
	case !body.ReceivesType(eventType):
		return false
	case q.NoChannel:
		return body.Channel() == ""
	case q.Channel != "":
		return body.Receives(identity.Channel(q.Channel))
	}
	return true
}

// GetEndpointSecret returns the secret with which deliveries to the endpoint are signed. It works
// for endpoints of an archived event type, too. It returns
//   - [ErrEventTypeNotFound], without a request, for a name that cannot exist,
//   - [ErrEndpointNotFound], also if the event type is what does not exist,
//   - [ErrInvalidEndpoint] for one that cannot be addressed or is not the one described (see
//     [Endpoint]),
//   - an [*APIError] for any other answer.
func (c *Client) GetEndpointSecret(ctx context.Context, ep Endpoint) (string, error) {
	ep, err := c.find(ctx, ep)
	var secret string
	if err == nil {
		secret, err = c.getSecret(ctx, ep)
	}
	if isNotFound(err) {
		return "", endpointNotFound(ep, err)
	}
	return secret, err
}

func (c *Client) getSecret(ctx context.Context, ep Endpoint) (string, error) {
	body, err := query[secretBody](ctx, c, "endpoint secret get", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.GetSecret(ctx, identity.Application(ep.EventType), ep.ID)
		return err
	})
	return body.Key, err
}

// RotateEndpointSecret sets the secret of an endpoint to the given one or, if that is empty, to a
// new one that the server generates; nothing else changes. Deliveries are signed with the former
// secrets, too, for 24 hours each. A given secret that is the current one changes nothing. It works
// for endpoints of an archived event type, too. It returns [ErrInvalidSecret] before any request,
// [ErrSecretRotationLimit], and the errors of [Client.DeleteEndpoint].
func (c *Client) RotateEndpointSecret(ctx context.Context, ep Endpoint, secret string) error {
	if err := checkSecret(secret); err != nil {
		return err
	}
	ep, err := c.find(ctx, ep)
	if err != nil {
		return c.missing(ctx, ep, err)
	}
	return c.setSecret(ctx, ep, secret)
}

// SetEndpointDisabled stops the deliveries to an endpoint, or starts them again; nothing else
// changes. Attempts that are still to come when it is disabled are dropped. It works for endpoints
// of an archived event type, too. It returns the errors of [Client.DeleteEndpoint].
func (c *Client) SetEndpointDisabled(ctx context.Context, ep Endpoint, disabled bool) error {
	ep, err := c.find(ctx, ep)
	if err != nil {
		return c.missing(ctx, ep, err)
	}
	defer c.listeners.Forget(ep.EventType)
	return c.patchEndpoint(ctx, ep, models.EndpointPatch{Disabled: &disabled})
}

// DeleteEndpoint deletes an endpoint; attempts that are still to come are dropped. It works for
// endpoints of an archived event type, too. It returns
//   - [ErrEventTypeNotFound] or [ErrEndpointNotFound],
//   - [ErrInvalidEndpoint] for one that cannot be addressed or is not the one described (see
//     [Endpoint]),
//   - an [*APIError] for any other answer.
func (c *Client) DeleteEndpoint(ctx context.Context, ep Endpoint) error {
	ep, err := c.find(ctx, ep)
	if err != nil {
		return c.missing(ctx, ep, err)
	}
	defer c.listeners.Forget(ep.EventType)
	answer, err := c.exec(ctx, "endpoint delete", func(ctx context.Context) error {
		return c.svix.Endpoint.Delete(ctx, identity.Application(ep.EventType), ep.ID)
	})
	if isNotFound(err) && answer.Unclear {
		return nil // it was an earlier try that deleted it
	}
	return c.missing(ctx, ep, err)
}

// EndpointStats counts the attempts to deliver to an endpoint by their status. A server that stores
// an attempt only when it has ended, as the open-source one does, has none that is pending or
// sending.
type EndpointStats struct{ Succeeded, Failed, Pending, Sending int }

const (
	maxStatsRange   = 28 * 24 * time.Hour // the server's limits
	maxRecoverRange = 14 * 24 * time.Hour
)

// GetEndpointStats counts the attempts to deliver to an endpoint in a range of time. A zero until
// means now; a zero since means 28 days before until, the most that the server counts. It returns
// [ErrInvalidQuery], before any request, for a longer or empty range, and the errors of
// [Client.DeleteEndpoint].
func (c *Client) GetEndpointStats(ctx context.Context, ep Endpoint, since, until time.Time) (EndpointStats, error) {
	if _, _, err := boundedRange(since, until, maxStatsRange); err != nil {
		return EndpointStats{}, err
	}
	ep, err := c.find(ctx, ep)
	if err != nil {
		return EndpointStats{}, c.missing(ctx, ep, err)
	}
	var options svix.EndpointGetStatsOptions // what is zero is left to the server, and to its clock
	if !since.IsZero() {
		since = since.UTC() // the SDK writes the zone of a time in whole minutes
		options.Since = &since
	}
	if !until.IsZero() {
		until = until.UTC()
		options.Until = &until
	}
	stats, err := query[statsBody](ctx, c, "endpoint stats", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.GetStats(ctx, identity.Application(ep.EventType), ep.ID, &options)
		return err
	})
	if err != nil {
		return EndpointStats{}, c.missing(ctx, ep, err)
	}
	return EndpointStats{*stats.Success, stats.Fail, stats.Pending, stats.Sending}, nil
}

// RecoverEndpoint makes the server deliver once more what an endpoint failed to receive in a range
// of time. It returns when the server has accepted that, not when it is done. A zero until means
// now; a zero since means 14 days before until, the most that the server recovers. It returns
// [ErrInvalidQuery], before any request, for a longer or empty range, and the errors of
// [Client.DeleteEndpoint].
func (c *Client) RecoverEndpoint(ctx context.Context, ep Endpoint, since, until time.Time) error {
	since, until, err := boundedRange(since, until, maxRecoverRange)
	if err != nil {
		return err
	}
	if ep, err = c.find(ctx, ep); err != nil {
		return c.missing(ctx, ep, err)
	}
	_, err = query[taskBody](ctx, c, "endpoint recover", func(ctx context.Context) error {
		in := models.RecoverIn{Since: since, Until: &until}
		_, err := c.svix.Endpoint.Recover(ctx, identity.Application(ep.EventType), ep.ID, in, nil)
		return err
	})
	return c.missing(ctx, ep, err)
}
