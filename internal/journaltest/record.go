package journaltest

import (
	"encoding/binary"
	"fmt"

	"github.com/tinylib/msgp/msgp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Origin returns the value of a record that says that there is an origin.
func Origin(url string) []byte {
	b := msgp.AppendMapHeader(nil, 1)
	return msgp.AppendString(msgp.AppendString(b, "url"), url)
}

// Status returns the value of a record that says how a visit went, at that second since 1970.
func Status(origin string, visit int, seconds uint32, status string) []byte {
	b := msgp.AppendMapHeader(nil, 7)
	b = msgp.AppendString(msgp.AppendString(b, "origin"), origin)
	b = msgp.AppendInt(msgp.AppendString(b, "visit"), visit)
	b = append(msgp.AppendString(b, "date"), 0xd6, 0xff)
	b = binary.BigEndian.AppendUint32(b, seconds)
	b = msgp.AppendString(msgp.AppendString(b, "status"), status)
	b = msgp.AppendBytes(msgp.AppendString(b, "snapshot"), make([]byte, 20))
	b = msgp.AppendString(msgp.AppendString(b, "type"), "git")
	return msgp.AppendNil(msgp.AppendString(b, "metadata"))
}

// Broken is a value that is not msgpack.
var Broken = []byte("not msgpack at all")

// A Load is many records as the journal has them: origins and statuses, of which some are broken,
// some tombstones and some a second copy of another.
type Load struct {
	Records  []*kgo.Record
	Events   int // different ones that the records stand for
	Broken   int
	Nothings int // tombstones
}

// NewLoad returns n records for the topics of a broker with that many partitions: 1 in 1000 broken,
// 1 in 500 a tombstone, 1 in 50 a second copy of an earlier one, in another partition.
func (b *Broker) NewLoad(n int, partitions int32) Load {
	var l Load
	for i := range n {
		r := &kgo.Record{Topic: b.Topic("origin"), Partition: int32(i) % partitions}
		url := fmt.Sprintf("https://git.example.org/%d", i)
		switch {
		case i%1000 == 999:
			r.Value = append([]byte(nil), Broken...)
			l.Broken++
		case i%500 == 498:
			l.Nothings++
		case i%50 == 49:
			earlier := l.Records[i-48] // of which none is broken or a tombstone
			r.Topic, r.Value = earlier.Topic, earlier.Value
		case i%2 == 0:
			r.Topic = b.Topic("origin_visit_status")
			r.Value = Status(url, 1, uint32(i), "full")
			l.Events++
		default:
			r.Value = Origin(url)
			l.Events++
		}
		l.Records = append(l.Records, r)
	}
	return l
}
