package canonical

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// AppendKey appends a text that v has in common with all values equal to it, and no others. It is
// the canonical text with numbers written in one way: 100, 1e2 and 100.0 have the same key.
func AppendKey(dst []byte, v any) []byte {
	switch v := v.(type) {
	case json.Number:
		digits, exponent := decimal(v)
		return strconv.AppendInt(append(append(dst, digits...), 'e'), int64(exponent), 10)
	case []any:
		return appendArray(dst, v, AppendKey)
	case map[string]any:
		return appendObject(dst, v, AppendKey)
	default:
		return Append(dst, v)
	}
}

// IsInteger reports whether a number that [Parse] or [FromGo] made has no fraction, however it is
// written.
func IsInteger(n json.Number) bool {
	if !strings.ContainsAny(string(n), ".eE") {
		return true
	}
	_, exponent := decimal(n)
	return exponent >= 0
}

// decimal returns a number as an integer that does not end in 0 and the power of ten to multiply
// it with.
func decimal(n json.Number) (digits string, exponent int) {
	mantissa, power, _ := strings.Cut(strings.ToLower(string(n)), "e")
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

// Exact returns the value of a number that [Parse] or [FromGo] made.
func Exact(n json.Number) *big.Rat {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return new(big.Rat).SetInt64(i)
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		panic("canonical: not a JSON number: " + string(n))
	}
	return r
}
