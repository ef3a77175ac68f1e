package svixmock

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

// refusedNetworks are those that the server delivers to only if it is told so. Loopback would
// belong to them.
var refusedNetworks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared address space
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"), // documentation
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("224.0.0.0/4"),     // multicast
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("64:ff9b::/96"), // embeds IPv4
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),      // discard only
	netip.MustParsePrefix("2001:2::/48"),   // benchmarking
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // embeds IPv4
	netip.MustParsePrefix("3fff::/20"),     // documentation
	netip.MustParsePrefix("fc00::/7"),      // unique local
	netip.MustParsePrefix("fe80::/10"),     // link-local
	netip.MustParsePrefix("fec0::/10"),     // site-local
	netip.MustParsePrefix("ff00::/8"),      // multicast
}

var errRefused = errors.New("requests to this IP range are blocked (see the server configuration)")

// checkAddress keeps a dialer from connecting to a refused network. It sees the addresses that a
// name stands for.
func checkAddress(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	addr := target.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(refusedNetworks, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return errRefused
	}
	return nil
}
