package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A smallDisk is a folder in which there is little room: a file system of its own if this process
// may mount one, else one in which the program may not make large files.
type smallDisk struct {
	path    string
	mounted bool
	full    string // what an error says then
}

func newSmallDisk(t *testing.T) smallDisk {
	t.Helper()
	d := smallDisk{path: t.TempDir(), full: "file too large"}
	mount := exec.CommandContext(t.Context(), //nolint:gosec // our own
		"mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", d.path)
	if err := mount.Run(); err == nil {
		d.mounted, d.full = true, "no space left on device"
		t.Cleanup(func() {
			if err := exec.Command("umount", d.path).Run(); err != nil { //nolint:gosec,noctx // our own
				t.Error(err)
			}
		})
	}
	return d
}

// withRoom is a command for which there is room for so many bytes more, about.
func (d smallDisk) withRoom(t *testing.T, cmd *exec.Cmd, room int64) *exec.Cmd {
	t.Helper()
	if !d.mounted {
		return d.limited(t, cmd, room)
	}
	ballast, err := os.Create(filepath.Join(d.path, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for err == nil {
		var n int
		n, err = ballast.Write(make([]byte, 1<<12))
		size += int64(n)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := errors.Join(ballast.Truncate(max(0, size-room)), ballast.Close()); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// limited lets a command run under a limit for the size of files: that of the largest, and room.
func (d smallDisk) limited(t *testing.T, cmd *exec.Cmd, room int64) *exec.Cmd {
	t.Helper()
	entries, err := os.ReadDir(d.path)
	if err != nil {
		t.Fatal(err)
	}
	var largest int64
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			largest = max(largest, info.Size())
		}
	}
	const block = 512 // bytes, as ulimit counts
	script := fmt.Sprintf(`ulimit -f %d; exec "$@"`, (largest+room)/block+2)
	args := append([]string{"-c", script, "sh"}, cmd.Args...)
	shell := exec.CommandContext(t.Context(), "sh", args...) //nolint:gosec // our own
	shell.Env = cmd.Env
	return shell
}
