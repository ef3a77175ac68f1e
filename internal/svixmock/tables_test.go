package svixmock_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// contractTable are the rows of the table of a section of CONTRACT.md, by cells.
func contractTable(t *testing.T, section string) [][]string {
	t.Helper()
	text, err := os.ReadFile("CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(text), "\n## "+section+". ")
	if !found {
		t.Fatalf("no section %s", section)
	}
	body, _, _ = strings.Cut(body, "\n## ")
	var rows [][]string
	for line := range strings.Lines(body) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); strings.HasPrefix(line, "| ") &&
			len(cells) > 1 {
			cells[0] = strings.TrimPrefix(cells[0], "| ")
			rows = append(rows, cells)
		}
	}
	return rows[1:] // without the head
}

// checkRows wants a test for each row of a table, and no others.
func checkRows(t *testing.T, rows, tested []string) {
	t.Helper()
	for _, row := range rows {
		if !slices.Contains(tested, row) {
			t.Errorf("the row %q has no test", row)
		}
	}
	for _, row := range tested {
		if !slices.Contains(rows, row) {
			t.Errorf("there is no row %q", row)
		}
	}
}

// severities are the rows of section 17, each by its beginning, with the tests that show that they
// hold.
var severities = map[string][]string{
	"fault: message stored but not queued": {"TestGoAway", "TestResendOfWhatWasNeverQueued"},
	"fault: idempotency key stays locked":  {"TestDroppedRequestLeavesItsIdempotencyKeyLocked"},
	"fault: 409 `conflict`":                {"TestRacesByInjectedAnswers"},
	"poisoned endpoint":                    {"TestHeaderThatPoisonsItsEndpoint"},
	"`done:true` on every page":            {"TestDestinationsAreAlwaysDone"},
	"`Retry-After: inf`":                   {"TestRetryAfterThatNoDurationHolds"},
	"`GET endpoint/{id}/msg`": {
		"TestAttemptedMessages",
		"TestOlderAttemptListsWithFilters",
		"TestRecordedAnswers",
	},
	"`//api/v1/…` and": {"TestRouting", "TestSlashesShareAnIdempotencyKey"},
	"schemas: draft 7 always": {
		"TestSchemasThatTheServerTakes",
		"TestSchemasThatTheServerRefuses",
		"TestPatternsThatTheServerTakes",
		"TestPatternsThatTheServerRefuses",
		"TestSchemaWithANumberBeyondADouble",
	},
	"U+0000": {"TestNUL", "TestHeaderPatchWithNULStoresNothing"},
	"dates": {
		"TestDatesThatTheServerReads",
		"TestDatesThatTheServerRefuses",
	},
	"tokens":                               {"TestTokens", "TestClaims", "TestRecordedAnswers"},
	"statistics":                           {"TestEndpointStats", "TestRecordedAnswers"},
	"`event_types` of `endpoint/{id}/msg`": {"TestEventTypesOfAttemptedMessagesAreReadAfterTheToken"},
	"`[\"body\",\"?\"]`":                   {"TestBodies", "TestRecordedAnswers"},
	"``duplicate field `x` ``":             {"TestQueries", "TestRecordedAnswers"},
	"secret and URL texts": {
		"TestEndpointSecrets",
		"TestEndpointURLs",
		"TestHeaderRules",
		"TestLongHeaderName",
		"TestRecordedAnswers",
	},
	"payload `-0`":  {"TestPayloadText", "TestRecordedAnswers"},
	"400, 414, 431": {"TestTooLongRequests", "TestRecordedAnswers"},
	"attempt texts for a body that breaks off": {
		"TestRepliesByTheByte",
		"TestNoTLSHandshake",
		"TestBlockedAddresses",
		"TestDeliveredBytes",
	},
	"not imitated": {
		"TestResponseWithNULIsNotStored",
		"TestSchemasThatTheServerRefuses",
		"TestRecordedAnswers",
	},
}

// TestSeverityTable wants every row of section 17 to have its tests.
func TestSeverityTable(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, cells := range contractTable(t, "17") {
		row := strings.TrimSuffix(cells[1], " |")
		rows = append(rows, row)
		if !slices.ContainsFunc(
			slices.Collect(maps.Keys(severities)),
			func(begin string) bool { return strings.HasPrefix(row, begin) },
		) {
			t.Errorf("the row %q has no tests", row)
		}
	}
	tests := testNames(t)
	for begin, names := range severities {
		if !slices.ContainsFunc(rows, func(row string) bool { return strings.HasPrefix(row, begin) }) {
			t.Errorf("no row begins with %q", begin)
		}
		for _, name := range names {
			if !slices.Contains(tests, name) {
				t.Errorf("%q: there is no test %s", begin, name)
			}
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testNames are the tests of this package and of serde.
func testNames(t *testing.T) []string {
	t.Helper()
	var text bytes.Buffer
	for _, pattern := range []string{"*_test.go", "serde/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file) //nolint:gosec // files of this package
			if err != nil {
				t.Fatal(err)
			}
			text.Write(source)
		}
	}
	var names []string
	for _, found := range testFunction.FindAllStringSubmatch(text.String(), -1) {
		names = append(names, found[1])
	}
	return names
}
