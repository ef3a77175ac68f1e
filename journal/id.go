package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// objectID returns an id made of what an object is, the same wherever it is found.
func (o DecodeOptions) objectID(fields ...string) string {
	return eventID("swh-webhooks/journal/1", o.Namespace, fields...)
}

// positionID returns an id made of where a record lies. A topic that is deleted and created again
// begins at offset 0 once more, but has another id.
func (o DecodeOptions) positionID(r Record) string {
	topic := r.Topic
	if r.TopicID != [16]byte{} {
		topic = hex.EncodeToString(r.TopicID[:])
	}
	return eventID("swh-webhooks/journal-position/1", o.Namespace, topic,
		strconv.FormatInt(int64(r.Partition), 10), strconv.FormatInt(r.Offset, 10))
}

// eventID hashes texts as netstrings, so that no two lists of them are one sequence of bytes.
func eventID(scheme, namespace string, fields ...string) string {
	text := make([]byte, 0, 512)
	text = appendNetstring(text, scheme)
	text = appendNetstring(text, namespace)
	for _, field := range fields {
		text = appendNetstring(text, field)
	}
	sum := sha256.Sum256(text)
	return "journal-" + hex.EncodeToString(sum[:])
}

func appendNetstring(b []byte, text string) []byte {
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, ':')
	b = append(b, text...)
	return append(b, ',')
}
