package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRootCommand() *cobra.Command { return newRootCommandWith(&settings{}) }

func newRootCommandWith(s *settings) *cobra.Command {
	root := &cobra.Command{
		Use:   "swh-webhooks",
		Short: "Manage Software Heritage webhooks on a Svix server",
		Long: `Manage Software Heritage webhooks on a Svix server: event types, endpoints,
events and their deliveries.

The server's URL and token come from the options, or else from the environment
variables SVIX_URL and SVIX_TOKEN, or else from the configuration file, keys
webhooks.svix.server_url and webhooks.svix.auth_token. The variable
SWH_CONFIG_FILENAME, if it is set, wins over --config-file.

Exit status: 0 success; 1 the server, the network or this machine failed, or
the command was interrupted; 2 wrong use or wrong input, a refused token
included: the same command will fail again.`,
		Example: `  # see everything work, without a server
  swh-webhooks demo

  # find out whether configuration, server and token are right
  swh-webhooks -C webhooks.yml check`,
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: s.begin,
		RunE:              noCommand,
		TraverseChildren:  true, // or -u before "event list" would count as that command's -u
		SilenceErrors:     true,
		SilenceUsage:      true,
		Version:           buildVersion().Version,

		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	s.addTo(root)
	root.SetFlagErrorFunc(usageError)
	root.SetHelpCommand(newHelpCommand())
	root.SetUsageTemplate(strings.NewReplacer(
		".LocalFlags.FlagUsages ", ".LocalFlags.FlagUsagesWrapped 80 ",
		".InheritedFlags.FlagUsages ", ".InheritedFlags.FlagUsagesWrapped 80 ",
		`Use "{{.CommandPath}} [command] --help" for more`, `"{{.CommandPath}} [command] --help" says more`,
		" information about a command.", " about a command.",
	).Replace(root.UsageTemplate()))
	showHelp := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if !asksUnknownForHelp(cmd) {
			showHelp(cmd, args)
		}
	})
	root.AddCommand(
		newEventTypeCommand(s),
		newEndpointCommand(s),
		newEventCommand(s),
		newJournalClientCommand(s),
		newListenCommand(s),
		newTriggerCommand(s),
		newSignCommand(),
		newVerifyCommand(),
		newCheckCommand(s),
		newDashboardCommand(s),
		newDemoCommand(),
		newMockServerCommand(),
		newCompletionCommand(),
		newManCommand(),
		newVersionCommand(),
	)
	return root
}

// newGroup returns a command that only has commands below it. Without one of them it checks the
// configuration, as the Python module does.
func newGroup(s *settings, use, short, example string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: example,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := noCommand(cmd, args)
			if len(args) > 0 {
				return err
			}
			if _, errConfig := s.client(cmd); errConfig != nil {
				return errConfig
			}
			return err
		},
	}
	group.AddCommand(commands...)
	return group
}

// noCommand says that a group was not followed by one of its commands.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		cmd.PrintErrln(cmd.UsageString())
		return usageError(cmd, errors.New("a command is missing"))
	}
	err := fmt.Errorf("there is no command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		err = fmt.Errorf("%w, did you mean %q?", err, similar[0])
	}
	return usageError(cmd, err)
}

// arguments takes exactly the arguments that are named. The last ones are optional if their name
// is in brackets.
func arguments(names ...string) cobra.PositionalArgs {
	required := slices.IndexFunc(append(slices.Clone(names), "["),
		func(name string) bool { return strings.HasPrefix(name, "[") })
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < required:
			return usageError(cmd, fmt.Errorf("the argument %s is missing", names[len(args)]))
		case len(args) > len(names):
			return usageError(cmd, fmt.Errorf("one argument too many: %q", args[len(names)]))
		}
		return nil
	}
}

// requireOptions wants options to be given.
func requireOptions(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			return usageError(cmd, fmt.Errorf("the option --%s is missing", name))
		}
	}
	return nil
}

func usageError(cmd *cobra.Command, err error) error {
	return inputError{fmt.Errorf("%w (see: %s --help)", err, cmd.CommandPath())}
}

// misused returns the error of a command line that cmd has carried out. It finds the mistakes that
// cobra takes for none, and those that it tells of without a hint.
func misused(cmd *cobra.Command, err error) error {
	if err == nil && asksUnknownForHelp(cmd) {
		return noCommand(cmd, cmd.Flags().Args())
	}
	var (
		unknown *pflag.NotExistError
		without *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
		input   inputError
	)
	isFlag := errors.As(err, &unknown) || errors.As(err, &without) || errors.As(err, &invalid) ||
		errors.As(err, &syntax)
	if isFlag && !errors.As(err, &input) {
		return usageError(cmd, err)
	}
	return err
}

// asksUnknownForHelp tells whether help was asked for a command that a group does not have.
func asksUnknownForHelp(cmd *cobra.Command) bool {
	return cmd.HasSubCommands() && cmd.Flags().NArg() > 0
}

func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show the help of a command",
		Long:    "Show the help of a command, as the option --help does.",
		Example: "  swh-webhooks help event send",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (completions,
			directive,
		) {
			group, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []cobra.Completion
			for _, child := range group.Commands() {
				names = append(names, cobra.CompletionWithDesc(child.Name(), child.Short))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return usageError(cmd, err)
			case len(rest) > 0:
				return noCommand(found, rest)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// refuseEmpty refuses an option that is given but empty, as an unset variable of a shell makes it:
// that is not to be taken for an option that is not given.
func refuseEmpty(cmd *cobra.Command, _ []string) error {
	var err error
	refuse := func(flag *pflag.Flag) {
		if err == nil && flag.Changed && flag.Value.Type() == "string" && flag.Value.String() == "" {
			err = usageError(cmd,
				fmt.Errorf("--%s is empty: leave it out, or give it a value", flag.Name))
		}
	}
	cmd.Flags().VisitAll(refuse)
	for parent := cmd.Parent(); parent != nil; parent = parent.Parent() {
		parent.PersistentFlags().VisitAll(refuse)
	}
	return err
}
