//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps other runs of this program from a file until it is closed. A file system that knows no
// locks is no reason to refuse to work.
func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return nil
}
