package svixmock

import (
	"slices"
	"sort"
	"strings"
	"time"
)

// The stored objects. All of them are guarded by Server.mu; those whose comment says so never
// change once stored.

// org is everything that belongs to one organization.
type org struct {
	id         string
	apps       []*app // by id, without deleted ones
	appUIDs    map[string]*app
	eventTypes []*eventType // by name, archived ones too
}

// app is an application with all that belongs to it.
type app struct {
	id       string
	org      *org
	settings appSettings
	created  time.Time
	updated  time.Time
	deleted  bool
	poisoned bool // an endpoint cannot be read any more

	endpoints    []*endpoint // by id, without deleted ones
	endpointUIDs map[string]*endpoint
	messages     messageIndex
	eventIDs     map[string]*message
	recipients   recipientCache
}

// org finds or makes an organization: its first token brings it into being.
func (s *Server) org(id string) *org {
	s.mu.RLock()
	o := s.orgs[id]
	s.mu.RUnlock()
	if o != nil {
		return o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orgs[id] == nil {
		s.orgs[id] = &org{id: id, appUIDs: map[string]*app{}}
	}
	return s.orgs[id]
}

func (o *org) app(ref string) *app {
	if a := o.appUIDs[ref]; a != nil {
		return a
	}
	return findByKey(o.apps, ref, appKey)
}

func (o *org) eventType(name string) *eventType {
	return findByKey(o.eventTypes, name, eventTypeKey)
}

func (a *app) endpoint(ref string) *endpoint {
	if ep := a.endpointUIDs[ref]; ep != nil {
		return ep
	}
	return findByKey(a.endpoints, ref, endpointKey)
}

// message finds a message by id or eventId.
func (a *app) message(ref string) *message {
	if m := a.eventIDs[ref]; m != nil {
		return m
	}
	at, ok := parseID(messagePrefix, ref)
	if !ok {
		return nil
	}
	return findByID(a.messages.all, at, messageKey)
}

// messageIndex are messages by id, and those of each event type and channel.
type messageIndex struct {
	all       []*message
	byType    map[string][]*message
	byChannel map[string][]*message
}

func (x *messageIndex) add(m *message) {
	if x.byType == nil {
		x.byType, x.byChannel = map[string][]*message{}, map[string][]*message{}
	}
	x.all = insert(x.all, m, messageKey)
	x.byType[m.eventType] = insert(x.byType[m.eventType], m, messageKey)
	for _, channel := range m.channels {
		x.byChannel[channel] = insert(x.byChannel[channel], m, messageKey)
	}
}

// candidates are the messages among which those are that a filter keeps.
func (x *messageIndex) candidates(f *filter) []*message {
	switch {
	case f.channel.Set:
		return x.byChannel[f.channel.Value]
	case len(f.eventTypes) == 1:
		return x.byType[f.eventTypes[0]]
	}
	return x.all
}

func appKey(a *app) string             { return a.id }
func endpointKey(ep *endpoint) string  { return ep.id }
func eventTypeKey(t *eventType) string { return t.name }
func messageKey(m *message) id         { return m.id }
func attemptKey(a *attempt) id         { return a.id }

// findByKey finds an item in items, which are sorted by key.
func findByKey[T any](items []*T, key string, of func(*T) string) *T {
	i := sort.Search(len(items), func(i int) bool { return of(items[i]) >= key })
	if i < len(items) && of(items[i]) == key {
		return items[i]
	}
	return nil
}

// findByID finds an item in items, which are sorted by id.
func findByID[T any](items []*T, key id, of func(*T) id) *T {
	i := sort.Search(len(items), func(i int) bool { return of(items[i]).compare(key) >= 0 })
	if i < len(items) && of(items[i]) == key {
		return items[i]
	}
	return nil
}

// insertKey puts an item into items, which are sorted by key.
func insertKey[T any](items []*T, item *T, of func(*T) string) []*T {
	i := sort.Search(len(items), func(i int) bool { return of(items[i]) > of(item) })
	return slices.Insert(items, i, item)
}

// removeKey takes an item out of items, which are sorted by key.
func removeKey[T any](items []*T, item *T, of func(*T) string) []*T {
	return slices.DeleteFunc(items, func(o *T) bool { return of(o) == of(item) })
}

func everything[T any](T) bool { return true }

// timeText is how the API shows a time: as many digits of the second as it needs in groups of
// three, at most six.
func timeText(t time.Time) string {
	switch {
	case t.Nanosecond() == 0:
		return t.Format("2006-01-02T15:04:05Z")
	case t.Nanosecond()%1e6 == 0:
		return t.Format("2006-01-02T15:04:05.000Z")
	default:
		return t.Format("2006-01-02T15:04:05.000000Z")
	}
}

// spacedTime is how the server's error texts show a time.
func spacedTime(t time.Time) string {
	return strings.NewReplacer("T", " ", "Z", " UTC").Replace(timeText(t))
}
