package pattern_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/pattern"
)

// purse is a budget.
type purse struct{ left int }

func (p *purse) Spend(units int) bool {
	p.left -= units
	return p.left >= 0
}

func TestSizeGrowsWithRepetition(t *testing.T) {
	t.Parallel()
	for text, least := range map[string]int{
		`^swh:1:snp:[0-9a-f]{40}$`: 40, `(x?){500}y`: 500, `x{900}`: 900, `((a{10}){10}){10}`: 1000, `abc`: 3,
	} {
		if size := pattern.Size(text); size < least || size > 50*least {
			t.Errorf("%s: got the size %d, want about %d", text, size, least)
		}
	}
	if size := pattern.Size(`(?!a)`); size != 0 {
		t.Errorf("got the size %d of what does not compile", size)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 200_000)
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"^a+$", "aaa", true},
		{"^a+$", "aab", false},
		{"^é+$", long, true},
		{"^é+$", long + "a", false},
		{"a$", long + "a", true},
	} {
		budget := &purse{left: 1 << 40}
		re := regexp.MustCompile(tt.pattern)
		if got := pattern.Match(re, pattern.Size(tt.pattern), tt.text, budget); got != tt.want {
			t.Errorf("%s, %.10s: got %v", tt.pattern, tt.text, got)
		}
		if budget.left == 1<<40 {
			t.Errorf("%s, %.10s: nothing was spent", tt.pattern, tt.text)
		}
	}
}

func TestMatchEndsWithTheBudget(t *testing.T) {
	t.Parallel()
	const text = `(x?){500}y`
	budget := &purse{left: 1_000_000}
	pattern.Match(regexp.MustCompile(text), pattern.Size(text), strings.Repeat("x", 1<<20), budget)
	if budget.left >= 0 || budget.left < -10_000 {
		t.Errorf("%d are left, want that it ended where the budget did", budget.left)
	}
}
