package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/softwareheritage/webhooks"
)

// maxLine is room for the largest payload and all else that a line has.
const maxLine = 1<<20 + 64<<10 // bytes

// A line is one line of a batch that is not blank.
type line struct {
	number int   // in its file, from 1
	end    int64 // where the next line begins, in bytes
	text   []byte
	event  webhooks.Event // zero if the line holds none
	err    error          // why it holds none
}

// An eventLine is the documented form of a line, and of one that failed.
type eventLine struct {
	Type    string          `json:"type,omitempty"`
	Channel string          `json:"channel,omitempty"`
	ID      string          `json:"id,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`

	// Only in lines that failed; ignored when they are sent again.
	Line  int    `json:"line,omitempty"`
	Error string `json:"error,omitempty"`

	// The line itself where it was no eventLine. Once it is corrected it counts as the line.
	Text string `json:"text,omitempty"`
}

// A lineReader reads the lines of a batch.
type lineReader struct {
	in      *bufio.Reader
	batchID string

	number int
	offset int64
	err    error // why reading ended, nil at the end of the input
}

func newLineReader(in io.Reader, batchID string) *lineReader {
	return &lineReader{
		in:      bufio.NewReaderSize(in, maxLine+2),
		batchID: batchID,
	} // 2: the line's end
}

// from returns the lines with the number first and later ones. It ends with the input or with ctx,
// even while the input has nothing to read.
func (r *lineReader) from(ctx context.Context, first int) <-chan line {
	lines := make(chan line)
	go func() { // may wait for the input longer than anybody waits for it
		defer close(lines)
		for {
			l, err := r.next(first)
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

// next returns the next line that is not blank and whose number is at least first.
func (r *lineReader) next(first int) (line, error) {
	for {
		text, whole, err := r.read()
		if err != nil {
			return line{}, err
		}
		if len(text) == 0 && whole || r.number < first {
			continue
		}
		l := line{number: r.number, end: r.offset, text: bytes.Clone(text)}
		if !whole {
			l.text, l.err = nil, inputError{fmt.Errorf("the line is longer than %d bytes", maxLine)}
			return l, nil
		}
		l.event, l.err = parseEvent(l.text)
		if l.err == nil && l.event.ID == "" {
			l.event.ID = r.derivedID(l)
		}
		return l, nil
	}
}

// read returns a line without the white space around it, valid until the next call. Of one that is
// too long it returns nothing but that it is not whole.
func (r *lineReader) read() (text []byte, whole bool, err error) {
	whole = true
	for {
		text, err = r.in.ReadSlice('\n')
		r.offset += int64(len(text))
		if !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		whole = false
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(text) == 0 && whole) {
		return nil, false, err
	}
	r.number++
	text = bytes.TrimSpace(text)
	whole = whole && len(text) <= maxLine
	return text, whole, nil
}

// derivedID makes an id for an event that has none. The same line at the same place of a file has
// the same id whenever and under whichever name the file is sent; equal lines of one file are
// different events.
func (r *lineReader) derivedID(l line) string {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%q %d %s", r.batchID, l.number, l.text) // a hash takes anything
	return "batch-" + hex.EncodeToString(hash.Sum(nil)[:16])
}

func parseEvent(text []byte) (webhooks.Event, error) {
	var parsed eventLine
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields() // a misspelt channel must not make the event one for everybody
	err := dec.Decode(&parsed)
	if _, more := dec.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("there is something after the JSON object")
	}
	switch {
	case err != nil:
		err = fmt.Errorf("not a line of a batch: %s", strings.TrimPrefix(err.Error(), "json: "))
	case parsed.Text != "":
		return parseEvent([]byte(parsed.Text))
	case parsed.Type == "":
		err = errors.New("the event's type is missing")
	case parsed.Payload == nil:
		err = errors.New("the event's payload is missing")
	}
	if err != nil {
		return webhooks.Event{}, inputError{err}
	}
	return webhooks.Event{
		Type: parsed.Type, Channel: parsed.Channel, ID: parsed.ID,
		Payload: parsed.Payload,
	}, nil
}

// failedLines writes lines that failed to a file, which exists only if there are any. What the file
// has is kept: to send a line twice does no harm.
type failedLines struct {
	path string
	file *os.File
}

func (f *failedLines) add(l line, why error) error {
	if f.file == nil {
		var err error
		if f.file, err = os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY,
			0o600); err != nil {
			return unusable("--failed", f.path, err)
		}
	}
	failed := eventLine{
		Type: l.event.Type, Channel: l.event.Channel, ID: l.event.ID,
		Line: l.number, Error: inOneLine(why),
	}
	if l.err == nil {
		failed.Payload, _ = l.event.Payload.(json.RawMessage)
	} else {
		failed.Text = string(l.text)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(failed); err != nil {
		return err
	}
	_, err := f.file.Write(text.Bytes())
	return err
}

func (f *failedLines) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// failedName is where the failed lines of a file go by default.
func failedName(path string) string {
	if path == "-" {
		path = "stdin"
	}
	return strings.TrimSuffix(path, ".ndjson") + ".failed.ndjson"
}
