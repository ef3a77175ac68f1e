//go:build !unix

package main

import "os"

// lock does nothing: a lock that other programs need not heed is a thing of Unix.
func lock(*os.File) error { return nil }
