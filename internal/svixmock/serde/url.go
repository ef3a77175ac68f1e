package serde

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	whatwgerrors "github.com/nlnwa/whatwg-url/errors"
	"github.com/nlnwa/whatwg-url/url"
)

// ParseURL reads a URL as browsers do and gives its normal form. The scheme need not be http.
func ParseURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New(urlReason(whatwgerrors.Type(err)))
	}
	return u.String(), nil
}

// urlReason is what the server says of a URL that cannot be read.
func urlReason(t whatwgerrors.ErrorType) string {
	switch t { //nolint:exhaustive // the others are told by their texts
	case whatwgerrors.MissingSchemeNonRelativeURL:
		return "relative URL without a base"
	case whatwgerrors.HostMissing:
		return "empty host"
	case whatwgerrors.PortInvalid, whatwgerrors.PortOutOfRange:
		return "invalid port number"
	case whatwgerrors.DomainToASCII,
		whatwgerrors.DomainToUnicode,
		whatwgerrors.DomainInvalidCodePoint,
		whatwgerrors.HostInvalidCodePoint:
		return "invalid international domain name"
	}
	if strings.Contains(string(t), "IPv6") {
		return "invalid IPv6 address"
	}
	return "invalid IPv4 address"
}

// URL reads a URL and gives its normal form.
func URL(d *decoder) (string, error) {
	text, err := d.text("a string representing an URL")
	if err != nil {
		return "", err
	}
	u, err := ParseURL(text)
	if err != nil {
		return "", d.fail("%s", fmt.Sprintf("%s: %s", err, strconv.Quote(text)))
	}
	return u, nil
}
