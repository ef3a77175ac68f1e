// Package rescue makes errors of the panics of functions that users of the library give to it.
package rescue

import (
	"fmt"
	"runtime/debug"
)

// Call returns what f returns, or the panic of f with its stack as an error. The name tells what
// f is.
func Call(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", name, p, debug.Stack())
		}
	}()
	return f()
}
