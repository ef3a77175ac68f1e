package journal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// members are the encoded values of an object's members, by name.
type members map[string][]byte

// readMembers returns those members of an encoded map that have one of the names. Of a member that
// is there twice the last counts. What is in the others may be anything.
func readMembers(value []byte, names ...string) (members, error) {
	if kind := msgp.NextType(value); kind != msgp.MapType {
		if kind == msgp.InvalidType {
			return nil, malformed(errors.New("the value is not msgpack"))
		}
		return nil, malformed(fmt.Errorf("found %s, not a map", kind))
	}
	size, rest, err := msgp.ReadMapHeaderBytes(value)
	if err != nil {
		return nil, malformed(err)
	}
	m := make(members, len(names))
	for range size {
		key := rest
		if rest, err = skip(rest); err != nil {
			return nil, malformed(err)
		}
		member := rest
		if rest, err = skip(rest); err != nil {
			return nil, malformed(err)
		}
		if name, _, err := msgp.ReadStringZC(key); err == nil && slices.Contains(names, string(name)) {
			m[string(name)] = member
		}
	}
	if len(rest) > 0 {
		return nil, malformed(errors.New("bytes follow the value"))
	}
	return m, nil
}

// skip returns what follows the next value. Unlike msgp.Skip it does not recurse: how deep values
// are nested is for who wrote them to say.
func skip(b []byte) (rest []byte, err error) {
	for values := uint64(1); values > 0; values-- {
		var size uint32
		switch msgp.NextType(b) {
		case msgp.MapType:
			size, b, err = msgp.ReadMapHeaderBytes(b)
			values += 2 * uint64(size)
		case msgp.ArrayType:
			size, b, err = msgp.ReadArrayHeaderBytes(b)
			values += uint64(size)
		default:
			b, err = msgp.Skip(b)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func malformed(err error) error {
	return &RecordError{Class: ClassMalformed, Reason: err.Error()}
}

func wrongMember(name, format string, args ...any) error {
	return &RecordError{Class: ClassMember, Member: name, Reason: fmt.Sprintf(format, args...)}
}

// value returns a member that has to be there.
func (m members) value(name string) ([]byte, error) {
	value, ok := m[name]
	if !ok {
		return nil, wrongMember(name, "missing")
	}
	return value, nil
}

// text returns a member that is a text.
func (m members) text(name string) (string, error) {
	value, err := m.value(name)
	if err != nil {
		return "", err
	}
	text, _, err := msgp.ReadStringZC(value)
	switch {
	case err != nil:
		return "", wrongMember(name, "%s, not a text", msgp.NextType(value))
	case !utf8.Valid(text):
		return "", wrongMember(name, "not valid UTF-8")
	}
	return string(text), nil
}

// integer returns a member that is a whole number, in decimal; an empty text if it is not there.
func (m members) integer(name string) (string, error) {
	value, ok := m[name]
	if !ok {
		return "", nil
	}
	switch kind := msgp.NextType(value); kind {
	case msgp.IntType:
		n, _, err := msgp.ReadInt64Bytes(value)
		if err != nil {
			return "", wrongMember(name, "%v", err)
		}
		return strconv.FormatInt(n, 10), nil
	case msgp.UintType:
		n, _, err := msgp.ReadUint64Bytes(value)
		if err != nil {
			return "", wrongMember(name, "%v", err)
		}
		return strconv.FormatUint(n, 10), nil
	default:
		return "", wrongMember(name, "%s, not a whole number", kind)
	}
}

// hash returns a member that is 20 bytes, in hexadecimal; an empty text if it is nil or empty.
func (m members) hash(name string) (string, error) {
	const size = 20
	value, err := m.value(name)
	if err != nil || msgp.IsNil(value) {
		return "", err
	}
	hash, _, err := msgp.ReadBytesZC(value)
	switch {
	case err != nil:
		return "", wrongMember(name, "%s, not bytes", msgp.NextType(value))
	case len(hash) != 0 && len(hash) != size:
		return "", wrongMember(name, "%d bytes, not %d", len(hash), size)
	}
	return hex.EncodeToString(hash), nil
}

// date returns a member that is a date: a timestamp or, in old records, a map with an ISO 8601
// text.
func (m members) date(name string) (date, error) {
	value, err := m.value(name)
	if err != nil {
		return date{}, err
	}
	var d date
	switch kind := msgp.NextType(value); kind {
	case msgp.MapType:
		d, err = readDateMap(value)
	case msgp.ExtensionType, msgp.TimeType:
		d, err = readTimestamp(value)
	default:
		err = fmt.Errorf("%s, not a date", kind)
	}
	if err != nil {
		return date{}, wrongMember(name, "%v", err)
	}
	return d, nil
}

// timestampExtension is the type of timestamps among the extensions of msgpack.
const timestampExtension = -1

// readTimestamp reads the extension of msgpack for timestamps: seconds since 1970 in 4 bytes; 30
// bits of nanoseconds and 34 of seconds; or 4 bytes of nanoseconds and 8 of seconds.
func readTimestamp(value []byte) (date, error) {
	extension := msgp.RawExtension{Type: timestampExtension}
	if _, err := msgp.ReadExtensionBytes(value, &extension); err != nil {
		return date{}, err
	}
	var seconds int64
	var nanoseconds uint32
	switch b := extension.Data; len(b) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(b))
	case 8:
		both := binary.BigEndian.Uint64(b)
		seconds, nanoseconds = int64(both&(1<<34-1)), uint32(both>>34)
	case 12:
		nanoseconds = binary.BigEndian.Uint32(b)
		seconds = int64(binary.BigEndian.Uint64(b[4:])) //nolint:gosec // it is a signed number there
	default:
		return date{}, fmt.Errorf("a timestamp of %d bytes", len(b))
	}
	if nanoseconds >= uint32(time.Second) {
		return date{}, fmt.Errorf("a timestamp with %d nanoseconds", nanoseconds)
	}
	return newDate(time.Unix(seconds, int64(nanoseconds)).UTC())
}

// readDateMap reads the form in which dates were written before msgpack had timestamps: a map whose
// keys, which are bytes, are "swhtype" and "d".
func readDateMap(value []byte) (date, error) {
	size, rest, err := msgp.ReadMapHeaderBytes(value)
	if err != nil {
		return date{}, err
	}
	texts := map[string]string{}
	for range size {
		key, keyType := rest, msgp.NextType(rest)
		if rest, err = skip(rest); err != nil {
			return date{}, err
		}
		text := rest
		if rest, err = skip(rest); err != nil {
			return date{}, err
		}
		if name, _, err := msgp.ReadBytesZC(key); err == nil && keyType == msgp.BinType {
			if t, _, err := msgp.ReadStringZC(text); err == nil {
				texts[string(name)] = string(t)
			}
		}
	}
	if texts["swhtype"] != "datetime" {
		return date{}, errors.New("a map, not a date")
	}
	return parseDate(texts["d"])
}
