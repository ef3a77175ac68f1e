package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// A deadLetterFile is appended to under a lock, so that processes can share it.
type deadLetterFile string

// openDeadLetterFile finds out whether the file can be written to. What it creates is durable.
func openDeadLetterFile(path string) (deadLetterFile, error) {
	file, err := lockedfile.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	if err := file.Close(); err != nil {
		return "", err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }()
	return deadLetterFile(path), dir.Sync()
}

// Store appends a line and waits until it is on the disk. A line that could not be written whole is
// taken back.
func (path deadLetterFile) Store(_ context.Context, l DeadLetter) (err error) {
	line, err := json.Marshal(l.line())
	if err != nil {
		return err
	}
	file, err := lockedfile.OpenFile(string(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if !endsLine(file, size) { // a process was killed while it wrote
		line = append([]byte{'\n'}, line...)
	}
	if _, err := file.Write(line); err != nil {
		return errors.Join(err, file.Truncate(size))
	}
	if err := file.Sync(); err != nil {
		return errors.Join(err, file.Truncate(size))
	}
	return nil
}

// endsLine tells whether a file of that size is empty or ends with a line break.
func endsLine(file io.ReaderAt, size int64) bool {
	if size == 0 {
		return true
	}
	var last [1]byte
	_, err := file.ReadAt(last[:], size-1)
	return err == nil && last[0] == '\n'
}

// A deadLetterLine is a dead letter in a file.
type deadLetterLine struct {
	Topic     string    `json:"topic"`
	TopicID   string    `json:"topic_id,omitempty"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Timestamp time.Time `json:"timestamp"`
	EventID   string    `json:"event_id,omitempty"`
	Class     string    `json:"class"`
	Error     string    `json:"error"`
	Key       []byte    `json:"key"`
	Value     []byte    `json:"value"`
}

func (l DeadLetter) line() deadLetterLine {
	line := deadLetterLine{
		Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Timestamp: l.Timestamp.UTC(),
		EventID: l.EventID, Class: l.Class, Error: l.Reason, Key: l.Key, Value: l.Value,
	}
	if l.TopicID != [16]byte{} {
		line.TopicID = hex.EncodeToString(l.TopicID[:])
	}
	return line
}

func (line deadLetterLine) deadLetter() (DeadLetter, error) {
	id, err := parseTopicID(line.TopicID)
	if err != nil {
		return DeadLetter{}, err
	}
	if line.Topic == "" {
		return DeadLetter{}, errors.New("the member topic is missing")
	}
	return DeadLetter{
		Record: Record{
			Topic: line.Topic, TopicID: id, Partition: line.Partition, Offset: line.Offset,
			Timestamp: line.Timestamp, Key: line.Key, Value: line.Value,
		},
		EventID: line.EventID, Class: line.Class, Reason: line.Error,
	}, nil
}

// ReadDeadLetters yields the dead letters of a file that a feed wrote. A line that is none, such as
// one that a process did not finish, yields an error that names it; reading goes on. An error of r
// is the last pair.
func ReadDeadLetters(r io.Reader) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		lines := bufio.NewReader(r)
		for number := 1; ; number++ {
			text, err := lines.ReadBytes('\n')
			if text = bytes.TrimSpace(text); len(text) > 0 && !yield(parseDeadLetter(number, text)) {
				return
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(DeadLetter{}, err)
				}
				return
			}
		}
	}
}

func parseDeadLetter(number int, text []byte) (DeadLetter, error) {
	var line deadLetterLine
	err := json.Unmarshal(text, &line)
	var l DeadLetter
	if err == nil {
		l, err = line.deadLetter()
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("journal: line %d is not a dead letter: %w", number, err)
	}
	return l, nil
}

// ReadDeadLetterFile yields the dead letters of the file at path, see [ReadDeadLetters].
func ReadDeadLetterFile(path string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		file, err := os.Open(path) //nolint:gosec // the operator names the file
		if err != nil {
			yield(DeadLetter{}, err)
			return
		}
		defer func() { _ = file.Close() }()
		for l, err := range ReadDeadLetters(file) {
			if !yield(l, err) {
				return
			}
		}
	}
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func parseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339Nano, text) }
