// Package configfile reads the configuration files of Software Heritage services.
package configfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxSize is the size up to which a file is read, in bytes.
const maxSize = 1 << 20

// Read returns the text of the file at path, at most 1 MiB. A file that does not exist is looked
// for once more with ".yml" appended.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		var errYML error
		if file, errYML = os.Open(path + ".yml"); errYML != nil { //nolint:gosec // as above
			return nil, fmt.Errorf("%w (nor is there %s.yml)", err, path)
		}
	} else if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: larger than 1 MiB", path)
	}
	return data, nil
}
