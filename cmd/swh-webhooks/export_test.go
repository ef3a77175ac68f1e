package main

import (
	"errors"
	"io"

	"github.com/softwareheritage/webhooks"
)

// For the tests, which are in a package of their own.
var (
	Main           = main
	NewRootCommand = newRootCommand
	ParseTime      = parseTime
	ShellQuoted    = shellQuoted
	Timestamp      = timestamp
	ServeMetrics   = serveMetrics
)

// A BatchLine is a line of a batch, and the record of it if it failed.
type BatchLine struct {
	Event  webhooks.Event
	Err    error
	Record []byte
}

// BatchLines reads lines, and says of each how it is recorded if it fails because of why.
func BatchLines(in io.Reader, why error) ([]BatchLine, error) {
	var lines []BatchLine
	reader := newLineReader(in, "")
	for {
		l, err := reader.next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		reason := l.err
		if reason == nil {
			reason = why
		}
		record, err := newFailedRecord(l, reason)
		if err != nil {
			return lines, err
		}
		lines = append(lines, BatchLine{l.event, l.err, record})
	}
}
