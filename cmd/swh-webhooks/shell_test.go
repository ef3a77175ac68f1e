package main_test

import (
	"os/exec"
	"testing"

	main "github.com/softwareheritage/webhooks/cmd/swh-webhooks"
)

// TestShellReadsQuotedWordsBack asks a shell what it makes of quoted words.
func TestShellReadsQuotedWordsBack(t *testing.T) {
	t.Parallel()
	for _, word := range []string{
		"events.ndjson", "", "two words", "it's", `"$HOME" \n`, "a;b|c&d>e", "-x", "~", "*", "#x", "café",
	} {
		script := "printf %s " + main.ShellQuoted(word)
		got, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output() //nolint:gosec // our own
		if err != nil || string(got) != word {
			t.Errorf("%q is quoted as %s, read as %q (%v)", word, main.ShellQuoted(word), got, err)
		}
	}
	for word, want := range map[string]string{ // which not every sh reads
		"a\nb": `$'a\012b'`, "\x1b[31m": `$'\033[31m'`, "it's\t": `$'it\047s\011'`, "\xff": `$'\377'`,
	} {
		if got := main.ShellQuoted(word); got != want {
			t.Errorf("%q is quoted as %s, want %s", word, got, want)
		}
	}
}
