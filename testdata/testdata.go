// Package testdata embeds the sample origins and visits, so that a program finds them wherever it
// runs. The README in this folder describes them.
package testdata

import _ "embed"

// Origins are the sample origins, one JSON object a line: {"url": "..."}.
//
//go:embed origins.ndjson
var Origins []byte

// Visits are the sample visit statuses in order of time, one JSON object a line, with the members
// "origin", "visit", "date", "status", "snapshot", "type" and "metadata".
//
//go:embed visits.ndjson
var Visits []byte
