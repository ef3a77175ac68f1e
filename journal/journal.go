// Package journal feeds webhooks from the journal of the Software Heritage archive: it reads the
// Kafka topics of origins and of visit statuses and sends an event for each record.
//
// # The promise
//
// Every record that stands for an event ends as exactly one message on the Svix server, or in the
// dead letters, before its offset is committed. That holds with any number of processes, killed at
// any point, through rebalances, restarts of the brokers and outages of the server, in bounded
// memory. Kafka's offsets alone would repeat records after a crash; that no event is doubled is due
// to their ids, which are made of what the records say, see [Decode].
//
// No order across records is promised: the journal has none to keep, and the server keeps none.
//
// # What becomes of a record
//
//   - It is sent, or was sent before under the same id.
//   - It stands for no event, as a tombstone does, and is passed over.
//   - It is broken, or its event is refused for what it is: it becomes a dead letter, see
//     [DeadLetters]; [DeadLetter.Send] sends it again.
//   - The server or the network fails, also if the server refuses the token: it is tried again, for
//     ever. While everything fails, one record is tried at a time.
//
// A [Feed] is configured by a file that the Python command "swh webhooks journal-client" reads,
// too, see [LoadConfig].
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/journaltrack"
)

// ErrStopped is wrapped by the error of a [Feed] that gave up: the text says why, and what to do.
var ErrStopped = errors.New("the journal feed stopped")

// A Sender sends events. A [*webhooks.Client] is one.
type Sender interface {
	SendEvent(ctx context.Context, ev webhooks.Event) (webhooks.Message, error)
	// GetEventType is asked at the start, to find out whether the token is accepted.
	GetEventType(ctx context.Context, name string) (webhooks.EventType, error)
}

// A Feed sends the events of a journal. Its methods may be called from several goroutines.
type Feed struct {
	cfg     Config
	to      Sender
	log     *slog.Logger
	kafka   []kgo.Opt
	forced  map[string]bool
	schemas archiveSchemas
	backoff journaltrack.Backoff
	ran     atomic.Bool

	startTimeout time.Duration

	// Set by Run before anything else is started.
	consumer *kgo.Client
	dead     DeadLetters
	sends    context.Context //nolint:containedctx // of all sends, those of partitions given away excepted
	endSends context.CancelFunc

	positions chan struct{} // there are partitions whose offsets are known now

	commits sync.Mutex // held while offsets are committed, so that an earlier one cannot overtake

	mu         sync.Mutex
	workers    sync.Cond // there may be a record to send, or the end has come
	room       sync.Cond // there may be a free place, or a partition to read on, or the end has come
	idle       sync.Cond // a record is no longer in flight
	timer      *time.Timer
	window     *journaltrack.Window
	schedule   *journaltrack.Schedule[*task]
	partitions map[partitionKey]*partition
	joined     bool // partitions were assigned once
	taken      int  // records taken that count for StopAfterObjects
	endPoll    context.CancelFunc
	stopping   bool // no more records are taken
	ended      bool // no more records are sent
	failure    error
	deadInARow map[string]int // by event type
	gateSince  time.Time      // when the gate was closed; zero: it is open
	gateLogged time.Time
	counts     counts
}

// An Option configures a [Feed]. An Option that is nil does nothing.
type Option func(*Feed)

// WithLogger logs rebalances, the beginning and end of outages, records that are stuck and dead
// letters, without payloads and passwords. The default, also for a nil logger, is to log nothing.
func WithLogger(l *slog.Logger) Option {
	return func(f *Feed) {
		if l != nil {
			f.log = l
		}
	}
}

// WithKafkaOptions adds options to the Kafka clients: hooks, a dialer. What [Config] says wins over
// them, as do the settings of the group, of commits and of offsets.
func WithKafkaOptions(opts ...kgo.Opt) Option {
	return func(f *Feed) { f.kafka = append(f.kafka, opts...) }
}

// WithDeadLetters stores dead letters in d, whatever the configuration says.
func WithDeadLetters(d DeadLetters) Option {
	return func(f *Feed) { f.dead = d }
}

// New returns a feed. It makes no connection.
//
// The client that is given as to should be made with [webhooks.WithoutListenerCheck], so that
// events are stored also while nobody listens to them, and with a [webhooks.RetryPolicy] of one
// try: the feed has a schedule of its own for what fails.
//
// An error is a [webhooks.ErrInvalidConfig] that names every mistake.
func New(cfg Config, to Sender, opts ...Option) (*Feed, error) {
	cfg = cfg.withDefaults()
	mistakes := cfg.mistakes()
	if to == nil {
		mistakes = append(mistakes, errors.New("there is no Sender"))
	}
	if err := configError(mistakes); err != nil {
		return nil, err
	}
	schemas, err := newArchiveSchemas()
	if err != nil {
		return nil, err
	}
	f := &Feed{
		cfg:          cfg,
		to:           to,
		log:          slog.New(slog.DiscardHandler),
		forced:       map[string]bool{},
		schemas:      schemas,
		backoff:      defaultBackoff(),
		window:       journaltrack.NewWindow(cfg.MaxInFlight, cfg.MaxInFlightBytes),
		partitions:   map[partitionKey]*partition{},
		positions:    make(chan struct{}, 1),
		startTimeout: startTimeout,
		counts:       newCounts(),
		deadInARow:   map[string]int{},
	}
	f.workers.L, f.room.L, f.idle.L = &f.mu, &f.mu, &f.mu
	for _, position := range cfg.DeadLetter.Force {
		f.forced[position] = true
	}
	for _, opt := range opts {
		if opt != nil {
			opt(f)
		}
	}
	f.schedule = journaltrack.NewSchedule[*task](f.backoff)
	return f, nil
}

// defaultBackoff draws the whole wait at random, so that feeds that failed together do not come
// back together.
func defaultBackoff() journaltrack.Backoff {
	return journaltrack.Backoff{Min: 500 * time.Millisecond, Max: time.Minute, Jitter: rand.N[time.Duration]}
}

// configError returns the ErrInvalidConfig that lists the mistakes, nil if there are none.
func configError(mistakes []error) error {
	if len(mistakes) == 0 {
		return nil
	}
	return fmt.Errorf("journal: %w: %w", webhooks.ErrInvalidConfig, joined(mistakes))
}

// joined are several errors in one line.
type joined []error

func (j joined) Error() string {
	return strings.ReplaceAll(errors.Join(j...).Error(), "\n", "; ")
}

func (j joined) Unwrap() []error { return j }

func stopped(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrStopped, fmt.Errorf(format, args...))
}
