package demo

import "github.com/softwareheritage/webhooks"

// Check says how what arrived at an endpoint compares with what was due there.
func Check(
	due map[string]webhooks.Event, arrived []webhooks.Delivery,
) (verdict string, complete bool) {
	t := (&subscription{due: due}).check(arrived)
	return t.String(), t.complete()
}
