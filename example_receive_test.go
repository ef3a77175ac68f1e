package webhooks_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
)

// A complete receiver.
func ExampleNewHandler() {
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} // while it is rotated: the old one and the new one
	handler := webhooks.NewHandler(secrets, func(_ context.Context, d webhooks.Delivery) error {
		switch d.EventType {
		case "origin.create":
			var origin webhooks.OriginCreate
			if err := d.Decode(&origin); err != nil {
				return err // answered with 500: the sender tries again
			}
			fmt.Println("new origin:", origin.OriginURL)
		case "origin.visit":
			var visit webhooks.OriginVisit
			if err := d.Decode(&visit); err != nil {
				return err
			}
			fmt.Println("visit:", visit.OriginURL, visit.VisitStatus)
		}
		return nil
	})
	mux := http.NewServeMux()
	mux.Handle("/webhooks", handler)
	// http.ListenAndServe(":8080", mux)

	deliver(mux, secrets[0], "origin.create", `{"origin_url":"https://git.example.org/project"}`)
	deliver(mux, "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "origin.create", `{"origin_url":"https://git.example.org/forged"}`)
	// Output:
	// new origin: https://git.example.org/project
	// answer: 204
	// answer: 401
}

// deliver does what a Svix server does.
func deliver(handler http.Handler, secret, eventType, payload string) {
	const messageID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	now := time.Now()
	signature, err := webhooks.SignPayload(secret, messageID, now, []byte(payload))
	if err != nil {
		panic(err)
	}
	request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/webhooks", strings.NewReader(payload))
	request.Header.Set("Svix-Id", messageID)
	request.Header.Set("Svix-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Svix-Signature", signature)
	request.Header.Set("X-Swh-Event", eventType)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	fmt.Println("answer:", answer.Code)
}
