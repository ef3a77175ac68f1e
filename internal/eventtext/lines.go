package eventtext

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// MaxLine is how long a line may be: room for the largest payload and all else that an event has.
const MaxLine = 1<<20 + 64<<10 // bytes

// A Line is one line of a text that is not blank.
type Line struct {
	Number int   // in the text, from 1
	End    int64 // where the next line begins, in bytes
	Length int   // of the line, in bytes, without the white space around it
	// Text is the line without the white space around it, only the first MaxLine bytes of one that
	// is longer.
	Text []byte
}

// TooLong tells whether Text is not the whole line.
func (l Line) TooLong() bool { return l.Length > len(l.Text) }

// Lines reads a text line by line. Its memory is bounded by MaxLine.
type Lines struct {
	in     *bufio.Reader
	number int
	offset int64
}

// NewLines returns the lines of a text, without the byte order mark that it may begin with.
func NewLines(in io.Reader) *Lines {
	return &Lines{in: bufio.NewReaderSize(in, 64<<10)}
}

// Next returns the next line that is not blank, [io.EOF] at the end, or the error of the reader.
func (r *Lines) Next() (Line, error) {
	for {
		line, err := r.read()
		if err != nil || line.Length > 0 {
			return line, err
		}
	}
}

const lineEnd = len("\r\n")

var byteOrderMark = []byte("\ufeff")

func (r *Lines) read() (Line, error) {
	var text []byte
	length := 0
	for {
		part, err := r.in.ReadSlice('\n')
		r.offset += int64(len(part))
		if length == 0 {
			if r.offset == int64(len(part)) { // the beginning of the text
				part = bytes.TrimPrefix(part, byteOrderMark)
			}
			part = bytes.TrimLeft(part, " \t\r\n")
		}
		length += len(part)
		text = append(text, part[:min(len(part), MaxLine+lineEnd-len(text))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || length == 0) {
			return Line{}, err
		}
		break
	}
	r.number++
	if length <= MaxLine+lineEnd { // else its end is not kept
		text = bytes.TrimRight(text, " \t\r\n")
		length = len(text)
	}
	return Line{
		Number: r.number, End: r.offset, Length: length, Text: text[:min(len(text), MaxLine)],
	}, nil
}
