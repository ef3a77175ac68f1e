package schema

import (
	"encoding/json"
	"maps"
	"math/big"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// The library cannot be stopped, and small schemas and values can keep it busy
// for hours. So what a call would cost is summed up before it is made. Costs
// are in units of about a microsecond, or of 128 bytes that the call would
// keep, and rather too high than too low.

// maxCost is the largest cost of compiling a schema, or of validating a value:
// about a second, where a common schema and payload cost less than a thousand.
const maxCost = 1_000_000

// A budget is what may still be spent.
type budget struct{ left int64 }

// spend reports whether the budget suffices.
func (b *budget) spend(cost int64) bool {
	b.left -= cost
	return b.left >= 0
}

func (b *budget) exceeded() bool { return b.left < 0 }

// numberCost is the cost of the arithmetic with a number.
func numberCost(number json.Number) int64 {
	if len(number) > 24 || strings.ContainsAny(string(number), "eE") {
		return 40
	}
	return 2
}

// boundCost is the cost of the arithmetic with a bound that a schema sets.
func boundCost(bound *big.Rat) int64 {
	switch {
	case bound == nil:
		return 0
	case bound.Num().BitLen() > 64 || bound.Denom().BitLen() > 64:
		return 40
	default:
		return 2
	}
}

// compareCost is the cost of comparing v with something equal, or nearly so, in
// eighths of a unit.
func compareCost(v any) int64 {
	switch v := v.(type) {
	case json.Number:
		return 8 * numberCost(v)
	case []any:
		cost := int64(1)
		for _, item := range v {
			cost += compareCost(item)
		}
		return cost
	case map[string]any:
		cost := int64(1)
		for _, member := range v {
			cost += compareCost(member)
		}
		return cost
	default:
		return 1
	}
}

// uniqueCost is the cost of finding out whether all items differ. Of up to 20
// the library compares every pair, of more those whose hashes are equal.
func uniqueCost(items []any) int64 {
	const everyPair = 20
	var sum int64
	for _, item := range items {
		sum += compareCost(item)
	}
	compared := len(items)
	if compared > everyPair {
		compared = max(everyPair, mostOfOneHash(items))
	}
	return sum * int64(compared) / 8
}

// mostOfOneHash returns how many different arrays and objects have the hash that
// most of them have. Other values have one each, or nearly so.
func mostOfOneHash(items []any) int {
	most := 0
	known := make(map[string]bool)
	alike := make(map[string]int)
	for _, item := range items {
		if !isContainer(item) {
			continue
		}
		text := string(canonical.Append(nil, item))
		if known[text] {
			break // the library ends at the first pair of equal items
		}
		known[text] = true
		hashed := string(appendHashed(nil, item))
		alike[hashed]++
		most = max(most, alike[hashed])
	}
	return most
}

func isContainer(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	default:
		return false
	}
}

// appendHashed appends the text whose hash the library compares. It says
// nowhere that a string, an array or an object ends, so that whoever knows it
// can write any number of different values of one hash.
func appendHashed(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 0)
	case bool:
		if v {
			return append(dst, 1, 1)
		}
		return append(dst, 1, 0)
	case json.Number:
		dst = append(dst, 2)
		if r, ok := new(big.Rat).SetString(string(v)); ok {
			dst = append(append(dst, r.Num().Bytes()...), r.Denom().Bytes()...)
		}
		return dst
	case string:
		return append(append(dst, 3), v...)
	case []any:
		dst = append(dst, 4)
		for _, item := range v {
			dst = appendHashed(dst, item)
		}
		return dst
	case map[string]any:
		dst = append(dst, 5)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			dst = appendHashed(append(append(dst, 3), name...), v[name])
		}
		return dst
	default:
		return dst
	}
}

// patternSize is about the number of instructions of a compiled pattern, 0 if
// it does not compile. Matching takes that many steps for each byte at worst.
func patternSize(pattern string) int64 {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	return treeSize(tree)
}

func treeSize(tree *syntax.Regexp) int64 {
	size := int64(1 + len(tree.Rune)/16)
	if tree.Op == syntax.OpLiteral {
		size = int64(len(tree.Rune))
	}
	for _, sub := range tree.Sub {
		size += treeSize(sub)
	}
	if tree.Op == syntax.OpRepeat {
		size *= int64(max(tree.Min, tree.Max, 1))
	}
	return size
}
