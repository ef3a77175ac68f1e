package svixmock

import "github.com/softwareheritage/webhooks/internal/svixmock/serde"

// apiPrefix is where the routes of the API begin.
const apiPrefix = "/api/v1"

// routes registers all that the server answers.
func (s *Server) routes() {
	s.router.handle("GET", "/", s.home)
	s.router.handle("GET", "/docs", s.docs)

	api := func(method, path string, h handler) { s.router.handle(method, apiPrefix+path, h) }
	api("GET", "/openapi.json", s.openAPI)
	api("GET", "/health", s.health)
	api("GET", "/health/ping", s.ping)
	api("POST", "/auth/logout", s.logout)

	route := func(method, path string, sh shaped) { api(method, path, sh.handler(s)) }
	route("POST", "/auth/app-portal-access/{app}", takes(ownOrg, decodePortalAccess, s.portalAccess))
	route("POST", "/auth/dashboard-access/{app}", acts(ownOrg, s.dashboardAccess))
	route("POST", "/admin/redrive-dlq", acts(ownOrg, redrive))

	route("POST", "/app", shape[*org, bool, *appIn]{ifExists, ownOrg, decodeApp, true, createApp})
	route("GET", "/app", lists(appPaging, ownOrg, listApps))
	route("GET", "/app/{app}", reads(anApp, getApp))
	route("PUT", "/app/{app}", takes(ownOrg, decodeApp, putApp))
	route("PATCH", "/app/{app}", takes(ownApp, decodeApp, patchApp))
	route("DELETE", "/app/{app}", acts(ownApp, deleteApp))

	route("POST", "/event-type", takes(ownOrg, decodeEventType, createEventType))
	route("GET", "/event-type", lists(parseEventTypeList, visibleOrg, listEventTypes))
	route("GET", "/event-type/{name}", reads(visibleOrg, getEventType))
	route("PUT", "/event-type/{name}", takes(ownOrg, decodeEventType, putEventType))
	route("PATCH", "/event-type/{name}", takes(ownType, decodeEventType, patchEventType))
	route(
		"DELETE",
		"/event-type/{name}",
		shape[*eventType, bool, none]{expunge, ownType, nil, true, deleteEventType},
	)

	const endpoints, one = "/app/{app}/endpoint", "/app/{app}/endpoint/{endpoint}"
	route("POST", endpoints, takes(anApp, decodeEndpoint, createEndpoint))
	route("GET", endpoints, lists(endpointPaging, anApp, listEndpoints))
	route("GET", one, reads(anEndpoint, getEndpoint))
	route("PUT", one, takes(anApp, decodeEndpoint, putEndpoint))
	route("PATCH", one, takes(anApp, decodeEndpoint, patchEndpoint))
	route("DELETE", one, acts(anEndpoint, deleteEndpoint))
	route("GET", one+"/secret", reads(anEndpoint, getSecret))
	route("POST", one+"/secret/rotate", takes(anEndpoint, decodeRotation, rotateSecret))
	route("GET", one+"/headers", reads(anEndpoint, getHeaders))
	route("PATCH", one+"/headers", takes(anEndpoint, decodeHeaderPatch, s.patchHeaders))
	route("PUT", one+"/headers", takes(anEndpoint, decodeHeaders, putHeaders))
	route("GET", one+"/msg", lists(parseMessageFilter, anEndpoint, listAttemptedMessages))
	route("GET", one+"/stats", lists(parseStats, anApp, endpointStats))
	route("POST", one+"/recover", takes(anEndpoint, decodeRecovery, recoverFailed))
	route("POST", one+"/send-example", takes(ownEndpoint, decodeExample, sendExample))

	const messages, message = "/app/{app}/msg", "/app/{app}/msg/{msg}"
	route(
		"POST",
		messages,
		shape[*org, bool, *messageIn]{withContent, ownOrg, decodeMessage, true, createMessage},
	)
	route("GET", messages, lists(messageFilter, anApp, listMessages))
	route("GET", message, lists(withContent, aMessage, getMessage))
	route("DELETE", message+"/content", acts(ownMessage, expungeMessage))
	route("GET", message+"/endpoint", lists(destinationPaging, aMessage, listDestinations))
	route("POST", message+"/endpoint/{endpoint}/resend", acts(aMessage, resend))

	route(
		"GET",
		"/app/{app}/attempt/endpoint/{endpoint}",
		lists(attemptFilter, anEndpoint, listAttemptsByEndpoint),
	)
	route("GET", "/app/{app}/attempt/msg/{msg}", lists(attemptByMessageFilter, aMessage, listAttemptsByMessage))
	route("GET", message+"/attempt", lists(olderAttemptFilter, aMessage, listOlderByMessage))
	route(
		"GET",
		message+"/endpoint/{endpoint}/attempt",
		lists(olderAttemptFilter, aMessage, listOlderByDestination),
	)
	route("GET", message+"/attempt/{attempt}", reads(aMessage, getAttempt))
	route("DELETE", message+"/attempt/{attempt}/content", acts(ownMessage, expungeAttempt))
}

// withContent reads the parameter of that name.
func withContent(q serde.Query) (bool, error) { return serde.BoolParam(q, "with_content", true) }
