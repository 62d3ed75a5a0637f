package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// explain turns an error of the connection into words that say what to do, and into an exit code.
func explain(err error, u *base.URL) error {
	if f := status(err, u); f != nil {
		return f
	}
	var op *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, errNoH264):
		return &fault{exitNoStream, err}
	case errors.Is(err, errPin):
		return &fault{exitUnreachable, err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return unreachable("%s refused the connection: nobody listens there (is the agent running, is the port right?)", u.Host)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return unreachable("there is no way to %s: other network?", u.Host)
	case errors.As(err, &dns):
		return unreachable("no address is known for the name %q", u.Hostname())
	case errors.As(err, &x509.UnknownAuthorityError{}), errors.As(err, &x509.HostnameError{}):
		return unreachable("%s has a certificate that this machine doesn't trust (--pin SHA256 to pin it, --insecure to go "+
			"on without a check)", u.Host)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(),
		errors.As(err, &liberrors.ErrClientRequestTimedOut{}):
		return unreachable("%s does not answer (wrong address, or a firewall drops the packets)", u.Host)
	case errors.As(err, &op):
		return unreachable("%s: %s", u.Host, redact(err, u))
	}
	return errors.New(redact(err, u))
}

func unreachable(format string, args ...any) error {
	return &fault{exitUnreachable, fmt.Errorf(format, args...)}
}

// status explains an RTSP status code; nil if err is something else.
func status(err error, u *base.URL) error {
	var bad liberrors.ErrClientBadStatusCode
	if !errors.As(err, &bad) {
		return nil
	}
	switch bad.Code {
	case base.StatusUnauthorized:
		if u.User == nil {
			return &fault{exitCredential, errors.New("the stream needs a name and a password: rtsp://NAME:PASSWORD@" +
				u.Host + u.Path)}
		}
		return &fault{exitCredential, fmt.Errorf("401: wrong name or password for viewer %q", u.User.Username())}
	case base.StatusForbidden:
		return &fault{exitCredential, errors.New("403: this viewer may not watch the stream")}
	case base.StatusNotFound:
		return &fault{exitNoStream, fmt.Errorf("404: %s has no stream %q (an Ocellus camera has /main and /sub)",
			u.Host, u.Path)}
	case base.StatusUnsupportedTransport:
		return &fault{exitOther, errors.New("461: the camera doesn't offer this transport (try --transport tcp)")}
	}
	return &fault{exitOther, fmt.Errorf("the camera answered %d %s", bad.Code, bad.Message)}
}

// redact takes the password out of an error's words.
func redact(err error, u *base.URL) string {
	text := err.Error()
	if u.User == nil {
		return text
	}
	password, _ := u.User.Password()
	for _, p := range []string{password, url.QueryEscape(password), url.PathEscape(password)} {
		if p != "" {
			text = strings.ReplaceAll(text, p, "***")
		}
	}
	return text
}

// noPackets explains why a stream that plays may bring nothing.
func noPackets(transport string) error {
	hint := "the camera sends nothing (does its sensor stand still? see its status page)"
	switch transport {
	case "udp":
		hint = "is UDP blocked by a firewall or NAT? try --transport tcp"
	case "multicast":
		hint = "does the network pass multicast on? try --transport tcp"
	}
	return &fault{exitNoPackets, errors.New("the stream plays, but no packet came: " + hint)}
}
