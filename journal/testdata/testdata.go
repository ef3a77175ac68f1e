// Package testdata holds records of the archive's journal, for tests and for the demonstration.
package testdata

import _ "embed" // for the samples

// Samples are 158 records, one JSON object a line, most of them as the archive's own Python
// packages write them: topic, key and value (base64; null: a tombstone), what a decoder has to make
// of them, and a note.
//
//go:embed samples.ndjson
var Samples []byte
