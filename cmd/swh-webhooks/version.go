package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A version says what this program was built from, in the documented form.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source; empty if the build did not know it
	Modified bool   `json:"modified"` // the source had changes since
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() version {
	v := version{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" +
		runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Revision = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

func newVersionCommand() *cobra.Command {
	output := formatText
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Print the version of this program.

With -o json it is an object with the members version, revision (of the source;
may be empty), modified (the source had changes), go and platform.`,
		Example: `  swh-webhooks version
  swh-webhooks version -o json`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != formatText {
				return output.print(cmd.OutOrStdout(), buildVersion())
			}
			return printVersion(cmd.OutOrStdout(), buildVersion())
		},
	}
	addFormat(cmd, &output)
	return cmd
}

func printVersion(w io.Writer, v version) error {
	source := v.Revision
	if source != "" {
		source = ", revision " + source
	}
	if v.Modified {
		source += " with changes"
	}
	_, err := fmt.Fprintf(w, "swh-webhooks %s%s, %s, %s\n", v.Version, source, v.Go, v.Platform)
	return err
}
