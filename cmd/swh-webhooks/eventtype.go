package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

func newEventTypeCommand(s *settings) *cobra.Command {
	return newGroup(s, "event-type", "Register and show event types",
		`  swh-webhooks event-type register-defaults
  swh-webhooks event-type list`,
		newEventTypeRegisterDefaultsCommand(s),
		newEventTypeAddCommand(s),
		newEventTypeGetCommand(s),
		newEventTypeDeleteCommand(s),
		newEventTypeListCommand(s),
	)
}

func newEventTypeRegisterDefaultsCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "register-defaults",
		Short: "Register the event types of the archive",
		Long: `Register the event types of the archive: origin.create and origin.visit. Those
that are there already get the description and schema of this program.`,
		Example: `  swh-webhooks event-type register-defaults`,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			for _, et := range webhooks.DefaultEventTypes() {
				if err := client.CreateEventType(cmd.Context(), et); err != nil {
					return err
				}
				if err := confirm(cmd, "Registered %s", et.Name); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newEventTypeAddCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME [DESCRIPTION] SCHEMA_FILE",
		Short: "Register an event type, or change or revive it",
		Long: `Register an event type, or change or revive it.

NAME has the form "<group>.<event>". SCHEMA_FILE holds the JSON Schema that
payloads have to fit; "-" is standard input. A DESCRIPTION that is left out is
taken from the schema's own "description".`,
		Example: `  swh-webhooks event-type add origin.rename "An origin moved" schema.json

  # with the description of the schema
  swh-webhooks event-type add origin.rename - < schema.json

  # copy an event type from another server
  swh-webhooks -C other.yml event-type get --dump-schema origin.create |
    swh-webhooks event-type add origin.create -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 3 {
				return arguments("NAME", "SCHEMA_FILE")(cmd, args)
			}
			return arguments("NAME", "DESCRIPTION", "SCHEMA_FILE")(cmd, args)
		},
		ValidArgsFunction: s.completeEventTypeThenFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			et := webhooks.EventType{Name: args[0]}
			if et.Schema, err = readInput(cmd, "SCHEMA_FILE", args[len(args)-1]); err != nil {
				return err
			}
			if len(args) == 3 {
				et.Description = args[1]
			} else if et.Description, err = describedBy(et.Schema); err != nil {
				return err
			}
			if err := client.CreateEventType(cmd.Context(), et); err != nil {
				return err
			}
			return confirm(cmd, "Registered %s", et.Name)
		},
	}
}

// describedBy returns the description that a schema has of itself.
func describedBy(schema []byte) (string, error) {
	var annotations struct {
		Description string `json:"description"`
	}
	// What is wrong with the schema otherwise, the library says better.
	if err := json.Unmarshal(schema, &annotations); err == nil && annotations.Description == "" {
		return "",
			inputError{errors.New("the schema has no description: give one as the second argument")}
	}
	return annotations.Description, nil
}

// eventTypeJSON is the documented form of an event type.
type eventTypeJSON struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"schema"` // null: none
}

func newEventTypeGetCommand(s *settings) *cobra.Command {
	output := formatText
	var dumpSchema bool
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show the description and the schema of an event type",
		Long: `Show the description and the schema of an event type.

With -o json it is an object with the members name, description and schema,
which is null if another program registered the event type without one.`,
		Example: `  swh-webhooks event-type get origin.create

  # only the schema, for other programs
  swh-webhooks event-type get --dump-schema origin.create > schema.json`,
		Args:              arguments("NAME"),
		ValidArgsFunction: s.completeEventType,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			et, err := client.GetEventType(cmd.Context(), args[0])
			if err != nil {
				return explain(err, webhooks.Endpoint{EventType: args[0]})
			}
			out := cmd.OutOrStdout()
			switch {
			case dumpSchema:
				return printLine(out, jsonText(et.Schema))
			case output != formatText:
				return output.print(out, eventTypeJSON(et))
			}
			return printEventType(out, et)
		},
	}
	cmd.Flags().BoolVarP(&dumpSchema, "dump-schema", "d", false,
		"only the schema, as one line of JSON")
	addFormat(cmd, &output)
	return cmd
}

// jsonText returns a JSON text for people and programs alike; none is null.
func jsonText(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "null"
	}
	return string(appendASCII(nil, raw))
}

func printEventType(w io.Writer, et webhooks.EventType) error {
	schema := "none: any object will do"
	if et.Schema != nil {
		text, err := appendJSON(nil, et.Schema, "")
		if err != nil {
			return err
		}
		schema = string(text)
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n\n%s\n%s\n",
		bold(w, "Description:"), indented(printableLines(et.Description)),
		bold(w, "JSON schema for payload:"), indented(schema))
	return err
}

func newEventTypeDeleteCommand(s *settings) *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Archive an event type: no event of it can be sent any more",
		Long: `Archive an event type: no event of it can be sent any more. Its endpoints and
what was sent stay on the server and are there again when the event type is
added again. On a terminal it asks before.`,
		Example:           `  swh-webhooks event-type delete origin.create`,
		Args:              arguments("NAME"),
		ValidArgsFunction: s.completeEventType,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			return explain(deleteEventType(cmd, client, args[0], yes, dryRun),
				webhooks.Endpoint{EventType: args[0]})
		},
	}
	addYes(cmd, &yes)
	addDryRun(cmd, &dryRun)
	return cmd
}

func deleteEventType(
	cmd *cobra.Command, client *webhooks.Client, name string, yes, dryRun bool,
) error {
	if dryRun {
		if _, err := client.GetEventType(cmd.Context(), name); err != nil {
			return err
		}
		return confirm(cmd, "Would be archived: %s", name)
	}
	if !yes && !agrees(cmd, "Archive the event type %s?", name) {
		return errNotAgreed
	}
	if err := client.DeleteEventType(cmd.Context(), name); err != nil {
		return err
	}
	return confirm(cmd, "Archived %s", name)
}

func newEventTypeListCommand(s *settings) *cobra.Command {
	output := formatText
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the registered event types",
		Long: `Show the registered event types, by name.

With -o json they are an array of objects as "event-type get" prints them.`,
		Example: `  swh-webhooks event-type list

  # only the names
  swh-webhooks event-type list -o json | grep '"name"'`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			types, err := webhooks.Collect(client.ListEventTypes(cmd.Context()))
			if err != nil {
				return err
			}
			if output != formatText {
				return printEventTypesJSON(cmd.OutOrStdout(), output, types)
			}
			return printEventTypes(cmd.OutOrStdout(), types)
		},
	}
	addFormat(cmd, &output)
	return cmd
}

func printEventTypesJSON(w io.Writer, output format, types []webhooks.EventType) error {
	list := output.newList(w)
	for _, et := range types {
		if err := list.add(eventTypeJSON(et)); err != nil {
			return err
		}
	}
	return list.close()
}

func printEventTypes(w io.Writer, types []webhooks.EventType) error {
	if len(types) == 0 {
		return printLine(w, "No event type registered")
	}
	if err := printLine(w, "Registered event types:\n"); err != nil {
		return err
	}
	for _, et := range types {
		if err := printLine(w, bold(w, foreign.Printable(et.Name)+":")+
			"\n"+indented(printableLines(et.Description))); err != nil {
			return err
		}
	}
	return nil
}
