package journal

import (
	"time"

	"github.com/softwareheritage/webhooks/internal/journaltrack"
)

// WithBackoff makes outages of tests short, and what happens in them countable.
func WithBackoff(least, most time.Duration) Option {
	return func(f *Feed) {
		f.backoff = journaltrack.Backoff{
			Min: least, Max: most, Jitter: func(wait time.Duration) time.Duration { return wait },
		}
	}
}

// WithStartTimeout makes the wait for brokers short.
func WithStartTimeout(d time.Duration) Option { return func(f *Feed) { f.startTimeout = d } }

// OpenDeadLetterFile opens the store that the configuration's file is.
func OpenDeadLetterFile(path string) (DeadLetters, error) { return openDeadLetterFile(path) }
