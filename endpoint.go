package webhooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"regexp"
	"slices"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"

	whatwg "github.com/nlnwa/whatwg-url/url"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/secret"
)

// An Endpoint is a URL that receives events of one event type. Event type, URL
// and channel tell endpoints apart.
type Endpoint struct {
	// URL is the http or https address that events are posted to. A listed
	// endpoint has it as the server normalised it ("https://example.org" becomes
	// "https://example.org/").
	URL string
	// EventType is the name of the event type that it receives.
	EventType string
	// Channel restricts it to the events sent on that channel; empty means all
	// events, on whichever channel or none.
	Channel string
	// Metadata is what the server keeps with the endpoint for whoever manages
	// it, at most 4096 bytes as JSON. It is nil where there is none.
	Metadata map[string]string
	// Disabled means that nothing is delivered. The server disables an endpoint
	// itself when deliveries to it have failed for days.
	Disabled bool
	// ID is the server's own id, set by [Client.ListEndpoints]. Where it is set,
	// operations address the endpoint by it; otherwise by [Endpoint.UID]. One on
	// a channel named "None", which only other programs create, can be addressed
	// by its ID alone: its UID is that of the endpoint on no channel.
	ID string
}

// UID returns the id that is derived from the event type, the URL as it is
// written here and the channel, and under which [Client.CreateEndpoint] and the
// Python module create the endpoint. That of a listed endpoint may differ from
// the one it was created under, because the server normalises URLs.
func (e Endpoint) UID() string {
	if e.Channel == "" {
		return identity.Endpoint(e.EventType, e.URL, nil)
	}
	return identity.Endpoint(e.EventType, e.URL, &e.Channel)
}

// address is what identifies the endpoint in a request path.
func (e Endpoint) address() string {
	if e.ID != "" {
		return e.ID
	}
	return e.UID()
}

// described names an endpoint in errors.
func (e Endpoint) described() string {
	if e.Channel == "" {
		return fmt.Sprintf("with url %s for event type %s", foreign.Quote(e.URL), foreign.Quote(e.EventType))
	}
	return fmt.Sprintf("with url %s and channel %s for event type %s", foreign.Quote(e.URL), foreign.Quote(e.Channel), foreign.Quote(e.EventType))
}

// An EndpointQuery selects endpoints. The zero value selects all, newest first.
type EndpointQuery struct {
	// Channel selects the endpoints that receive events sent on this channel:
	// those on it and those on none. Empty selects all endpoints.
	Channel string
	// NoChannel selects only the endpoints on no channel, as the Python module
	// does where it is given none. It cannot be combined with Channel.
	NoChannel bool
	// Ascending lists them in order of creation; the default is newest first.
	Ascending bool
	// Limit is the most endpoints to list; 0 means no limit.
	Limit int
}

func (q EndpointQuery) validate() error {
	switch {
	case q.Channel != "" && q.NoChannel:
		return fmt.Errorf("webhooks: %w: Channel and NoChannel cannot be combined, only one can be given", ErrInvalidQuery)
	case q.Limit < 0:
		return fmt.Errorf("webhooks: %w: negative limit %d", ErrInvalidQuery, q.Limit)
	}
	return nil
}

const (
	// eventHeader tells the receiver which event type a delivery is of.
	eventHeader = "X-Swh-Event"

	endpointVersion  = 1
	maxMetadataBytes = 4096 // svix-contract: metadata of applications and endpoints

	// A channel of this name would share its uid with no channel.
	reservedChannel = "None"
)

// svixEndpointID is what the server's own ids look like.
var svixEndpointID = regexp.MustCompile(`^ep_[a-zA-Z0-9]{1,250}$`)

// CreateEndpoint creates an endpoint, with the given secret or, where that is
// empty, one that the server generates ([Client.GetEndpointSecret] reads it).
// Deliveries start when all of it is set up; none lacks the header X-Swh-Event,
// which holds the name of the event type.
//
// An endpoint that exists is updated: its metadata and Disabled become those of
// ep, X-Swh-Event joins its other custom headers, and its secret is set to the
// given one or, where that is empty, rotated to a new one. After a change the
// server goes on signing with the former secrets, too, for 24 hours each. A
// given secret that is the current one changes nothing. An ep with an ID is
// always updated, never created.
//
// It returns, before any request, [ErrInvalidEndpoint] for a URL that is not an
// absolute http or https one, too much metadata, an ID that cannot be one or,
// without an ID, the channel "None", and [ErrInvalidSecret]; then [ErrEventTypeNotFound],
// [ErrEventTypeArchived], [ErrEndpointNotFound] for an ID that is gone,
// [ErrInvalidEndpoint] if the ID or the derived uid belongs to an endpoint with
// another URL or channel, all of these with nothing changed; [ErrSecretRotationLimit]
// if the secret was rotated too often, with everything else updated; or an
// [*APIError]. It can be repeated after any error: an endpoint that was only half
// set up delivers nothing until then.
func (c *Client) CreateEndpoint(ctx context.Context, ep Endpoint, secret string) error {
	if !validEventTypeName(ep.EventType) {
		return eventTypeNotFound(ep.EventType, nil)
	}
	if err := ep.validate(); err != nil {
		return err
	}
	if err := checkSecret(secret); err != nil {
		return err
	}
	if _, err := c.registered(ctx, ep.EventType); err != nil {
		return err
	}
	defer c.listeners.Forget(ep.EventType)
	if ep.ID != "" {
		return c.updateEndpoint(ctx, ep, secret)
	}
	err := c.createDisabled(ctx, ep, secret)
	if isNotFound(err) { // a program registered the event type without the application
		if err := c.createApplication(ctx, ep.EventType); err != nil {
			return err
		}
		err = c.createDisabled(ctx, ep, secret)
	}
	switch {
	case isConflict(err):
		return c.updateEndpoint(ctx, ep, secret)
	case err != nil:
		return err
	}
	if err := c.setEventHeader(ctx, ep); err != nil || ep.Disabled {
		return halfDone(err)
	}
	return halfDone(c.SetEndpointDisabled(ctx, ep, false))
}

// halfDone adds to the error of a later step what the earlier ones leave behind.
func halfDone(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; the endpoint is set up in part, which creating it again completes", err)
}

// createDisabled creates the endpoint so that it does not receive anything
// before its header is set: the server takes custom headers only afterwards.
func (c *Client) createDisabled(ctx context.Context, ep Endpoint, secret string) error {
	uid, disabled, version, channels := ep.UID(), true, uint16(endpointVersion), ep.svixChannels()
	metadata := ep.storedMetadata(channels)
	in := models.EndpointIn{
		Url: ep.URL, Uid: &uid, Version: &version, Disabled: &disabled,
		FilterTypes: []string{ep.EventType}, Channels: channels, Metadata: &metadata,
	}
	if secret != "" {
		in.Secret = &secret
	}
	_, err := query[endpointBody](ctx, c, "endpoint create", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.Create(ctx, identity.Application(ep.EventType), in, nil)
		return err
	})
	return err
}

func (c *Client) updateEndpoint(ctx context.Context, ep Endpoint, secret string) error {
	stored, err := c.getEndpoint(ctx, ep.EventType, ep.address())
	if err != nil {
		return c.missing(ctx, ep, err)
	}
	if err := stored.checkIsThatOf(ep); err != nil {
		return err
	}
	errSecret := c.setSecret(ctx, ep, secret)
	if errSecret != nil && !errors.Is(errSecret, ErrSecretRotationLimit) {
		return errSecret
	}
	if err := c.setEventHeader(ctx, ep); err != nil {
		return halfDone(errors.Join(errSecret, err))
	}
	metadata := ep.storedMetadata(stored.Channels)
	if err := c.patchEndpoint(ctx, ep, models.EndpointPatch{Metadata: &metadata, Disabled: &ep.Disabled}); err != nil {
		return halfDone(errors.Join(errSecret, err))
	}
	return errSecret
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
		return c.svix.Endpoint.RotateSecret(ctx, identity.Application(ep.EventType), ep.address(), in, nil)
	})
	if api, ok := errors.AsType[*APIError](err); ok && api.Code == codeLimitReached {
		return fmt.Errorf("webhooks: %w: %w", ErrSecretRotationLimit, err)
	}
	return c.missing(ctx, ep, err)
}

func (c *Client) setEventHeader(ctx context.Context, ep Endpoint) error {
	_, err := c.exec(ctx, "endpoint headers patch", func(ctx context.Context) error {
		headers := models.EndpointHeadersPatchIn{Headers: map[string]string{eventHeader: ep.EventType}}
		return c.svix.Endpoint.PatchHeaders(ctx, identity.Application(ep.EventType), ep.address(), headers)
	})
	return c.missing(ctx, ep, err)
}

func (c *Client) patchEndpoint(ctx context.Context, ep Endpoint, patch models.EndpointPatch) error {
	_, err := query[endpointBody](ctx, c, "endpoint patch", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.Patch(ctx, identity.Application(ep.EventType), ep.address(), patch)
		return err
	})
	return c.missing(ctx, ep, err)
}

// getEndpoint returns an endpoint as the server has it; address is an id or uid.
func (c *Client) getEndpoint(ctx context.Context, eventType, address string) (endpointBody, error) {
	return query[endpointBody](ctx, c, "endpoint get", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.Get(ctx, identity.Application(eventType), address)
		return err
	})
}

// ListEndpoints returns the endpoints of an event type that q selects, disabled
// ones included. Their ID is set, so that they can be passed to the other
// operations. An endpoint that another program created has the channel and the
// metadata that can be made out: the first Svix channel where there are several,
// under its own name where the metadata does not tell another. One that does not
// receive the event type is left out.
//
// Errors come as the last pair: [ErrInvalidQuery] for a query that contradicts
// itself, without a request, [ErrEventTypeNotFound], [ErrEventTypeArchived] or
// an [*APIError].
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
		for body, err := range c.endpoints(ctx, eventType, q.Ascending) {
			if err == nil && !q.selects(body, eventType) {
				continue
			}
			if !yield(body.endpoint(eventType), err) {
				return
			}
		}
	})
}

func (q EndpointQuery) selects(body endpointBody, eventType string) bool {
	switch {
	case !body.receivesType(eventType):
		return false
	case q.NoChannel:
		return len(body.Channels) == 0
	case q.Channel != "":
		return body.receives(identity.Channel(q.Channel))
	}
	return true
}

// endpoints lists the endpoints of the application of an event type. Without an
// application, which another program may not have made, there are none.
func (c *Client) endpoints(ctx context.Context, eventType string, ascending bool) iter.Seq2[endpointBody, error] {
	order := models.ORDERING_DESCENDING
	if ascending {
		order = models.ORDERING_ASCENDING
	}
	return Paginate(ctx, func(ctx context.Context, iterator *string) (Page[endpointBody], error) {
		page, err := listPage[endpointBody](ctx, c, "endpoint list", pageSize, func(ctx context.Context, limit *uint64) error {
			_, err := c.svix.Endpoint.List(ctx, identity.Application(eventType), &svix.EndpointListOptions{Limit: limit, Iterator: iterator, Order: &order})
			return err
		})
		if isNotFound(err) {
			return Page[endpointBody]{Done: true}, nil
		}
		return page, err
	})
}

// GetEndpointSecret returns the secret with which deliveries to the endpoint are
// signed. It works for endpoints of an archived event type, too.
//
// It returns [ErrEventTypeNotFound] without a request for a name that cannot
// exist, [ErrEndpointNotFound], also where the event type is what does not
// exist, [ErrInvalidEndpoint] for one that cannot be addressed (see
// [Endpoint.ID]), or an [*APIError].
func (c *Client) GetEndpointSecret(ctx context.Context, ep Endpoint) (string, error) {
	if err := ep.validateAddress(); err != nil {
		return "", err
	}
	secret, err := c.getSecret(ctx, ep)
	if isNotFound(err) {
		return "", endpointNotFound(ep, err)
	}
	return secret, err
}

func (c *Client) getSecret(ctx context.Context, ep Endpoint) (string, error) {
	body, err := query[secretBody](ctx, c, "endpoint secret get", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.GetSecret(ctx, identity.Application(ep.EventType), ep.address())
		return err
	})
	return body.Key, err
}

// RotateEndpointSecret sets the secret of an endpoint to the given one or, where
// that is empty, to a new one that the server generates; nothing else changes.
// Deliveries are signed with the former secrets, too, for 24 hours each. A given
// secret that is the current one changes nothing. It works for endpoints of an
// archived event type, too.
//
// It returns [ErrInvalidSecret] before any request, [ErrEventTypeNotFound],
// [ErrEndpointNotFound], [ErrInvalidEndpoint] for one that cannot be addressed
// (see [Endpoint.ID]), [ErrSecretRotationLimit], or an [*APIError].
func (c *Client) RotateEndpointSecret(ctx context.Context, ep Endpoint, secret string) error {
	if err := ep.validateAddress(); err != nil {
		return err
	}
	if err := checkSecret(secret); err != nil {
		return err
	}
	return c.setSecret(ctx, ep, secret)
}

// SetEndpointDisabled stops the deliveries to an endpoint, or starts them again;
// nothing else changes. Attempts that are still to come when it is disabled are
// dropped. It works for endpoints of an archived event type, too.
//
// It returns [ErrEventTypeNotFound], [ErrEndpointNotFound], [ErrInvalidEndpoint]
// for one that cannot be addressed (see [Endpoint.ID]), or an [*APIError].
func (c *Client) SetEndpointDisabled(ctx context.Context, ep Endpoint, disabled bool) error {
	if err := ep.validateAddress(); err != nil {
		return err
	}
	defer c.listeners.Forget(ep.EventType)
	return c.patchEndpoint(ctx, ep, models.EndpointPatch{Disabled: &disabled})
}

// DeleteEndpoint deletes an endpoint; attempts that are still to come are
// dropped. It works for endpoints of an archived event type, too.
//
// It returns [ErrEventTypeNotFound], [ErrEndpointNotFound], [ErrInvalidEndpoint]
// for one that cannot be addressed (see [Endpoint.ID]), or an [*APIError].
func (c *Client) DeleteEndpoint(ctx context.Context, ep Endpoint) error {
	if err := ep.validateAddress(); err != nil {
		return err
	}
	defer c.listeners.Forget(ep.EventType)
	answer, err := c.exec(ctx, "endpoint delete", func(ctx context.Context) error {
		return c.svix.Endpoint.Delete(ctx, identity.Application(ep.EventType), ep.address())
	})
	if isNotFound(err) && answer.Unclear {
		return nil // it was an earlier try that deleted it
	}
	return c.missing(ctx, ep, err)
}

// missing turns a not-found answer to an operation on an endpoint into the error
// that says what is missing, which the answer itself does not tell.
func (c *Client) missing(ctx context.Context, ep Endpoint, err error) error {
	if !isNotFound(err) {
		return err
	}
	if _, errType := c.GetEventType(ctx, ep.EventType); errors.Is(errType, ErrEventTypeNotFound) {
		return errType
	}
	return endpointNotFound(ep, err)
}

func endpointNotFound(ep Endpoint, answer error) error {
	return fmt.Errorf("webhooks: %w: endpoint %s (%w)", ErrEndpointNotFound, ep.described(), answer)
}

// validateAddress checks that a request path can name the endpoint, and no other.
func (e Endpoint) validateAddress() error {
	if !validEventTypeName(e.EventType) {
		return eventTypeNotFound(e.EventType, nil)
	}
	switch {
	case e.ID != "" && !svixEndpointID.MatchString(e.ID):
		return fmt.Errorf("webhooks: %w: %s is not an endpoint ID of the server", ErrInvalidEndpoint, foreign.Quote(e.ID))
	case e.ID == "" && e.Channel == reservedChannel:
		return fmt.Errorf("webhooks: %w: without an ID a channel named %q cannot be told from no channel", ErrInvalidEndpoint, reservedChannel)
	}
	return nil
}

// validate checks what an endpoint to be created is described by.
func (e Endpoint) validate() error {
	if err := e.validateAddress(); err != nil {
		return err
	}
	if err := checkEndpointURL(e.URL); err != nil {
		return fmt.Errorf("webhooks: %w: URL %s: %w", ErrInvalidEndpoint, foreign.Quote(e.URL), err)
	}
	text, err := canonical.FromGo(e.storedMetadata(e.svixChannels()))
	if err != nil {
		return fmt.Errorf("webhooks: %w: metadata: %w", ErrInvalidEndpoint, err)
	}
	if size := len(canonical.Append(nil, text)); size > maxMetadataBytes {
		return fmt.Errorf("webhooks: %w: metadata of %d bytes as JSON, at most %d are possible", ErrInvalidEndpoint, size, maxMetadataBytes)
	}
	return nil
}

func checkEndpointURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("not a URL") // the library's text quotes it
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("not an absolute http or https URL")
	}
	return nil
}

func checkSecret(text string) error {
	if text == "" {
		return nil
	}
	if err := secret.Check(text); err != nil {
		return fmt.Errorf("webhooks: %w: %w", ErrInvalidSecret, err)
	}
	return nil
}

// svixChannels are the channels as the server knows them; nil means all events.
func (e Endpoint) svixChannels() []string {
	if e.Channel == "" {
		return nil
	}
	return []string{identity.Channel(e.Channel)}
}

// storedMetadata is the metadata with the readable name of the channel, which
// the Python module keeps there too. The Svix channels are those of the endpoint.
func (e Endpoint) storedMetadata(svixChannels []string) map[string]string {
	stored := maps.Clone(e.Metadata)
	if stored == nil {
		stored = map[string]string{}
	}
	if len(svixChannels) > 0 && svixChannels[0] != e.Channel {
		stored[svixChannels[0]] = e.Channel
	}
	return stored
}

// An endpointBody is an endpoint as the server gives it ("EndpointOut").
type endpointBody struct {
	ID          string            `json:"id"`
	URL         string            `json:"url"`
	Disabled    bool              `json:"disabled"`
	FilterTypes []string          `json:"filterTypes"`
	Channels    []string          `json:"channels"`
	Metadata    map[string]string `json:"metadata"`
}

func (b endpointBody) complete() bool { return b.ID != "" }

func (b endpointBody) endpoint(eventType string) Endpoint {
	if b.ID == "" {
		return Endpoint{}
	}
	ep := Endpoint{URL: b.URL, EventType: eventType, Disabled: b.Disabled, ID: b.ID}
	metadata := maps.Clone(b.Metadata)
	if len(b.Channels) > 0 {
		uid := b.Channels[0]
		ep.Channel = uid
		if name := metadata[uid]; name != "" {
			ep.Channel = name
			delete(metadata, uid)
		}
	}
	if len(metadata) > 0 {
		ep.Metadata = metadata
	}
	return ep
}

// receivesType and receives are the rules by which the server picks the
// recipients of a message. Channels are Svix's.
func (b endpointBody) receivesType(eventType string) bool {
	return len(b.FilterTypes) == 0 || slices.Contains(b.FilterTypes, eventType)
}

func (b endpointBody) receives(channel string) bool {
	return len(b.Channels) == 0 || slices.Contains(b.Channels, channel)
}

// checkIsThatOf tells whether the stored endpoint is the one that is described.
// Different descriptions can have the same uid, because it is derived from a
// text in which a hyphen in the URL or the channel looks like the one between them.
func (b endpointBody) checkIsThatOf(ep Endpoint) error {
	stored := b.endpoint(ep.EventType)
	sameChannel := slices.Equal(b.Channels, ep.svixChannels())
	if ep.ID != "" {
		sameChannel = stored.Channel == ep.Channel
	}
	if !sameChannel || !sameURL(stored.URL, ep.URL) {
		return fmt.Errorf("webhooks: %w: the server has another endpoint under the same id, %s", ErrInvalidEndpoint, stored.described())
	}
	return nil
}

// sameURL compares a URL with one that the server has normalised, by the rules
// of browsers (https://url.spec.whatwg.org).
func sameURL(stored, given string) bool {
	u, err := whatwg.Parse(given)
	return stored == given || err == nil && u.Href(false) == stored
}

type secretBody struct {
	Key string `json:"key"`
}

func (b secretBody) complete() bool { return b.Key != "" }
