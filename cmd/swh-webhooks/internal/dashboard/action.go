package dashboard

import (
	"context"
	"net/http"
	"time"

	"github.com/softwareheritage/webhooks"
)

// action does what a button of a page says, and leads back to that page.
func (d *Dashboard) action(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	name := r.PostFormValue("do")
	ep := webhooks.Endpoint{EventType: r.PostFormValue("type"), ID: r.PostFormValue("id")}
	if ep.ID == "" { // by nothing else, since nothing else is in the form
		d.failWith(w, r, inputError{"The form names no endpoint."})
		return
	}
	back := link("/endpoint", "type", ep.EventType, "id", ep.ID, "window", windowOf(r).Name, "done", name)
	var err error
	switch name {
	case "enable", "disable":
		err = d.client.SetEndpointDisabled(ctx, ep, name == "disable")
	case "recover":
		err = d.client.RecoverEndpoint(ctx, ep, time.Now().Add(-windowOf(r).Length), time.Time{})
	case "resend":
		message := r.PostFormValue("message")
		back = link("/message", "type", ep.EventType, "id", message, "done", name)
		err = d.client.ResendMessage(ctx, ep, message)
	default:
		err = inputError{"The form asks for something that the dashboard does not do."}
	}
	if err != nil {
		d.failWith(w, r, err)
		return
	}
	d.log.InfoContext(ctx, "carried out", "action", name, "event_type", ep.EventType, "endpoint", ep.ID)
	http.Redirect(w, r, back, http.StatusSeeOther)
}
