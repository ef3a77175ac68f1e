package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/softwareheritage/webhooks/internal/foreign"
)

// errNotAgreed is that whoever was asked did not say yes.
var errNotAgreed = inputError{errors.New("nothing was done")}

// addDryRun adds the option to say what would be done instead of doing it.
func addDryRun(cmd *cobra.Command, dryRun *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "say what would be done, and do nothing")
}

// addYes adds the option not to be asked.
func addYes(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask, on a terminal either")
}

// agrees asks whoever sits at a terminal whether something is to be done. Where nobody does, it is.
func agrees(cmd *cobra.Command, question string, args ...any) bool {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || !isTerminal(cmd.ErrOrStderr()) {
		return true
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", foreign.Printable(fmt.Sprintf(question, args...)))
	reply, _ := bufio.NewReader(in).ReadString('\n') // what cannot be read is no yes
	switch strings.ToLower(strings.TrimSpace(reply)) {
	case "y", "yes":
		return true
	}
	return false
}
