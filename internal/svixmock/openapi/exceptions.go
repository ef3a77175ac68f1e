package openapi

import (
	"encoding/json"
	"net/http"
)

// exception is one difference between the real server and its document: either a form of answer
// that the document does not declare, or a property that it declares otherwise.
type exception struct {
	name    string
	section string // of the contract of the server, which has the evidence

	answer     *form
	components []string // that have the property
	property   string
	schema     string // of the property, or of the answer's body; an answer without schema has no body
}

// form is an answer but for its body. Zero fields match everything, except status.
type form struct {
	method   string
	template string // path template of the document, or unknownPath
	status   int
	header   string // that must be there
	text     string // media type of a body that is no JSON
}

const statsPath = "/api/v1/app/{app_id}/endpoint/{endpoint_id}/stats"

// unknownPath stands for every path that no template of the document matches.
const unknownPath = "unknown"

const (
	errorBody = `{"type":"object","required":["code","detail"],"properties":{"code":{"type":"string"},` +
		`"detail":{"type":"string"}}}`
	emptyBody  = `{"type":"object","maxProperties":0}`
	healthBody = `{"type":"object","required":["database","queue","cache"],"properties":{
		"database":` + healthPart + `,"queue":` + healthPart + `,"cache":` + healthPart + `}}`
	healthPart = `{"type":"object","required":["status"],"properties":{"status":{"enum":["ok","error"]}}}`
	rate       = `{"type":"integer","minimum":0,"nullable":true}`
	names256   = `{"type":"array","minItems":1,"uniqueItems":true,"nullable":true,
		"items":{"type":"string","minLength":1,"maxLength":256,"pattern":"^[a-zA-Z0-9\\-_.]+$"}}`
)

// exceptions are all known differences.
var exceptions = []exception{
	{name: "router 404", section: "1.1", answer: &form{template: unknownPath, status: http.StatusNotFound}},
	{
		name:    "home",
		section: "12.4",
		answer:  &form{template: "/", status: http.StatusTemporaryRedirect, header: "Location"},
	},
	{name: "docs", section: "12.4", answer: &form{template: "/docs", status: http.StatusOK, text: "text/html"}},
	{
		name:    "document",
		section: "12.4",
		answer:  &form{template: "/api/v1/openapi.json", status: http.StatusOK},
		schema:  `{"type":"object"}`,
	},
	{
		name:    "statistics",
		section: "12.4",
		answer:  &form{template: statsPath, status: http.StatusBadRequest, text: "text/plain"},
	},
	{name: "router 405", section: "1.1", answer: &form{status: http.StatusMethodNotAllowed, header: "Allow"}},
	{name: "preflight", section: "1.1", answer: &form{method: http.MethodOptions, status: http.StatusOK}},
	{
		name:    "bad path segment",
		section: "1.1, 1.2",
		answer:  &form{status: http.StatusInternalServerError},
		schema:  emptyBody,
	},
	{
		name:    "bad request",
		section: "1.4, 2, 8.8, 10.4",
		answer:  &form{status: http.StatusBadRequest},
		schema:  errorBody,
	},
	{
		name:    "too large",
		section: "1.3",
		answer:  &form{status: http.StatusRequestEntityTooLarge},
		schema:  errorBody,
	},
	{
		name:    "lost idempotency lock",
		section: "3",
		answer:  &form{method: http.MethodPost, status: http.StatusInternalServerError},
	},
	{
		name:    "healthy",
		section: "11",
		answer:  &form{template: "/api/v1/health", status: http.StatusOK},
		schema:  healthBody,
	},
	{
		name:    "unhealthy",
		section: "11",
		answer:  &form{template: "/api/v1/health", status: http.StatusInternalServerError},
		schema:  healthBody,
	},
	{
		name:    "logout",
		section: "12",
		answer:  &form{template: "/api/v1/auth/logout", status: http.StatusNotImplemented},
		schema:  errorBody,
	},
	{name: "message content deletion", section: "12", answer: &form{
		method: http.MethodDelete, template: "/api/v1/app/{app_id}/msg/{msg_id}/content", status: http.StatusNoContent,
	}},
	{name: "attempt content deletion", section: "12", answer: &form{
		method:   http.MethodDelete,
		template: "/api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content", status: http.StatusNoContent,
	}},

	// Declared by the document of the pinned version still, no longer by that of the version after
	// it.
	{
		name:       "rateLimit",
		section:    "6.1, 8.1",
		components: []string{"ApplicationOut", "EndpointOut", "MessageEndpointOut"},
		property:   "rateLimit",
		schema:     rate,
	},
	{
		name:       "version",
		section:    "8.1",
		components: []string{"EndpointOut", "MessageEndpointOut"},
		property:   "version",
		schema:     `{"type":"integer","minimum":1}`,
	},

	{
		name:       "odd URLs",
		section:    "8.2",
		components: []string{"EndpointOut", "MessageAttemptOut", "MessageEndpointOut"},
		property:   "url",
		schema:     `{"type":"string"}`,
	},
	{
		name:       "filterTypes",
		section:    "8.1",
		components: []string{"EndpointOut", "MessageEndpointOut"},
		property:   "filterTypes",
		schema:     names256,
	},
	{
		name:       "long channels",
		section:    "4.2",
		components: []string{"EndpointOut", "MessageOut", "MessageEndpointOut", "EndpointMessageOut"},
		property:   "channels",
		schema:     names256,
	},
	{
		name:       "event type names by PUT",
		section:    "7.6",
		components: []string{"EventTypeOut"},
		property:   "name",
		schema:     `{"type":"string"}`,
	},
	{
		name: "boolean schemas", section: "7.9", components: []string{"EventTypeOut"}, property: "schemas",
		schema: `{"type":"object","nullable":true,"additionalProperties":{"anyOf":[{"type":"object"},` +
			`{"type":"boolean"}]}}`,
	},
	{
		name:       "raw payloads",
		section:    "9.2",
		components: []string{"MessageOut", "EndpointMessageOut"},
		property:   "payload",
		schema:     `{}`,
	},
	{
		name:       "public key",
		section:    "8.8",
		components: []string{"EndpointSecretOut"},
		property:   "key",
		schema: `{"type":"string",
		"pattern":"^(whsec_[a-zA-Z0-9+/=]{32,100}|whpk_[a-zA-Z0-9+/=]{44})$"}`,
	},
}

// undeclared are routes of the server that its document does not have, and those whose answers are
// like theirs. They are in section 12.
var undeclared = map[string]string{
	"/api/v1/admin/redrive-dlq": "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",

	"/api/v1/app/{app_id}/msg/{msg_id}/attempt":                        "/api/v1/app/{app_id}/attempt/msg/{msg_id}",
	"/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/attempt": "/api/v1/app/{app_id}/attempt/msg/{msg_id}",
	"/api/v1/auth/dashboard-access/{app_id}":                           "/api/v1/auth/app-portal-access/{app_id}",
}

// apply sets the exception's property in the components that have it. Components that are not there
// are left out.
func (e exception) apply(components map[string]any) error {
	for _, name := range e.components {
		component, ok := components[name].(map[string]any)
		if !ok {
			continue
		}
		properties, ok := component["properties"].(map[string]any)
		if !ok {
			properties = map[string]any{}
			component["properties"] = properties
		}
		var schema any
		if err := json.Unmarshal([]byte(e.schema), &schema); err != nil {
			return err
		}
		properties[e.property] = schema
	}
	return nil
}
