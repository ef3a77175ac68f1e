package webhooks

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/softwareheritage/webhooks/internal/foreign"
)

// The names of the archive's event types.
const (
	TypeOriginCreate = "origin.create"
	TypeOriginVisit  = "origin.visit"
)

// DefaultEventTypes returns the event types of the archive, sorted by name:
//   - origin.create, with the payload [OriginCreate]: an origin is seen for the first time,
//   - origin.visit, with the payload [OriginVisit]: a visit of an origin changes its status.
//
// The caller may change what is returned.
func DefaultEventTypes() []EventType {
	return []EventType{
		{Name: TypeOriginCreate, Description: originCreateDescription, Schema: json.RawMessage(originCreateSchema)},
		{Name: TypeOriginVisit, Description: originVisitDescription, Schema: json.RawMessage(originVisitSchema)},
	}
}

// OriginCreate is the payload of the event type origin.create: an origin that the archive did not
// know has entered it.
type OriginCreate struct {
	OriginURL string `json:"origin_url"`
}

// OriginVisit is the payload of the event type origin.visit: a visit of an origin has changed its
// status. Sent after decoding it is the payload that came in, except for members that the schema
// does not name.
type OriginVisit struct {
	OriginURL   string      `json:"origin_url"`
	VisitType   string      `json:"visit_type"` // the kind of loader, such as "git"
	VisitDate   VisitDate   `json:"visit_date"`
	VisitStatus VisitStatus `json:"visit_status"`
	// SnapshotSWHID is "swh:1:snp:" and 40 hexadecimal digits; nil, which is null in JSON, if the
	// visit has no snapshot.
	SnapshotSWHID *string `json:"snapshot_swhid"`
}

// A VisitStatus is how far a visit has come.
type VisitStatus string

// The statuses that the schema of origin.visit allows.
const (
	VisitCreated  VisitStatus = "created"
	VisitOngoing  VisitStatus = "ongoing"
	VisitFull     VisitStatus = "full"
	VisitPartial  VisitStatus = "partial"
	VisitNotFound VisitStatus = "not_found"
	VisitFailed   VisitStatus = "failed"
)

// A VisitDate is a date and time as a payload has it. It stays text, since the schema does not bind
// its form: a date without UTC offset, or finer than Go or Python count, passes through unchanged.
type VisitDate string

// NewVisitDate writes a time as the Python module does: in UTC, offset +00:00, with six decimals
// unless these are all zero. What is below a microsecond is cut off.
func NewVisitDate(t time.Time) VisitDate {
	layout := "2006-01-02T15:04:05-07:00"
	if t = t.UTC().Truncate(time.Microsecond); t.Nanosecond() != 0 {
		layout = "2006-01-02T15:04:05.000000-07:00"
	}
	return VisitDate(t.Format(layout))
}

// Time reads a date in the form of RFC 3339; one without UTC offset is taken as UTC. Any other form
// is an [ErrInvalidPayload].
func (d VisitDate) Time() (time.Time, error) {
	t, err := time.Parse(time.RFC3339, string(d))
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", string(d))
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("webhooks: %w: the visit date %s is not in the form of RFC 3339",
			ErrInvalidPayload, foreign.Quote(string(d)))
	}
	return t, nil
}

const originCreateDescription = "An origin that the archive did not know before was added to it"

const originCreateSchema = `{
  "type": "object",
  "title": "origin.create",
  "description": "` + originCreateDescription + `",
  "properties": {
    "origin_url": {
      "type": "string",
      "format": "iri",
      "description": "Where the source code of the added origin is found"
    }
  },
  "required": ["origin_url"]
}`

const originVisitDescription = "The status of a visit of an origin by the archive has changed"

const originVisitSchema = `{
  "type": "object",
  "title": "origin.visit",
  "description": "` + originVisitDescription + `",
  "properties": {
    "origin_url": {
      "type": "string",
      "format": "iri",
      "description": "Where the source code of the visited origin is found"
    },
    "visit_type": {
      "type": "string",
      "description": "How the origin was loaded, such as git, hg or pypi"
    },
    "visit_date": {
      "type": "string",
      "format": "date-time",
      "description": "When the visit began"
    },
    "visit_status": {
      "type": "string",
      "enum": ["created", "ongoing", "full", "partial", "not_found", "failed"],
      "description": "How far the visit has come, or how it ended"
    },
    "snapshot_swhid": {
      "type": ["string", "null"],
      "pattern": "^swh:1:snp:[0-9a-f]{40}$"
    }
  },
  "required": ["origin_url", "visit_type", "visit_date", "visit_status", "snapshot_swhid"]
}`
