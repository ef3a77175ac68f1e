package journal

import (
	"time"

	"github.com/softwareheritage/webhooks/internal/journaltrack"
)

// WithBackoff makes outages of tests short.
func WithBackoff(least, most time.Duration) Option {
	return func(f *Feed) {
		f.backoff = journaltrack.Backoff{Min: least, Max: most, Jitter: f.backoff.Jitter}
	}
}
