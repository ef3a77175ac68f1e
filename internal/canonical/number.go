package canonical

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// scanNumber returns the length of the JSON number at the start of s, or why
// there is none that is within the limits.
func scanNumber(s string) (n int, reason string) {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	whole := countDigits(s[i:])
	if whole == 0 || whole > 1 && s[i] == '0' {
		return 0, "not a JSON number"
	}
	i += whole
	digits := whole
	if i < len(s) && s[i] == '.' {
		fraction := countDigits(s[i+1:])
		if fraction == 0 {
			return 0, "not a JSON number"
		}
		i += 1 + fraction
		digits += fraction
	}
	var exponent string
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		length := countDigits(s[i:])
		if length == 0 {
			return 0, "not a JSON number"
		}
		exponent = s[i : i+length]
		i += length
		digits += length
	}
	if digits > MaxDigits {
		return 0, fmt.Sprintf("a number of more than %d digits", MaxDigits)
	}
	if !smallExponent(exponent) {
		return 0, fmt.Sprintf("a number with an exponent beyond %d", MaxExponent)
	}
	return i, ""
}

func countDigits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// smallExponent reports whether a text of digits only, which may be empty, is
// at most MaxExponent.
func smallExponent(digits string) bool {
	value := 0
	for i := range len(digits) {
		value = value*10 + int(digits[i]-'0')
		if value > MaxExponent {
			return false
		}
	}
	return true
}

// WrittenOut returns how many digits a number has at most if it is written without an exponent.
func WrittenOut(number json.Number) int {
	mantissa, power, _ := strings.Cut(strings.ToLower(string(number)), "e")
	exponent, _ := strconv.Atoi(power) // 0 if there is none
	return len(strings.Trim(mantissa, "-")) + max(exponent, -exponent)
}
