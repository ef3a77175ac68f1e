package svixmock

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"

	"github.com/segmentio/ksuid"
)

// Prefixes of the ids that appear in the API.
const (
	appPrefix      = "app_"
	endpointPrefix = "ep_"
	messagePrefix  = "msg_"
	attemptPrefix  = "atmpt_"
	orgPrefix      = "org_"
	taskPrefix     = "qtask_"
)

// idEpoch is the Unix time at which the seconds of an id begin.
const idEpoch = 1_400_000_000

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// id is an id without its prefix: 4 bytes of seconds since idEpoch, 1 byte of 4 ms units, 15 random
// bytes. Its byte order is the byte order of its text form.
type id [20]byte

// newID draws an id of time t.
func newID(t time.Time) id {
	i := slotOf(t, 0)
	// crypto/rand.Read never fails.
	_, _ = rand.Read(i[5:])
	return i
}

// firstID is the smallest id of the 4 ms slot of t, lastID the largest.
func firstID(t time.Time) id { return slotOf(t, 0x00) }
func lastID(t time.Time) id  { return slotOf(t, 0xff) }

// slotOf gives the id of t's slot whose random bytes are all fill. Seconds outside the range wrap,
// as on the server.
func slotOf(t time.Time, fill byte) id {
	var i id
	seconds := (t.Unix() - idEpoch) & 0xffff_ffff
	binary.BigEndian.PutUint32(i[:4], uint32(seconds))
	i[4] = byte(t.Nanosecond() / 4_000_000) //nolint:gosec // at most 249
	for n := 5; n < len(i); n++ {
		i[n] = fill
	}
	return i
}

// time is the start of the id's slot.
func (i id) time() time.Time {
	seconds := int64(binary.BigEndian.Uint32(i[:4])) + idEpoch
	return time.Unix(seconds, int64(i[4])*4_000_000).UTC()
}

// text is the id as the API shows it.
func (i id) text(prefix string) string {
	return prefix + ksuid.KSUID(i).String()
}

func (i id) compare(o id) int {
	return bytes.Compare(i[:], o[:])
}

// parseID reads the text form of an id. It reports false for another prefix and for anything but 27
// base62 digits. A number that is too large counts as the largest.
func parseID(prefix, text string) (id, bool) {
	digits, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return id{}, false
	}
	if k, err := ksuid.Parse(digits); err == nil {
		return id(k), true
	}
	return id(ksuid.Max), len(digits) == len(ksuid.Max.String()) && strings.Trim(digits, base62) == ""
}
