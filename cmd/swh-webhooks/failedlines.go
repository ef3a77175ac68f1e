package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/softwareheritage/webhooks/internal/eventtext"
)

// failedLines is a file with records of lines that failed. Nothing that it holds is ever changed;
// what was not written whole is taken away.
type failedLines struct {
	path   string
	file   *os.File
	length int64
	sum    hash.Hash         // of all that the file holds
	known  map[eventKey]bool // events that it has records of
	synced bool
}

// openFailedLines opens and locks the file, before anything is sent. It is made if it is missing.
func openFailedLines(path string) (*failedLines, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the user's
		if err != nil {
			return nil, unusable("--failed", path, err)
		}
		f := &failedLines{path: path, file: file, sum: sha256.New(), known: map[eventKey]bool{}}
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("is not a regular file")
		}
		if err == nil {
			err = lock(file)
		}
		if err != nil {
			_ = file.Close()
			if errors.Is(err, errLocked) {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return nil, unusable("--failed", path, err)
		}
		if named, err := os.Stat(path); err == nil && os.SameFile(info, named) {
			return f, nil
		}
		_ = file.Close() // a run that has just ended has removed it
	}
}

// restore reads what the file holds. What comes after the records that a run which was cut off had
// dealt with is taken away, unless they were changed since.
func (f *failedLines) restore(state batchState) error {
	if state.Running {
		_, err := io.CopyN(f.sum, f.file, state.FailedLength)
		if err == nil && hexSum(f.sum) == state.FailedSum {
			if err := f.file.Truncate(state.FailedLength); err != nil {
				return err
			}
		}
		f.sum.Reset()
	}
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := f.read(); err != nil {
		return err
	}
	return f.endLine()
}

// read goes through the file, in pieces, and notes which events it has records of.
func (f *failedLines) read() error {
	counted := &countingReader{in: io.TeeReader(bufio.NewReader(f.file), f.sum)}
	lines := eventtext.NewLines(counted)
	for {
		l, err := lines.Next()
		if errors.Is(err, io.EOF) {
			f.length = counted.n
			return nil
		}
		if err != nil {
			return err
		}
		if ev, _ := parseLine(l.Text); ev.ID != "" {
			f.note(eventKey{ev.Type, ev.ID})
		}
	}
}

type countingReader struct {
	in io.Reader
	n  int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.n += int64(n)
	return n, err
}

// endLine ends the last line if somebody's editor has not.
func (f *failedLines) endLine() error {
	if f.length == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.file.ReadAt(last, f.length-1); err != nil || last[0] == '\n' {
		return err
	}
	return f.write([]byte("\n"))
}

// add writes a record of a line, unless there is one of the same event.
func (f *failedLines) add(l line, why error) error {
	if f.known[l.key()] {
		return nil
	}
	text, err := newFailedRecord(l, why)
	if err != nil {
		return err
	}
	if err := f.write(text); err != nil {
		return err
	}
	f.note(l.key())
	return nil
}

// note keeps in mind that there is a record of an event, also for the line as it was before
// somebody corrected the record, which had no type.
func (f *failedLines) note(key eventKey) {
	f.known[key] = true
	f.known[eventKey{id: key.id}] = true
}

// write writes all of a text or nothing.
func (f *failedLines) write(text []byte) error {
	if _, err := f.file.WriteAt(text, f.length); err != nil {
		return errors.Join(err, f.file.Truncate(f.length))
	}
	f.length += int64(len(text))
	_, _ = f.sum.Write(text) // a hash takes anything
	f.synced = false
	return nil
}

// sync makes sure that all records outlast this machine.
func (f *failedLines) sync() error {
	if f.synced {
		return nil
	}
	err := f.file.Sync()
	f.synced = err == nil
	return err
}

// close removes a file that holds nothing.
func (f *failedLines) close() error {
	if f.length == 0 {
		return errors.Join(os.Remove(f.path), f.file.Close()) // in this order: see openFailedLines
	}
	return f.file.Close()
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// failedName is the default name of the file for the lines of another that failed.
func failedName(path string) string {
	if path == "-" {
		path = "stdin"
	}
	return strings.TrimSuffix(path, ".ndjson") + ".failed.ndjson"
}
