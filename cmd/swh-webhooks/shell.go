package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/softwareheritage/webhooks/internal/foreign"
)

// commandLine is what to type into a shell to give a command again as it was given. A token stays
// out of it.
func commandLine(cmd *cobra.Command, args []string) string {
	words := strings.Fields(cmd.CommandPath())
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed {
			return
		}
		value := flag.Value.String()
		if flag.Name == "svix-token" {
			value = "[redacted]"
		}
		words = append(words, shellQuoted("--"+flag.Name+"="+value))
	})
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") && arg != "-" {
			words = append(words, "--")
			break
		}
	}
	for _, arg := range args {
		words = append(words, shellQuoted(arg))
	}
	return strings.Join(words, " ")
}

// plain are the characters that mean nothing to a shell.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+:,./@%"

// shellQuoted returns a word so that a shell reads it as one, to the byte.
func shellQuoted(word string) string {
	switch {
	case word != "" && strings.Trim(word, plain) == "":
		return word
	case foreign.Printable(word) == word:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var quoted strings.Builder
	quoted.WriteString("$'") // bash, zsh and the newer sh read escapes in it
	for _, b := range []byte(word) {
		if b >= ' ' && b <= '~' && b != '\'' && b != '\\' {
			quoted.WriteByte(b)
		} else {
			fmt.Fprintf(&quoted, `\%03o`, b)
		}
	}
	return quoted.String() + "'"
}
