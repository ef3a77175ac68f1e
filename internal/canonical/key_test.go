package canonical_test

import (
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// TestEqualValuesHaveOneKey: those of a row are equal, and those of different rows are not.
func TestEqualValuesHaveOneKey(t *testing.T) {
	t.Parallel()
	rows := [][]string{
		{`0`, `-0`, `0.0`, `0e5`, `-0.00`},
		{`1`, `1.0`, `10e-1`, `0.1E+1`},
		{`-1`, `-1.0`},
		{`100`, `1e2`, `100.00`, `0.001e5`},
		{`0.5`, `5e-1`, `0.50`},
		{`1e400`, `10e399`},
		{`"1"`},
		{`"1e0"`},
		{`true`},
		{`null`},
		{`[]`},
		{`{}`},
		{`[1]`, `[ 1.0 ]`},
		{`[[1]]`},
		{`[1,2]`},
		{`["1,2"]`},
		{`{"a":1,"b":[2]}`, `{"b":[2.0],"a":1}`},
		{`{"a":1}`},
		{`{"a":"1"}`},
	}
	keys := map[string]int{}
	for i, row := range rows {
		for _, text := range row {
			v, err := canonical.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			key := string(canonical.AppendKey(nil, v))
			if first, known := keys[key]; known && first != i {
				t.Errorf("%s has the key %s, as %s", text, key, rows[first][0])
			}
			keys[key] = i
		}
	}
	if len(keys) != len(rows) {
		t.Errorf("got %d keys for %d values", len(keys), len(rows))
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	v, err := canonical.Parse([]byte(`[1,"a",1.0,[2],"a",[2],null]`))
	if err != nil {
		t.Fatal(err)
	}
	items, _ := v.([]any)
	if got, want := string(canonical.Append(nil, canonical.Distinct(items))), `[1,"a",[2],null]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNumbersAreComparedExactly(t *testing.T) {
	t.Parallel()
	limit := big.NewRat(5, 2)
	got := map[string]int{}
	for name, number := range map[string]any{
		"int": 2, "int64": int64(3), "float": 2.5,
		"large": parse(t, `1e400`), "near": parse(t, `2.4999999999999999999`),
	} {
		got[name] = canonical.Compare(number, limit)
	}
	if diff := cmp.Diff(map[string]int{"int": -1, "int64": 1, "float": 0, "large": 1, "near": -1}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if !canonical.IsMultiple(parse(t, `19.99`), big.NewRat(1, 100)) || canonical.IsMultiple(0.005, big.NewRat(1, 100)) {
		t.Error("multiples of 0.01 are not exact")
	}
}

func parse(t *testing.T, text string) any {
	t.Helper()
	v, err := canonical.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
