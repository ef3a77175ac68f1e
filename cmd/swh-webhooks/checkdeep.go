package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/softwareheritage/webhooks"
)

// mostStats is how many endpoints of an event type are looked at closely.
const mostStats = 100

// lookAtEndpoints warns of endpoints of an event type that are disabled or fail.
func lookAtEndpoints(
	ctx context.Context, client *webhooks.Client, eventType string,
) (warnings []string, endpoints int, err error) {
	for ep, err := range client.ListEndpoints(ctx, eventType, webhooks.EndpointQuery{}) {
		if err != nil {
			return nil, 0, err
		}
		if endpoints++; endpoints > mostStats {
			continue
		}
		if ep.Disabled {
			warnings = append(warnings, "disabled: the endpoint "+describe(ep))
			continue
		}
		stats, err := client.GetEndpointStats(ctx, ep, time.Now().AddDate(0, 0, -1), time.Time{})
		if err != nil {
			return nil, 0, err
		}
		if stats.Failed > stats.Succeeded {
			warnings = append(warnings, fmt.Sprintf("%d of %d attempts failed since yesterday: "+
				"the endpoint %s (see: swh-webhooks event list --failed -o text %s)",
				stats.Failed, stats.Failed+stats.Succeeded, describe(ep), eventType))
		}
	}
	if endpoints > mostStats {
		warnings = append(warnings, fmt.Sprintf("only %d of %d endpoints of %s were looked at",
			mostStats, endpoints, eventType))
	}
	return warnings, endpoints, nil
}

// checkPayload is one that a server which reads payloads would write otherwise.
const checkPayload = `{"exact":1.10,"large":9007199254740993,"text":"é<&>"}`

// checkDeep sends an event to nobody and reads it back.
func checkDeep(ctx context.Context, client *webhooks.Client) (err error) {
	name := "swh-webhooks-check." + strings.ReplaceAll(uuid.NewString(), "-", "")
	et := webhooks.EventType{
		Name: name, Description: "made by swh-webhooks check --deep",
		Schema: json.RawMessage(`{"type":"object"}`),
	}
	if err := client.CreateEventType(ctx, et); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, client.DeleteEventType(context.WithoutCancel(ctx), name))
	}()
	id := uuid.NewString()
	sent := webhooks.Event{Type: name, ID: id, Payload: json.RawMessage(checkPayload)}
	if _, err := client.SendEvent(ctx, sent); err != nil {
		return err
	}
	kept, err := client.GetMessage(ctx, name, id)
	if err != nil {
		return fmt.Errorf("a message that was sent cannot be read back: %w", err)
	}
	if !bytes.Equal(kept.Payload, []byte(checkPayload)) {
		return fmt.Errorf("the server changes payloads, %s into %s: is it a Svix server, "+
			"and recent enough?", checkPayload, kept.Payload)
	}
	return nil
}
