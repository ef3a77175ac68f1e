package main

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

// Headers of a delivery, in the order in which they are printed.
const (
	idHeader        = "Webhook-Id"
	timestampHeader = "Webhook-Timestamp"
	signatureHeader = "Webhook-Signature"
)

// signedHeaders are the headers of a delivery.
func signedHeaders(secret, id string, at time.Time, body []byte) (http.Header, error) {
	signature, err := webhooks.SignPayload(secret, id, at, body)
	if err != nil {
		return nil, err
	}
	return http.Header{
		idHeader:        {id},
		timestampHeader: {strconv.FormatInt(at.Unix(), 10)},
		signatureHeader: {signature},
	}, nil
}

func newSignCommand() *cobra.Command {
	var secret, id string
	var at time.Time
	output := formatText
	cmd := &cobra.Command{
		Use:   "sign PAYLOAD_FILE",
		Short: "Print the headers that a delivery of a payload would have",
		Long: `Print the headers that a delivery of a payload would have, signed with the
secret of an endpoint, to try a receiver with. The payload is taken to the
byte.

With -o json it is an object of texts.

` + timeHelp,
		Example: `  swh-webhooks sign payload.json --secret - < secret.txt > headers.txt

  # curl -H @headers.txt --data-binary @payload.json http://localhost:3000/hook
  swh-webhooks verify payload.json --headers headers.txt --secret - < secret.txt`,
		Args: arguments("PAYLOAD_FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireOptions(cmd, "secret"); err != nil {
				return err
			}
			secret, body, err := secretAndBody(cmd, secret, args[0])
			if err != nil {
				return err
			}
			if id == "" {
				id = "msg_" + strings.ReplaceAll(uuid.NewString(), "-", "")
			}
			if at.IsZero() {
				at = time.Now()
			}
			headers, err := signedHeaders(secret, id, at, body)
			if err != nil {
				return err
			}
			if output != formatText {
				texts := map[string]string{}
				for name := range headers {
					texts[name] = headers.Get(name)
				}
				return output.print(cmd.OutOrStdout(), texts)
			}
			for _, name := range []string{idHeader, timestampHeader, signatureHeader} {
				if err := printLine(cmd.OutOrStdout(), name+": "+headers.Get(name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	addGivenSecret(cmd, &secret)
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the message (default: a new one)")
	cmd.Flags().Var(pointInTime{&at}, "at", "signed at this `TIME` (default: now)")
	addFormat(cmd, &output)
	return cmd
}

// addGivenSecret adds the option for a secret that has to be there.
func addGivenSecret(cmd *cobra.Command, secret *string) {
	cmd.Flags().StringVarP(secret, "secret", "s", "", "`SECRET` of the endpoint; \"-\" reads it from "+
		"standard input, where other users do not see it")
}

func secretAndBody(cmd *cobra.Command, option, path string) (secret string, body []byte, err error) {
	if option == "-" && path == "-" {
		return "", nil, usageError(cmd, errors.New("standard input is either the secret or the payload"))
	}
	if secret, err = givenSecret(cmd, option); err != nil {
		return "", nil, err
	}
	body, err = readInput(cmd, "PAYLOAD_FILE", path)
	return secret, body, err
}

func newVerifyCommand() *cobra.Command {
	var secret, headersFile string
	cmd := &cobra.Command{
		Use:   "verify PAYLOAD_FILE",
		Short: "Find out whether a delivery was signed with a secret",
		Long: `Find out whether a delivery was signed with a secret: its body is in
PAYLOAD_FILE, to the byte, its headers are lines of another file, as "sign"
prints them. What was signed more than five minutes ago, or later than now, is
refused as receivers do.`,
		Example: `  swh-webhooks sign payload.json --secret - < secret.txt > headers.txt
  swh-webhooks verify payload.json --headers headers.txt --secret - < secret.txt`,
		Args: arguments("PAYLOAD_FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := requireOptions(cmd, "secret", "headers"); err != nil {
				return err
			}
			secret, body, err := secretAndBody(cmd, secret, args[0])
			if err != nil {
				return err
			}
			text, err := readInput(cmd, "--headers", headersFile)
			if err != nil {
				return err
			}
			if _, err := webhooks.VerifyPayload(secret, headerLines(text), body); err != nil {
				return inputError{err}
			}
			return confirm(cmd, "The signature is right")
		},
	}
	addGivenSecret(cmd, &secret)
	cmd.Flags().StringVar(&headersFile, "headers", "", "`FILE` with the headers of the delivery")
	return cmd
}

// headerLines reads lines such as "Webhook-Id: msg_1". It passes over others.
func headerLines(text []byte) http.Header {
	headers := http.Header{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			headers.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return headers
}
