package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/dashboard"
)

func newDashboardCommand(s *settings) *cobra.Command {
	var o dashboardOptions
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Show what is delivered, what fails, and why, as web pages",
		Long: `Show what is delivered, what fails, and why, as web pages.

It prints its address, with a key that lets a browser in; whoever has not come
by that address is refused. The pages show event types and endpoints with their
statistics, deliveries as they happen, and messages with their attempts. They
can resend a message, recover what failed, and enable or disable an endpoint.
It ends on Ctrl-C or SIGTERM.

Addresses that other machines can reach are refused without --allow-remote. Give
--tls-cert and --tls-key with it, or the key travels in the clear. Browsers may
then ask for it by IP address, or by a name given as --host:

  swh-webhooks dashboard --listen :8090 --allow-remote \
    --host hooks.example.org --tls-cert cert.pem --tls-key key.pem`,
		Example: `  swh-webhooks dashboard --listen 127.0.0.1:0 &`,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (o.certFile == "") != (o.keyFile == "") {
				return usageError(cmd, errors.New("--tls-cert and --tls-key go together"))
			}
			r, err := s.resolve(cmd)
			if err != nil {
				return err
			}
			client, err := s.clientFor(cmd, r)
			if err != nil {
				return err
			}
			o.config.Client, o.config.Server = client, r.Svix.ServerURL
			o.config.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8090", "listen on this `ADDRESS`")
	flags.BoolVar(&o.config.Remote, "allow-remote", false, "allow an address that other machines reach")
	flags.StringSliceVar(&o.config.Hosts, "host", nil, "let browsers ask for it by this `NAME`, too")
	flags.StringVar(&o.certFile, "tls-cert", "", "serve by https with the certificate in this `FILE`")
	flags.StringVar(&o.keyFile, "tls-key", "", "and the key in this `FILE`")
	return cmd
}

type dashboardOptions struct {
	listen            string
	certFile, keyFile string
	config            dashboard.Config
}

// run serves until ctx is done, which is no error.
func (o *dashboardOptions) run(ctx context.Context, out, warnings io.Writer) error {
	address, wait, err := o.start(ctx)
	if err != nil {
		return err
	}
	if o.config.Remote && !o.config.TLS {
		fmt.Fprintln(warnings, "WARNING: without --tls-cert and --tls-key the key travels in the "+
			"clear. Whoever is on the way can read it, see all and change all.")
	}
	if _, err := fmt.Fprintln(out, address); err != nil {
		return err
	}
	return wait()
}

// start begins to serve, and returns the address with the key. What it returns besides waits until
// ctx is done, which is no error.
func (o *dashboardOptions) start(ctx context.Context) (address string, wait func() error, err error) {
	o.config.TLS = o.certFile != ""
	var secure tls.Config
	if o.config.TLS {
		pair, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return "", nil, inputError{fmt.Errorf("--tls-cert and --tls-key: %w", err)}
		}
		secure = tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	listener, err := listenOn(ctx, o.listen, o.config.Remote)
	if err != nil {
		return "", nil, err
	}
	d := dashboard.New(o.config)
	server := &http.Server{
		Handler:           d,
		TLSConfig:         &secure,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // it ends the live lists
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	served := make(chan error, 1)
	go func() {
		if o.config.TLS {
			served <- server.ServeTLS(listener, "", "")
		} else {
			served <- server.Serve(listener)
		}
	}()
	address = clientURL(listener.Addr())
	if o.config.TLS {
		address = "https" + strings.TrimPrefix(address, "http")
	}
	return address + "/?key=" + d.Key(), func() error {
		defer server.Close()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return shutDown(ctx, server)
		}
	}, nil
}

// startDashboard serves the dashboard of a server on some port of this machine.
func startDashboard(ctx context.Context, url, token string) (address string, end func(), err error) {
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(url), webhooks.WithAuthToken(token))
	if err != nil {
		return "", nil, err
	}
	o := dashboardOptions{listen: "127.0.0.1:0", config: dashboard.Config{Client: client, Server: url}}
	ctx, cancel := context.WithCancel(ctx)
	address, wait, err := o.start(ctx)
	if err != nil {
		cancel()
		return "", nil, err
	}
	return address, func() {
		cancel()
		_ = wait() // it only served on the side
	}, nil
}

// listenOn listens on an address of this machine alone, unless others are allowed.
func listenOn(ctx context.Context, address string, allowRemote bool) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, inputError{fmt.Errorf("--listen: %w", err)}
	}
	if !addr.IP.IsLoopback() && !allowRemote {
		return nil, inputError{fmt.Errorf("--listen: other machines can reach %s: give a loopback "+
			"address such as 127.0.0.1:%d, or --allow-remote", addr, addr.Port)}
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr.String())
}
