package main

// For the tests, which are in a package of their own.
var (
	Main           = main
	NewRootCommand = newRootCommand
	ParseTime      = parseTime
	Timestamp      = timestamp
)
