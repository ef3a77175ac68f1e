// Package pattern matches regular expressions that a stranger wrote, at a cost that is known.
package pattern

import (
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Size returns about how many instructions a pattern has, 0 if it does not compile. To compile it
// takes a time in proportion, and to match it that many steps for each character at worst.
func Size(text string) int {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0
	}
	return size(tree)
}

func size(tree *syntax.Regexp) int {
	n := 1 + len(tree.Rune)/16
	if tree.Op == syntax.OpLiteral {
		n = len(tree.Rune)
	}
	for _, sub := range tree.Sub {
		n += size(sub)
	}
	if tree.Op == syntax.OpRepeat {
		n *= max(tree.Min, tree.Max, 1)
	}
	return n
}

// A Budget is what may be spent, in units of about ten nanoseconds.
type Budget interface {
	// Spend reports whether so much was left.
	Spend(units int) bool
}

// Match reports whether a text matches a pattern of a size. It spends what that costs, and what it
// reports means nothing if the budget does not suffice.
func Match(pattern *regexp.Regexp, size int, text string, budget Budget) bool {
	const piece = 100_000 // units to spend at once: matching a text in pieces is slower
	each := 2 + size*3/2
	if each*len(text) <= piece {
		return budget.Spend(20+each*len(text)) && pattern.MatchString(text)
	}
	return pattern.MatchReader(&metered{strings.NewReader(text), each, budget})
}

// metered is a text that ends when nothing is left to spend.
type metered struct {
	*strings.Reader

	each   int
	budget Budget
}

func (m *metered) ReadRune() (r rune, width int, err error) {
	if !m.budget.Spend(m.each) {
		return 0, 0, io.EOF
	}
	return m.Reader.ReadRune()
}
