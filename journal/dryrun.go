package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// DryRun reads the topics as they are when it is called, from their beginning, and counts what
// would become of each record, by topic: Sent counts events that would be sent and Dead what would
// become a dead letter by the archive's own schemas. It joins no group and sends nothing.
// StopAfterObjects counts.
//
// If the brokers fail or ctx ends it returns that error, with what was counted until then.
func DryRun(ctx context.Context, cfg Config, opts ...kgo.Opt) (map[string]Outcomes, error) {
	cfg = cfg.withDefaults()
	if err := configError(cfg.mistakes()); err != nil {
		return nil, err
	}
	schemas, err := newArchiveSchemas() //nolint:contextcheck // to compile needs none
	if err != nil {
		return nil, err
	}
	counts, taken := newCounts(), 0
	for _, topic := range cfg.topics() {
		err := readTopic(ctx, cfg, topic, opts, func(r *kgo.Record) bool {
			o := outcomeSent
			record := Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Value: r.Value}
			ev, err := Decode(record, cfg.decodeOptions())
			switch {
			case errors.Is(err, ErrSkip):
				o = outcomeSkipped
			case err != nil || !schemas.allow(ctx, ev):
				o = outcomeDead
			}
			counts.outcome(topic, o)
			if o != outcomeSkipped {
				taken++
			}
			return cfg.StopAfterObjects == 0 || taken < cfg.StopAfterObjects
		})
		if err != nil {
			return counts.topics, fmt.Errorf("journal: %w", err)
		}
		if cfg.StopAfterObjects > 0 && taken >= cfg.StopAfterObjects {
			break
		}
	}
	return counts.topics, nil
}
