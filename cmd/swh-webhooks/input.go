package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// maxInput is more than any payload or schema may be, so that the library sees that an input is too
// large.
const maxInput = 1<<20 + 1 + len(byteOrderMark) // bytes

// byteOrderMark is what some editors put at the beginning of a file.
const byteOrderMark = "\ufeff"

// readInput reads the file that an argument names; "-" is standard input.
func readInput(cmd *cobra.Command, argument, path string) ([]byte, error) {
	in, closeInput, err := openInput(cmd, argument, path)
	if err != nil {
		return nil, err
	}
	defer closeInput()
	text, err := io.ReadAll(io.LimitReader(in, int64(maxInput)))
	return bytes.TrimPrefix(text, []byte(byteOrderMark)), err
}

func openInput(cmd *cobra.Command, argument, path string) (in io.Reader, closeInput func(),
	err error,
) {
	if path == "-" {
		return cmd.InOrStdin(), func() {}, nil
	}
	file, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, nil, unusable(argument, path, err)
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		_ = file.Close()
		return nil, nil, unusable(argument, path, errors.New("is a directory"))
	}
	return file, func() { _ = file.Close() }, nil
}

// unusable says what is wrong with a file that an argument or option names.
func unusable(argument, path string, err error) error {
	if pathError := (*os.PathError)(nil); errors.As(err, &pathError) {
		err = pathError.Err
	}
	return inputError{fmt.Errorf("invalid value for '%s': '%s': %w", argument, path, err)}
}
