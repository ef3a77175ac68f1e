package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// printJSON prints a value in several lines.
func printJSON(w io.Writer, value any) error {
	text, err := appendJSON(nil, value, "")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

const jsonIndent = "    "

// appendJSON encodes a value as the Python module does: indented by 4, everything but ASCII
// escaped.
func appendJSON(dst []byte, value any, prefix string) ([]byte, error) {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, bytes.TrimSpace(plain.Bytes()), prefix, jsonIndent); err != nil {
		return nil, err
	}
	return appendASCII(dst, pretty.Bytes()), nil
}

// appendASCII escapes what is not ASCII in a JSON text, which is in strings only. DEL is
// ASCII to terminals too.
func appendASCII(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch text = text[size:]; {
		case r < 0x7f:
			dst = append(dst, byte(r)) //nolint:gosec // ASCII
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return dst
}

// A jsonArray prints an array whose items come one after the other. Before the first item it prints
// nothing, so that nothing is printed if there is an error instead.
type jsonArray struct {
	w     *bufio.Writer
	items int
}

func newJSONArray(w io.Writer) *jsonArray { return &jsonArray{w: bufio.NewWriter(w)} }

func (a *jsonArray) add(item any) error {
	text := []byte("[\n" + jsonIndent)
	if a.items > 0 {
		text = []byte(",\n" + jsonIndent)
	}
	a.items++
	text, err := appendJSON(text, item, jsonIndent)
	if err != nil {
		return err
	}
	_, err = a.w.Write(text)
	return err
}

func (a *jsonArray) close() error {
	end := "\n]\n"
	if a.items == 0 {
		end = "[]\n"
	}
	if _, err := a.w.WriteString(end); err != nil {
		return err
	}
	return a.w.Flush()
}

// printJSONLine prints a value in one line.
func printJSONLine(w io.Writer, value any) error {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return err
	}
	_, err := w.Write(appendASCII(nil, plain.Bytes()))
	return err
}

// jsonLines prints each item in a line of its own, at once.
type jsonLines struct{ w io.Writer }

func (l jsonLines) add(item any) error { return printJSONLine(l.w, item) }

func (l jsonLines) close() error { return nil }
