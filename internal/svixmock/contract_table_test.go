package svixmock_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestContractTable has one subtest for every row of the closing table (15), which lists what a
// lenient mock gets wrong. Each has a server of its own, without retries.
func TestContractTable(t *testing.T) {
	t.Parallel()
	rows := map[string]func(a *api){
		"malformed or empty JSON body":                          rowMalformedBody,
		"validation error `loc`":                                rowLoc,
		"unknown route":                                         rowUnknownRoute,
		"bad query value":                                       rowBadQuery,
		"`limit` > 250":                                         rowLimit,
		"last page":                                             rowLastPage,
		"`prevIterator`":                                        rowPrevIterator,
		"list with `after` only":                                rowAfterOnly,
		"order of items":                                        rowOrder,
		"`before`/`after` precision":                            rowPrecision,
		"no date filters":                                       rowNoDateFilters,
		"`after=1970…`":                                         rowEpoch,
		"application list vs endpoint list":                     rowListOrders,
		"`event_types=`":                                        rowEmptyEventTypes,
		"get-or-create":                                         rowGetOrCreate,
		"app uid conflict text vs others":                       rowConflictTexts,
		"event-type create over archived":                       rowCreateOverArchived,
		"event-type conflict code":                              rowEventTypeConflict,
		"event-type PUT":                                        rowEventTypePut,
		"event-type list content":                               rowEventTypeContent,
		"archived type GET":                                     rowArchivedGet,
		"endpoint with unknown or archived filter type":         rowFilterTypes,
		"message with unknown or archived type":                 rowMessageType,
		"empty `filterTypes`/`channels` array":                  rowEmptyArrays,
		"channels on message / endpoint":                        rowChannelCounts,
		"message without channels to an endpoint with channels": rowNoChannels,
		"endpoint PUT, absent fields":                           rowPutAbsentFields,
		"endpoint PUT, unknown id":                              rowPutUnknownID,
		"endpoint `url` echo":                                   rowURLEcho,
		"null fields of endpoint":                               rowNulls,
		"secret without `whsec_`":                               rowSecretPrefix,
		"secret length":                                         rowSecretLength,
		"rotate":                                                rowRotate,
		"rotate again and again":                                rowRotationLimit,
		"signatures after rotate":                               rowSignaturesAfterRotate,
		"headers GET":                                           rowHeadersGet,
		"headers PUT names":                                     rowHeaderNames,
		"headers `deleteHeaders`":                               rowDeleteHeaders,
		"create response payload":                               rowPayloadEcho,
		"delivered body":                                        rowDeliveredBody,
		"eventId reuse":                                         rowEventIDReuse,
		"message create status":                                 rowMessageStatus,
		"message create unknown app":                            rowMessageUnknownApp,
		"endpoint create unknown app":                           rowEndpointUnknownApp,
		"resend to disabled endpoint":                           rowResendDisabled,
		"resend and filters":                                    rowResendFilters,
		"resend response":                                       rowResendResponse,
		"attempt visible at once":                               rowAttemptVisibility,
		"`with_msg`":                                            rowWithMsg,
		"precheck":                                              rowPrecheck,
		"connection failure":                                    rowConnectionFailure,
		"long response":                                         rowLongResponse,
		"3xx from receiver":                                     rowRedirect,
		"signature timestamp":                                   rowSignatureTimestamp,
		"whitelabel":                                            rowWhitelabel,
		"idempotency":                                           rowIdempotency,
		"wrong token":                                           rowWrongToken,
		"missing description on event type":                     rowMissingDescription,
		"`payloadRetentionPeriod`":                              rowRetention,
		"request > 2 MiB":                                       rowTooLarge,
	}
	var areas []string
	for _, cells := range contractTable(t, "15") {
		areas = append(areas, cells[0])
	}
	checkRows(t, areas, slices.Collect(maps.Keys(rows)))
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row(newAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}}))
		})
	}
}

func rowMalformedBody(a *api) {
	for _, body := range []string{"", "nonsense"} {
		a.post("/app", body).expect(http.StatusUnprocessableEntity, undecodable(root...))
	}
	a.post("/app", "{").expect(http.StatusUnprocessableEntity, undecodable("?"))
}

func rowLoc(a *api) {
	app := a.app()
	a.post(app+"/msg", `{"eventType":"a.b","payload":{},"payloadRetentionPeriod":4}`).
		expect(http.StatusUnprocessableEntity, invalidBody("Validation error", "payload_retention_period"))
	a.post(app+"/msg", `{"eventType":"a.b","payload":{},"eventId":"msg_x"}`).
		expect(http.StatusUnprocessableEntity, invalidBody("*", "uid", "__all__"))
	a.post(app+"/endpoint", `{"url":"https://example.com","secret":"whsec_AAAA"}`).
		expect(http.StatusUnprocessableEntity, invalidBody("secret length invalid", "key", "__all__"))
}

func rowUnknownRoute(a *api) {
	a.get("/nothing").expect(http.StatusNotFound, noBody)
}

func rowBadQuery(a *api) {
	for _, token := range []string{"Bearer " + a.mock.Token(), "Bearer wrong"} {
		a.do(http.MethodGet, "/app?limit=many", "", "Authorization", token).
			expect(http.StatusBadRequest, badQuery)
		a.do(http.MethodGet, "/app?limit=251", "", "Authorization", token).
			expect(http.StatusUnprocessableEntity, "")
	}
}

func rowLimit(a *api) {
	a.get("/app?limit=250").expect(http.StatusOK, "")
	a.get("/app?limit=251").
		expect(http.StatusUnprocessableEntity, invalidQuery("Given limit must not exceed 250", "limit", "limit"))
}

func rowLastPage(a *api) {
	clock := a.clock()
	first := a.app()
	clock.set(time.Second)
	second := a.app()
	want := page{ids: []string{first[5:], second[5:]}, iterator: second[5:], prev: "-" + first[5:], done: true}
	if diff := cmp.Diff(want, a.list("/app?limit=2"), comparePages); diff != "" {
		a.t.Errorf("exactly full last page (-want +got):\n%s", diff)
	}
}

func rowPrevIterator(a *api) {
	want := page{ids: []string{}, iterator: "null", done: true}
	if diff := cmp.Diff(want, a.list("/app"), comparePages); diff != "" {
		a.t.Errorf("empty page (-want +got):\n%s", diff)
	}
	id := a.app()[5:]
	if got := a.list("/app").prev; got != "-"+id {
		a.t.Errorf("got prevIterator %q, want that of %s", got, id)
	}
}

func rowAfterOnly(a *api) {
	app, ids := a.series(4)
	after := app + "/msg?limit=2&after=" + at(-time.Second)
	steps := []struct {
		query string
		want  page
	}{
		{"", page{ids: []string{ids[1], ids[0]}, iterator: ids[0], prev: "-" + ids[1]}},
		{
			"&iterator=-" + ids[1],
			page{ids: []string{ids[3], ids[2]}, iterator: ids[2], prev: "-" + ids[3], done: true},
		},
		{"&iterator=" + ids[0], page{ids: []string{}, iterator: "null", done: true}},
	}
	for _, step := range steps {
		if diff := cmp.Diff(step.want, a.list(after+step.query), comparePages); diff != "" {
			a.t.Errorf("after=%s (-want +got):\n%s", step.query, diff)
		}
	}
}

func rowOrder(a *api) {
	app, ids := a.series(3)
	want := []string{ids[2], ids[1], ids[0]}
	for _, query := range []string{
		"", "?after=" + at(-time.Second), "?before=" + at(time.Hour),
		"?iterator=-msg_" + firstOfStart,
	} {
		if diff := cmp.Diff(want, a.list(app+"/msg"+query).ids); diff != "" {
			a.t.Errorf("%s: not newest first (-want +got):\n%s", query, diff)
		}
	}
}

func rowPrecision(a *api) {
	clock := a.clock()
	app := a.app()
	clock.set(time.Millisecond)
	id := a.message(app)
	for query, want := range map[string][]string{
		"before=" + at(0):                  {},
		"before=" + at(3*time.Millisecond): {},
		"before=" + at(4*time.Millisecond): {id},
		"after=" + at(3*time.Millisecond):  {id},
		"after=" + at(4*time.Millisecond):  {},
	} {
		if diff := cmp.Diff(want, a.list(app+"/msg?"+query).ids); diff != "" {
			a.t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func rowNoDateFilters(a *api) {
	clock := a.clock()
	app := a.app()
	a.message(app)
	clock.set(2 * day)
	young := a.message(app)
	clock.set(91 * day)
	if diff := cmp.Diff([]string{young}, a.list(app+"/msg").ids); diff != "" {
		a.t.Errorf("after 91 days (-want +got):\n%s", diff)
	}
}

func rowEpoch(a *api) {
	app := a.app()
	a.message(app)
	if got := a.list(app + "/msg?after=1970-01-01T00:00:00Z").ids; len(got) != 0 {
		a.t.Errorf("got %v, want nothing", got)
	}
}

func rowListOrders(a *api) {
	clock := a.clock()
	app1 := a.app()
	ep1 := a.endpoint(app1, "https://example.com")
	clock.set(time.Second)
	app2 := a.app()
	ep2 := a.endpoint(app1, "https://example.com")
	if diff := cmp.Diff([]string{app1[5:], app2[5:]}, a.list("/app").ids); diff != "" {
		a.t.Errorf("applications (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{ep2, ep1}, a.list(app1+"/endpoint").ids); diff != "" {
		a.t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}

func rowEmptyEventTypes(a *api) {
	a.get(a.app()+"/msg?event_types=").expect(http.StatusUnprocessableEntity, invalidQuery("*", "__all__"))
}

func rowGetOrCreate(a *api) {
	created := a.post("/app?get_if_exists=true", `{"name":"one","uid":"u"}`).expect(http.StatusCreated, "").body
	got := a.post("/app?get_if_exists=true", `{"name":"two","uid":"u","metadata":{"k":"v"}}`).
		expect(http.StatusOK, "").
		body
	if diff := cmp.Diff(string(created), string(got)); diff != "" {
		a.t.Errorf("existing application (-created +got):\n%s", diff)
	}
}

func rowConflictTexts(a *api) {
	app := "/app/" + a.post("/app", `{"name":"n","uid":"u"}`).expect(http.StatusCreated, "").text("id")
	a.post("/app", `{"name":"n","uid":"u"}`).
		expect(http.StatusConflict, problem("conflict", "An application with that id or uid already exists"))
	a.endpoint(app, "https://example.com", `"uid":"u"`)
	a.post(app+"/endpoint", `{"url":"https://example.com","uid":"u"}`).expect(http.StatusConflict, conflict)
	a.message(app, `"eventId":"u"`)
	a.post(app+"/msg", `{"eventType":"a.b","payload":{},"eventId":"u"}`).expect(http.StatusConflict, conflict)
}

func rowCreateOverArchived(a *api) {
	clock := a.clock()
	first := a.post("/event-type", `{"name":"a.b","description":"old","deprecated":true,"schemas":{"1":{}},`+
		`"featureFlag":"f"}`).
		expect(http.StatusCreated, "")
	a.do(http.MethodDelete, "/event-type/a.b", "").expect(http.StatusNoContent, noBody)
	clock.set(time.Hour)
	again := a.post("/event-type", `{"name":"a.b","description":"new"}`).
		expect(http.StatusCreated, `{"name":"a.b",
		"description":"new","archived":false,"deprecated":false,"schemas":null,"featureFlag":null,
		"createdAt":"*","updatedAt":"*"}`)
	if got, want := again.text("createdAt"), first.text("createdAt"); got != want {
		a.t.Errorf("got createdAt %s, want that of the first creation %s", got, want)
	}
}

func rowEventTypeConflict(a *api) {
	a.eventType("a.b")
	a.post("/event-type", `{"name":"a.b","description":""}`).
		expect(http.StatusConflict, problem("event_type_exists", "An event_type with this name already exists"))
}

func rowEventTypePut(a *api) {
	a.do(http.MethodPut, "/event-type/a.b", `{"description":"one"}`).expect(http.StatusCreated, "")
	a.do(http.MethodDelete, "/event-type/a.b", "").expect(http.StatusNoContent, noBody)
	if archived := a.do(http.MethodPut, "/event-type/a.b", `{"description":"two"}`).expect(http.StatusOK,
		"").field("archived"); archived != false {
		a.t.Errorf("got archived %v after PUT, want false", archived)
	}
	a.do(http.MethodPut, "/event-type/a%20b", `{"description":""}`).expect(http.StatusCreated, "")
}

func rowEventTypeContent(a *api) {
	a.post("/event-type", `{"name":"a.b","description":"","schemas":{"1":{"type":"object"}}}`).
		expect(http.StatusCreated, "")
	for query, want := range map[string]any{
		"":                    nil,
		"?with_content=false": nil,
		"?with_content=true":  map[string]any{"1": map[string]any{"type": "object"}},
	} {
		if diff := cmp.Diff(want, a.items("/event-type" + query)[0]["schemas"]); diff != "" {
			a.t.Errorf("schemas in list%s (-want +got):\n%s", query, diff)
		}
	}
}

func rowArchivedGet(a *api) {
	a.eventType("a.b")
	a.do(http.MethodDelete, "/event-type/a.b", "").expect(http.StatusNoContent, noBody)
	if archived := a.get("/event-type/a.b").expect(http.StatusOK, "").field("archived"); archived != true {
		a.t.Errorf("got archived %v, want true", archived)
	}
}

func rowFilterTypes(a *api) {
	app := a.app()
	a.eventType("archived.type")
	a.do(http.MethodDelete, "/event-type/archived.type", "").expect(http.StatusNoContent, noBody)
	for _, name := range []string{"archived.type", "unknown.type"} {
		a.post(app+"/endpoint", `{"url":"https://example.com","filterTypes":["`+name+`"]}`).
			expect(http.StatusUnprocessableEntity,
				invalidBody("The following event types don't exist: "+name, "eventTypes"))
	}
}

func rowMessageType(a *api) {
	app := a.app()
	r := a.receiver("https://receiver.example")
	a.endpoint(app, "https://receiver.example")
	a.eventType("archived.type")
	a.do(http.MethodDelete, "/event-type/archived.type", "").expect(http.StatusNoContent, noBody)
	for _, name := range []string{"archived.type", "unknown.type"} {
		a.post(app+"/msg", `{"eventType":"`+name+`","payload":{}}`).expect(http.StatusAccepted, "")
	}
	a.delivered(2)
	if got := len(r.deliveries()); got != 2 {
		a.t.Errorf("got %d deliveries, want 2", got)
	}
}

func rowEmptyArrays(a *api) {
	app := a.app()
	a.post(app+"/endpoint", `{"url":"https://example.com","filterTypes":[]}`).
		expect(http.StatusUnprocessableEntity, invalidBody("eventTypes can't be empty, it must have at least "+
			"one item.", "event_types"))
	a.post(app+"/endpoint", `{"url":"https://example.com","channels":[]}`).
		expect(http.StatusUnprocessableEntity, invalidBody("Channels must have at least 1 and at most 10 "+
			"items, or be set to null.", "channels"))
}

func rowChannelCounts(a *api) {
	app := a.app()
	message := func(n int) answer {
		return a.post(app+"/msg", `{"eventType":"a.b","payload":{},"channels":`+names(n)+`}`)
	}
	endpoint := func(n int) answer {
		return a.post(app+"/endpoint", `{"url":"https://example.com","channels":`+names(n)+`}`)
	}
	message(1).expect(http.StatusAccepted, "")
	message(5).expect(http.StatusAccepted, "")
	endpoint(1).expect(http.StatusCreated, "")
	endpoint(10).expect(http.StatusCreated, "")
	for _, n := range []int{0, 6} {
		message(
			n,
		).expect(http.StatusUnprocessableEntity, invalidBody("Channels must have at least 1 and at most 5 "+
			"items, or be set to null.", "channels"))
	}
	endpoint(
		11,
	).expect(http.StatusUnprocessableEntity, invalidBody("Channels must have at least 1 and at most 10 items,"+
		" or be set to null.", "channels"))
}

func rowNoChannels(a *api) {
	app := a.app()
	r := a.receiver("https://receiver.example")
	a.endpoint(app, "https://receiver.example", `"channels":["c"]`)
	a.message(app)
	want := a.message(app, `"channels":["c"]`)
	a.delivered(1)
	if got := r.deliveries()[0].header.Get("Webhook-Id"); got != want {
		a.t.Errorf("got delivery of %s, want only that of %s, which has the channel", got, want)
	}
}

func rowPutAbsentFields(a *api) {
	app := a.app()
	a.eventType("a.b")
	id := a.endpoint(
		app,
		"https://example.com",
		`"uid":"u","description":"d","disabled":true,"version":2,"throttleRate":3,
		"filterTypes":["a.b"],"channels":["c"],"metadata":{"k":"v"}`,
	)
	a.do(http.MethodPut, app+"/endpoint/"+id, `{"url":"https://example.com/2"}`).
		expect(http.StatusOK, `{"id":"`+id+`","uid":null,
		"url":"https://example.com/2","description":"","disabled":false,"version":1,
		"throttleRate":null,"rateLimit":null,
		"eventTypes":null,"filterTypes":null,"channels":null,"metadata":{},"createdAt":"*","updatedAt":"*"}`)
}

func rowPutUnknownID(a *api) {
	app := a.app()
	got := a.do(http.MethodPut, app+"/endpoint/ep_missing", `{"url":"https://example.com"}`).
		expect(http.StatusCreated, "")
	if got.text("id") == "ep_missing" || got.field("uid") != nil {
		a.t.Errorf("got %s, want a new id and no uid", got.body)
	}
	a.get(app+"/endpoint/ep_missing").expect(http.StatusNotFound, notFound)
}

func rowURLEcho(a *api) {
	app := a.app()
	for given, want := range map[string]string{
		"https://Example.com":          "https://example.com/",
		"https://example.com:443/a":    "https://example.com/a",
		"http://example.com:80":        "http://example.com/",
		"https://example.com/a/../b/.": "https://example.com/b/",
		"https://example.com/a b":      "https://example.com/a%20b",
	} {
		if got := a.post(app+"/endpoint", `{"url":"`+given+`"}`).expect(http.StatusCreated,
			"").text("url"); got != want {
			a.t.Errorf("%s: got %s, want %s", given, got, want)
		}
	}
}

func rowNulls(a *api) {
	app := a.post("/app", `{"name":"n"}`).expect(http.StatusCreated,
		`{"id":"*","name":"n","throttleRate":null,"metadata":{},"createdAt":"*","updatedAt":"*"}`).text("id")
	a.post("/app/"+app+"/endpoint", `{"url":"https://example.com/"}`).
		expect(http.StatusCreated, `{"id":"*","uid":null,
		"url":"https://example.com/","description":"","disabled":false,"version":1,"throttleRate":null,"rateLimit":null,
		"eventTypes":null,"filterTypes":null,"channels":null,"metadata":{},"createdAt":"*","updatedAt":"*"}`)
}

func rowSecretPrefix(a *api) {
	a.post(a.app()+"/endpoint", `{"url":"https://example.com","secret":"`+strings.TrimPrefix(symmetric, "whsec_")+`"}`).
		expect(http.StatusUnprocessableEntity, undecodable("secret"))
}

func rowSecretLength(a *api) {
	app := a.app()
	for n, status := range map[int]int{23: 422, 24: 201, 75: 201, 76: 422} {
		key := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n))
		a.post(app+"/endpoint", `{"url":"https://example.com","secret":"`+key+`"}`).expect(status, "")
	}
}

func rowRotate(a *api) {
	app := a.app()
	secret := app + "/endpoint/" + a.endpoint(
		app,
		"https://example.com",
		`"secret":"`+symmetric+`"`,
	) + "/secret"
	a.post(secret+"/rotate", "").expect(http.StatusUnprocessableEntity, undecodable(root...))
	a.post(secret+"/rotate", "{}").expect(http.StatusNoContent, noBody)
	if got := a.get(secret).text("key"); got == symmetric {
		a.t.Error("got the old secret after rotation")
	}
	a.post(secret+"/rotate", `{"key":"`+anotherKey+`"}`).expect(http.StatusNoContent, noBody)
	if got := a.get(secret).text("key"); got != anotherKey {
		a.t.Errorf("got secret %s, want %s", got, anotherKey)
	}
}

func rowRotationLimit(a *api) {
	a.clock()
	app := a.app()
	rotate := app + "/endpoint/" + a.endpoint(app, "https://example.com") + "/secret/rotate"
	for range 10 {
		a.post(rotate, "{}").expect(http.StatusNoContent, noBody)
	}
	a.post(rotate, "{}").expect(http.StatusBadRequest, problem("limit_reached", "*"))
}

func rowSignaturesAfterRotate(a *api) {
	app := a.app()
	r := a.receiver("https://receiver.example")
	id := a.endpoint(app, "https://receiver.example", `"secret":"`+symmetric+`"`)
	a.post(app+"/endpoint/"+id+"/secret/rotate", `{"key":"`+anotherKey+`"}`).
		expect(http.StatusNoContent, noBody)
	a.message(app)
	a.delivered(1)
	checkSignatures(a.t, r.deliveries()[0], anotherKey, symmetric)
}

func rowHeadersGet(a *api) {
	app := a.app()
	headers := app + "/endpoint/" + a.endpoint(app, "https://example.com") + "/headers"
	a.do(http.MethodPut, headers, `{"headers":{"Authorization":"secret","X-A":"b"}}`).
		expect(http.StatusNoContent, noBody)
	a.get(headers).expect(http.StatusOK, `{"headers":{"X-A":"b"},"sensitive":["Authorization"]}`)
}

func rowHeaderNames(a *api) {
	app := a.app()
	headers := app + "/endpoint/" + a.endpoint(app, "https://example.com") + "/headers"
	for _, name := range []string{
		"Content-Type", "content-length", "User-Agent", "svix-id", "X-Svix-A",
		"x-amz-date", "x-amzn-id", "X-Goog-A",
	} {
		a.t.Run(name, func(t *testing.T) {
			a.with(t).
				do(http.MethodPut, headers, `{"headers":{"`+name+`":"v"}}`).
				expect(http.StatusUnprocessableEntity, undecodable("headers"))
		})
	}
}

func rowDeleteHeaders(a *api) {
	app := a.app()
	headers := app + "/endpoint/" + a.endpoint(app, "https://example.com") + "/headers"
	a.do(http.MethodPut, headers, `{"headers":{"X-A":"a","X-B":"b"}}`).expect(http.StatusNoContent, noBody)
	a.do(http.MethodPatch, headers, `{"headers":{"X-A":null},"deleteHeaders":["X-B"]}`).
		expect(http.StatusNoContent, noBody)
	a.get(headers).expect(http.StatusOK, `{"headers":{"X-B":"b"},"sensitive":[]}`)
}

func rowPayloadEcho(a *api) {
	app := a.app()
	body := `{"eventType":"a.b","payload":{ "b" : 1.50, "a": {"d":"\u0041\/","c":[1, 2]}, "b":2.50}}`
	got := a.post(app+"/msg", body).expect(http.StatusAccepted, "")
	if want := `"payload":{"a":{"c":[1,2],"d":"A/"},"b":2.50}`; !strings.Contains(string(got.body), want) {
		a.t.Errorf("got %s, want one with %s", got.body, want)
	}
	got = a.post(app+"/msg?with_content=false", body).expect(http.StatusAccepted, "")
	if want := `"payload":{}`; !strings.Contains(string(got.body), want) {
		a.t.Errorf("got %s, want one with %s", got.body, want)
	}
}

func rowDeliveredBody(a *api) {
	app := a.app()
	r := a.receiver("https://receiver.example")
	a.endpoint(app, "https://receiver.example")
	payload := "{ \"b\" : 1.50e+2,\n\t\"a\": \"\\u0041\\/<&>é\", \"b\":-0.0 }"
	a.post(app+"/msg", `{"eventType":"a.b","payload": `+payload+" \n}").expect(http.StatusAccepted, "")
	a.delivered(1)
	if diff := cmp.Diff(payload, string(r.deliveries()[0].body)); diff != "" {
		a.t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func rowEventIDReuse(a *api) {
	clock := a.clock()
	app, other := a.app(), a.app()
	a.message(app, `"eventId":"e"`)
	a.message(other, `"eventId":"e"`)
	clock.set(400 * day)
	a.post(app+"/msg", `{"eventType":"a.b","payload":{},"eventId":"e"}`).expect(http.StatusConflict, conflict)
}

func rowMessageStatus(a *api) {
	a.post(a.app()+"/msg", `{"eventType":"a.b","payload":{}}`).expect(http.StatusAccepted,
		`{"id":"*","eventId":null,"eventType":"a.b","payload":{},"channels":null,"timestamp":"*"}`)
}

func rowMessageUnknownApp(a *api) {
	a.post("/app/"+missing+"/msg", `{"eventType":"a.b","payload":{}}`).
		expect(http.StatusNotFound, problem("not_found", "Application not found"))
	a.post("/app/"+missing+"/msg", `{}`).expect(http.StatusUnprocessableEntity, undecodable(root...))
}

func rowEndpointUnknownApp(a *api) {
	a.post("/app/"+missing+"/endpoint", `{`).expect(http.StatusNotFound, notFound)
}

func rowResendDisabled(a *api) {
	bubble(a.t, svixmock.Config{}, func(a *api) {
		app := a.app()
		r := a.receiver("https://receiver.example")
		id := a.endpoint(app, "https://receiver.example", `"disabled":true`)
		msg := a.message(app)
		a.post(app+"/msg/"+msg+"/endpoint/"+id+"/resend", "").expect(http.StatusAccepted, `{}`)
		time.Sleep(time.Hour)
		if sent, listed := len(r.deliveries()), len(a.attempts(app, msg)); sent != 0 || listed != 0 {
			a.t.Errorf("got %d deliveries and %d attempts, want none", sent, listed)
		}
	})
}

func rowResendFilters(a *api) {
	app := a.app()
	r := a.receiver("https://receiver.example")
	a.eventType("other.type")
	id := a.endpoint(app, "https://receiver.example", `"filterTypes":["other.type"],"channels":["c"]`)
	msg := a.message(app)
	a.post(app+"/msg/"+msg+"/endpoint/"+id+"/resend", "").expect(http.StatusAccepted, `{}`)
	a.delivered(1)
	if got := r.deliveries()[0].header.Get("Webhook-Id"); got != msg {
		a.t.Errorf("got delivery of %s, want %s", got, msg)
	}
}

func rowResendResponse(a *api) {
	app := a.app()
	a.receiver("https://receiver.example")
	id := a.endpoint(app, "https://receiver.example")
	a.post(app+"/msg/"+a.message(app)+"/endpoint/"+id+"/resend", "").expect(http.StatusAccepted, `{}`)
}

func rowAttemptVisibility(a *api) {
	bubble(a.t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
		app := a.app()
		release := make(chan struct{})
		a.receiver("https://receiver.example", func(w http.ResponseWriter, _ *http.Request) {
			<-release
			w.WriteHeader(http.StatusInternalServerError)
		})
		a.endpoint(app, "https://receiver.example")
		msg := a.message(app)
		synctest.Wait()
		if got := a.attempts(app, msg); len(got) != 0 {
			a.t.Errorf("got %v during the exchange, want nothing", got)
		}
		close(release)
		synctest.Wait()
		got := a.attempts(app, msg)
		if len(got) != 1 || got[0]["status"] != 2.0 || got[0]["statusText"] != "fail" {
			a.t.Errorf("got %v while a retry is planned, want one failed attempt", got)
		}
	})
}

func rowWithMsg(a *api) {
	app := a.app()
	a.receiver("https://receiver.example")
	id := a.endpoint(app, "https://receiver.example")
	a.message(app)
	a.delivered(1)
	items := a.items(app + "/attempt/endpoint/" + id + "?with_msg=true")
	want := []string{
		"endpointId",
		"id",
		"msgId",
		"response",
		"responseDurationMs",
		"responseStatusCode",
		"status",
		"statusText",
		"timestamp",
		"triggerType",
		"url",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(items[0]))); diff != "" {
		a.t.Errorf("keys of an attempt (-want +got):\n%s", diff)
	}
}

func rowPrecheck(a *api) {
	a.post(a.app()+"/msg/precheck/active", `{"eventType":"a.b"}`).expect(http.StatusNotFound, noBody)
}

func rowConnectionFailure(a *api) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	app := a.app()
	a.endpoint(app, closed.URL)
	msg := a.message(app)
	a.delivered(1)
	got := a.attempts(app, msg)[0]
	if text, _ := got["response"].(string); got["responseStatusCode"] != 0.0 || got["status"] != 2.0 ||
		!strings.HasPrefix(text, "error making request: ") {
		a.t.Errorf("got %v, want a failure without status and with the error's text", got)
	}
}

func rowLongResponse(a *api) {
	app := a.app()
	long := strings.Repeat("a", 30_000)
	split := strings.Repeat("a", 19_999) + "é" // whose second byte is the 20,001st
	a.receiver("https://receiver.example", reply(http.StatusOK, long), reply(http.StatusOK, split))
	a.endpoint(app, "https://receiver.example")
	for i, want := range []string{long[:20_000], base64.StdEncoding.EncodeToString([]byte(split[:20_000]))} {
		msg := a.message(app)
		a.delivered(i + 1)
		if got := a.attempts(app, msg)[0]["response"]; got != want {
			a.t.Errorf("response %d is not what is stored: %.40s…", i, got)
		}
	}
}

func rowRedirect(a *api) {
	app := a.app()
	r := a.receiver(
		"https://receiver.example",
		status(http.StatusTemporaryRedirect, "Location", "https://receiver.example/other"),
		status(http.StatusOK),
	)
	a.endpoint(app, "https://receiver.example")
	msg := a.message(app)
	a.delivered(1)
	got := a.attempts(app, msg)[0]
	if got["responseStatusCode"] != 307.0 || got["status"] != 2.0 || len(r.deliveries()) != 1 {
		a.t.Errorf("got %v after %d requests, want a failure after one", got, len(r.deliveries()))
	}
}

func rowSignatureTimestamp(a *api) {
	bubble(a.t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}}, func(a *api) {
		app := a.app()
		r := a.receiver(
			"https://receiver.example",
			status(http.StatusServiceUnavailable),
			status(http.StatusOK),
		)
		a.endpoint(app, "https://receiver.example", `"secret":"`+symmetric+`"`)
		msg := a.message(app)
		time.Sleep(2 * time.Hour)
		got := r.deliveries()
		if len(got) != 2 {
			a.t.Fatalf("got %d deliveries, want 2", len(got))
		}
		for i, d := range got {
			want := strconv.FormatInt(start.Add(time.Duration(i)*time.Hour).Unix(), 10)
			if id, stamp := d.header.Get("Webhook-Id"), d.header.Get("Webhook-Timestamp"); id != msg ||
				stamp != want {
				a.t.Errorf("delivery %d: got id %s and timestamp %s, want %s and %s", i, id, stamp, msg, want)
			}
			checkSignatures(a.t, d, symmetric)
		}
	})
}

func rowWhitelabel(a *api) {
	for prefix, config := range map[string]svixmock.Config{"svix-": {SvixHeaders: true}, "webhook-": {}} {
		a := newAPI(a.t, config)
		app := a.app()
		r := a.receiver("https://receiver.example")
		a.endpoint(app, "https://receiver.example")
		a.message(app)
		a.delivered(1)
		want := []string{prefix + "id", prefix + "signature", prefix + "timestamp"}
		if diff := cmp.Diff(want, signatureHeaders(r.deliveries()[0].header)); diff != "" {
			a.t.Errorf("%+v: headers (-want +got):\n%s", config, diff)
		}
	}
}

func rowIdempotency(a *api) {
	clock := a.clock()
	send := func(name string) answer {
		return a.post("/app", `{"name":"`+name+`"}`, "Idempotency-Key", "k")
	}
	a.post("/app", `{}`, "Idempotency-Key", "k").expect(http.StatusUnprocessableEntity, "")
	first := send("one").expect(http.StatusCreated, "")
	clock.set(12*time.Hour - time.Second)
	if diff := cmp.Diff(string(first.body), string(send("two").expect(http.StatusCreated, "").body)); diff != "" {
		a.t.Errorf("replay with another body (-first +replay):\n%s", diff)
	}
	clock.set(12*time.Hour + 6*time.Minute) // until a sweep, an expired key is neither free nor answered
	if got := send("three").expect(http.StatusCreated, "").text("name"); got != "three" {
		a.t.Errorf("got the answer for %q after 12 hours, want a new one", got)
	}
}

func rowWrongToken(a *api) {
	a = newAPI(a.t, svixmock.Config{Secret: secret})
	for token, want := range map[string]exchange{
		"Bearer wrong":     {status: http.StatusUnauthorized, want: unauthentic},
		"Bearer " + secret: {status: http.StatusUnauthorized, want: problem("authentication_failed", "*")},
		signed(a.t, `{"sub":"user_a"}`): {status: http.StatusBadRequest, want: problem("bad_token",
			"`sub` is not a valid organization id.")},
	} {
		got := a.do(http.MethodGet, "/app", "", "Authorization", token).expect(want.status, want.want)
		if special := strings.Contains(got.text("detail"),
			"JWT signing secrets"); special != (token == "Bearer "+secret) {
			a.t.Errorf("%s: got detail %q", token, got.text("detail"))
		}
	}
}

func rowMissingDescription(a *api) {
	a.post("/event-type", `{"name":"a.b"}`).expect(http.StatusUnprocessableEntity, undecodable(root...))
	a.post("/event-type", `{"name":"a.b","description":""}`).expect(http.StatusCreated, "")
}

func rowRetention(a *api) {
	app := a.app()
	for days, status := range map[int]int{4: 422, 5: 202, 90: 202, 91: 422} {
		a.post(app+"/msg", fmt.Sprintf(`{"eventType":"a.b","payload":{},"payloadRetentionPeriod":%d}`, days)).
			expect(status, "")
	}
}

func rowTooLarge(a *api) {
	app := a.app()
	const limit = 2 << 20
	head, tail := `{"eventType":"a.b","payload":{"a":"`, `"}}`
	text := strings.Repeat("x", limit-len(head)-len(tail))
	a.post(app+"/msg?with_content=false", head+text+tail).expect(http.StatusAccepted, "")
	a.post(app+"/msg?with_content=false", head+text+"x"+tail).
		expect(http.StatusRequestEntityTooLarge, problem("payload_too_large", "Request payload is too large."))
}
