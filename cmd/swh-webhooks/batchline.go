package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/eventtext"
)

// A line is one line of a batch that is not blank.
type line struct {
	eventtext.Line

	sum   [sha256.Size]byte // of this line and those before it
	event webhooks.Event    // always with an id, also if the line holds no event
	err   error             // why it holds none
}

// key is what the event is for the server: two lines with the same one are the same event.
func (l line) key() eventKey { return eventKey{l.event.Type, l.event.ID} }

type eventKey struct{ eventType, id string }

// A lineReader reads the lines of a batch.
type lineReader struct {
	lines   *eventtext.Lines
	batchID string
	sum     [sha256.Size]byte
	err     error // why reading ended, nil at the end of the input
}

func newLineReader(in io.Reader, batchID string) *lineReader {
	return &lineReader{lines: eventtext.NewLines(in), batchID: batchID}
}

// all returns the lines. It ends with the input or with ctx, even while the input has nothing to
// read; err is to be read after that.
func (r *lineReader) all(ctx context.Context) <-chan line {
	lines := make(chan line)
	go func() { // may wait for the input longer than anybody waits for it
		defer close(lines)
		for {
			l, err := r.next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					r.err = err
				}
				return
			}
			select {
			case lines <- l:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

func (r *lineReader) next() (line, error) {
	read, err := r.nextText()
	if err != nil {
		return line{}, err
	}
	l := line{Line: read, sum: r.sum}
	if l.TooLong() {
		l.err = inputError{fmt.Errorf("the line is longer than %d bytes", eventtext.MaxLine)}
	} else {
		l.event, l.err = parseLine(l.Text)
	}
	if l.err == nil && l.event.Type == "" {
		l.err = inputError{errors.New("the event's type is empty")}
	}
	if l.event.ID == "" {
		l.event.ID = derivedID(r.batchID, l.Line)
	}
	return l, nil
}

// nextText reads a line without looking for an event in it.
func (r *lineReader) nextText() (eventtext.Line, error) {
	read, err := r.lines.Next()
	if err != nil {
		return read, err
	}
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%x %d %d ", r.sum, read.Number, read.Length) // a hash takes anything
	_, _ = hash.Write(read.Text)
	hash.Sum(r.sum[:0])
	return read, nil
}

// derivedID makes an id for an event that has none. The same line at the same place of a file has
// the same id whenever and under whichever name the file is sent; equal lines of one file are
// different events.
func derivedID(batchID string, l eventtext.Line) string {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%q %d %s", batchID, l.Number, l.Text)
	if l.TooLong() {
		_, _ = fmt.Fprintf(hash, " %d", l.Length)
	}
	return "batch-" + hex.EncodeToString(hash.Sum(nil)[:16])
}

// parseLine reads an event, or a record of a line that failed. The id of a record is kept whatever
// else it holds, so that the event is the same one under any correction.
func parseLine(text []byte) (webhooks.Event, error) {
	var ev webhooks.Event
	errEvent := ev.UnmarshalJSON(text)
	if errEvent == nil {
		return ev, nil
	}
	members, err := canonical.Members(text)
	if err != nil || members["line"] == nil && members["error"] == nil && members["text"] == nil {
		return webhooks.Event{}, inputError{errEvent}
	}
	delete(members, "line")
	delete(members, "error")
	id, err := eventtext.String(members, "id")
	if err != nil {
		return webhooks.Event{}, inputError{err}
	}
	ev, err = parseRecord(members)
	if ev.ID == "" {
		ev.ID = id
	}
	return ev, err
}

// parseRecord reads the event of a record: the line as it was or as it was corrected, or members
// like those of an event.
func parseRecord(members map[string][]byte) (webhooks.Event, error) {
	if members["text"] == nil {
		ev, err := eventtext.FromMembers(members)
		if err != nil {
			return webhooks.Event{}, inputError{err}
		}
		return webhooks.Event{
			Type: ev.Type, Channel: ev.Channel, ID: ev.ID, Payload: json.RawMessage(ev.Payload),
		}, nil
	}
	text, err := eventtext.String(members, "text")
	if err != nil {
		return webhooks.Event{}, inputError{err}
	}
	if members["type"] != nil || members["payload"] != nil || members["channel"] != nil {
		return webhooks.Event{}, inputError{errors.New(
			"both the text of a line and members of an event: correct one, and take the other out")}
	}
	return parseLine(bytes.TrimSpace([]byte(text)))
}

// A failedRecord is the documented form of a line that failed. It can be sent as it is.
type failedRecord struct {
	Type    string          `json:"type,omitempty"`
	Channel string          `json:"channel,omitempty"`
	ID      string          `json:"id"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Line    int             `json:"line"`
	Error   string          `json:"error"`
	Text    string          `json:"text,omitempty"` // the line itself if it holds no event
}

// maxReason is how much of an error goes into a record.
const maxReason = 1000 // characters

// newFailedRecord returns the text of a record, with the line's end. It is never longer than a line
// may be, nor is anything in it that was not in the line: if it cannot hold the line, it says so.
func newFailedRecord(l line, why error) ([]byte, error) {
	record := failedRecord{
		ID: l.event.ID, Line: l.Number, Error: fmt.Sprintf("%.*s", maxReason, inOneLine(why)),
	}
	bare := record
	bare.Error += "; the line is not repeated here, see the file that it comes from"
	switch {
	case l.err == nil:
		record.Type, record.Channel = l.event.Type, l.event.Channel
		record.Payload, _ = l.event.Payload.(json.RawMessage)
	case l.TooLong() || !utf8.Valid(l.Text):
		record = bare
	default:
		record.Text = string(l.Text)
	}
	text, err := encodeRecord(record)
	if len(text) > eventtext.MaxLine {
		return encodeRecord(bare)
	}
	return text, err
}

func encodeRecord(record failedRecord) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(record)
	return text.Bytes(), err
}
