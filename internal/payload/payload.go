// Package payload encodes what an event tells to the text that endpoints receive.
package payload

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// Max is the most bytes of the text given, if it is one, and of the canonical text.
const Max = 1 << 20

const usual = 256 // bytes, of those of the archive

// Encode returns a value that encodes to a JSON object as a validator takes it and as canonical
// text. The text shares nothing with the value, the object may. A panic of the value's own methods
// is an error.
func Encode(value any) (object map[string]any, text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			object, text, err = nil, nil, errors.New("encoding it panicked: "+foreign.Quote(fmt.Sprint(p)))
		}
	}()
	if raw, ok := value.(json.RawMessage); ok && len(raw) > Max {
		return nil, nil, tooLarge(len(raw))
	}
	tree, err := canonical.FromGo(value)
	if err != nil {
		return nil, nil, err
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil, nil, errors.New("it is not a JSON object")
	}
	text = canonical.Append(make([]byte, 0, usual), object)
	if len(text) > Max {
		return nil, nil, tooLarge(len(text))
	}
	return object, text, nil
}

// Own returns a value that encodes to the same text and shares nothing with the caller's.
func Own(value any) (json.RawMessage, error) {
	if raw, ok := value.(json.RawMessage); ok {
		if len(raw) > Max {
			return nil, tooLarge(len(raw))
		}
		return append(json.RawMessage(nil), raw...), nil
	}
	_, text, err := Encode(value)
	return text, err
}

func tooLarge(size int) error {
	return fmt.Errorf("%d bytes, at most %d are possible", size, Max)
}
