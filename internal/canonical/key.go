package canonical

import (
	"cmp"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// AppendKey appends a text that v has in common with all values equal to it, and no others. It is
// the canonical text with numbers written in one way: 100, 1e2 and 100.0 have the same key.
func AppendKey(dst []byte, v any) []byte {
	switch v := v.(type) {
	case json.Number, int, int64, float64:
		digits, exponent := decimal(numberText(v))
		return strconv.AppendInt(append(append(dst, digits...), 'e'), int64(exponent), 10)
	case []any:
		return appendArray(dst, v, AppendKey)
	case map[string]any:
		return appendObject(dst, v, AppendKey)
	default:
		return Append(dst, v)
	}
}

// IsInteger reports whether a number has no fraction, however it is written.
func IsInteger(number any) bool {
	if _, ok := small(number); ok {
		return true
	}
	_, exponent := decimal(numberText(number))
	return exponent >= 0
}

// numberText returns the digits of a number.
func numberText(number any) string {
	if text, ok := number.(json.Number); ok {
		return string(text)
	}
	return string(Append(nil, number))
}

// decimal returns a number as an integer that does not end in 0 and the power of ten to multiply
// it with.
func decimal(n string) (digits string, exponent int) {
	mantissa, power, _ := strings.Cut(strings.ToLower(n), "e")
	exponent, _ = strconv.Atoi(power)
	positive := strings.TrimPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(positive, ".")
	all := strings.TrimLeft(whole+fraction, "0")
	digits = strings.TrimRight(all, "0")
	switch {
	case digits == "":
		return "0", 0
	case positive != mantissa:
		digits = "-" + digits
		all = "-" + all
	}
	return digits, exponent - len(fraction) + len(all) - len(digits)
}

// Distinct returns the items without those that are equal to an earlier one. It may change the
// list.
func Distinct(items []any) []any {
	known := make(map[string]bool, len(items))
	return slices.DeleteFunc(items, func(item any) bool {
		key := string(AppendKey(nil, item))
		defer func() { known[key] = true }()
		return known[key]
	})
}

// small returns the value of a number if it is written as an integer and is a small one.
func small(number any) (int64, bool) {
	switch n := number.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case json.Number:
		value, err := strconv.ParseInt(string(n), 10, 64)
		return value, err == nil
	}
	return 0, false
}

// exact returns the value of a number.
func exact(number any) *big.Rat {
	r, ok := new(big.Rat).SetString(numberText(number))
	if !ok {
		panic("canonical: not a JSON number: " + numberText(number))
	}
	return r
}

// Compare returns -1 if a number is below a limit, 0 if it is equal and +1 if it is above.
func Compare(number any, limit *big.Rat) int {
	if n, ok := small(number); ok && limit.IsInt() && limit.Num().IsInt64() {
		return cmp.Compare(n, limit.Num().Int64())
	}
	return exact(number).Cmp(limit)
}

// IsMultiple reports whether a number divided by another is an integer.
func IsMultiple(number any, of *big.Rat) bool {
	n := exact(number)
	return n.Quo(n, of).IsInt()
}

// Effort is about how many times ten nanoseconds Compare and IsMultiple take.
func Effort(number any, limit *big.Rat) int {
	if _, ok := small(number); ok && limit.IsInt() && limit.Num().IsInt64() {
		return 50
	}
	text := numberText(number)
	effort := 60 + 10*len(text) + 2*limit.Num().BitLen() + 2*limit.Denom().BitLen()
	if strings.ContainsAny(text, "eE") {
		effort += 5000
	}
	return effort
}
