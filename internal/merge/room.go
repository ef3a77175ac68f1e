package merge

import (
	"context"
	"sync/atomic"
)

// A Room bounds what waits for items of other sources. It is shared by the sources that are merged.
type Room struct {
	Most int64 // in the unit of sizes

	taken atomic.Int64
}

// A Rewinder is a source that can read again what it has given.
type Rewinder[T any] interface {
	Source[T]

	// GoOnBehind makes an item of the page given last the last one for now.
	GoOnBehind(item T)
}

// Bounded returns the source, of which no more waits than there is room for, though always one
// item: the rest of a page that is too large is dropped, to be read again.
func Bounded[T any](source Rewinder[T], room *Room, size func(T) int64) Source[T] {
	return &bounded[T]{source: source, room: room, size: size}
}

type bounded[T any] struct {
	source Rewinder[T]
	room   *Room
	size   func(T) int64
	own    int64 // what is taken of the room
}

func (b *bounded[T]) Next(ctx context.Context) ([]T, error) {
	b.room.taken.Add(-b.own)
	b.own = 0
	items, err := b.source.Next(ctx)
	for i, item := range items {
		size := b.size(item)
		if i > 0 && b.room.taken.Load()+size > b.room.Most {
			b.source.GoOnBehind(items[i-1])
			return items[:i], nil
		}
		b.room.taken.Add(size)
		b.own += size
	}
	return items, err
}
