package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/softwareheritage/webhooks"
)

// A batchState is how far a batch has come that was not finished. It is kept in a file beside that
// of the failed lines, so that the same command goes on from there.
type batchState struct {
	Target  string `json:"target"` // server and token, as a digest
	BatchID string `json:"batch_id"`
	Lines   int    `json:"lines"`  // whose outcome is durable
	Sum     string `json:"sha256"` // of these lines

	// Of the file of failed lines, when all of these were dealt with.
	FailedLength int64  `json:"failed_length"`
	FailedSum    string `json:"failed_sha256"`

	// Running is still set if the run was cut off, so that the file of failed lines may hold more.
	Running bool `json:"running"`
}

// errLocked is that another process holds the lock of a file.
var errLocked = errors.New("another run is at work on it")

// target is what a batch was sent to. An event that one server has another may not have.
func target(cfg webhooks.SvixConfig) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s", cfg.ServerURL, string(cfg.AuthToken)))
	return hex.EncodeToString(sum[:16])
}

// A stateFile holds a batchState. It is written in place: that needs no further room on a full
// disk. If a loss of power leaves it unreadable the batch begins anew, which does no harm.
type stateFile struct {
	path string
	file *os.File
}

func openState(path string) (*stateFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // beside the user's
	if err != nil {
		return nil, unusable("--failed", path, err)
	}
	return &stateFile{path: path, file: file}, nil
}

// read returns the state that the file holds, a zero one if it holds none.
func (f *stateFile) read() batchState {
	var state batchState
	if err := json.NewDecoder(f.file).Decode(&state); err != nil || state.FailedLength < 0 {
		return batchState{}
	}
	return state
}

const stateBlock = 512 // bytes, which disks write as one

func (f *stateFile) write(state batchState) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	padding := (stateBlock - len(text)%stateBlock) % stateBlock
	text = append(text, bytes.Repeat([]byte(" "), padding)...)
	if _, err := f.file.WriteAt(text, 0); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *stateFile) remove() error { return errors.Join(os.Remove(f.path), f.file.Close()) }
