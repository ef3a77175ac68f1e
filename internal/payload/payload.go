// Package payload encodes what an event tells to the text that endpoints receive.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// Max is the most bytes of the text given, if it is one, and of the canonical text.
const Max = 1 << 20

// scratch holds buffers that have grown to the size of what is sent, so that a text takes the
// memory that it needs and no more.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

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
	buffer := scratch.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put there
	defer scratch.Put(buffer)
	*buffer = canonical.Append((*buffer)[:0], object)
	if size := len(*buffer); size > Max {
		*buffer = nil
		return nil, nil, tooLarge(size)
	}
	return object, bytes.Clone(*buffer), nil
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
