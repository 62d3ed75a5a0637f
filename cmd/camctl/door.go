package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/ocellus/ocellus/codec/vouch"
	"github.com/ocellus/ocellus/internal/monotime"
)

// door is a camera's LAN door, as a phone sees it.
type door struct {
	base   string
	client *http.Client
}

// errOther: another key answers than the one that was expected.
var errOther = errors.New("this is another camera than the one that is meant")

const (
	doorPatience = 60 * time.Second // a wrong proof is answered late
	maxAnswer    = 32 << 20         // a picture, in base64
	claimTries   = 5                // of a claim that nobody answered
)

// openDoor talks to the camera at HOST:PORT, shows it a key (nil for none), and goes on only if the key of the camera
// is the right one.
func openDoor(address string, own ed25519.PrivateKey, right func(camera ed25519.PublicKey) bool) (*door, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // names and times mean nothing here: VerifyConnection looks at the key
		VerifyConnection: func(s tls.ConnectionState) error {
			key, err := vouch.Key(s.PeerCertificates)
			if err == nil && !right(key) {
				err = errOther
			}
			return err
		},
	}
	if own != nil {
		chain, err := vouch.Chain(own)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{chain}
	}
	return &door{"https://" + address, &http.Client{
		Timeout: doorPatience, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
	}}, nil
}

// refusal is what a camera says no with.
type refusal struct {
	Status int
	Code   string `json:"code"`
	Text   string `json:"text"`
}

func (r *refusal) Error() string {
	if r.Text == "" {
		return "the camera says: " + r.Code
	}
	return "the camera says: " + r.Text
}

// ask sends a request and returns the body of the answer; the error is a *refusal where the camera says no.
func (d *door) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, d.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := d.client.Do(request)
	if err != nil {
		return nil, d.explain(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, d.explain(err)
	}
	if response.StatusCode != http.StatusOK {
		r := &refusal{Status: response.StatusCode}
		if json.Unmarshal(raw, r) != nil {
			r.Code = response.Status
		}
		return nil, r
	}
	return raw, nil
}

// explain says what to do.
func (d *door) explain(err error) error {
	host := strings.TrimPrefix(d.base, "https://")
	switch {
	case errors.Is(err, errOther):
		return &fault{exitCredential, fmt.Errorf("%s: %w: is the address right, was the camera reset?", host, errOther)}
	case errors.Is(err, vouch.ErrChain):
		return &fault{exitUnreachable, fmt.Errorf("%s is no Ocellus camera", host)}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &fault{exitUnreachable, fmt.Errorf("%s refused the connection: is the agent running, is the port right?",
			host)}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, context.DeadlineExceeded):
		return &fault{exitUnreachable, fmt.Errorf("%s does not answer: is the camera switched on, and in the same network "+
			"as this machine? camctl discover lists those that are", host)}
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		return &fault{exitUnreachable, fmt.Errorf("there is no %s here: give an address, such as 192.0.2.7:8443", name.Name)}
	}
	return &fault{exitUnreachable, fmt.Errorf("%s: %w", host, err)}
}

// insist sends a claim until the camera says yes or no. A camera that took it and whose answer was lost shows another
// key from then on; it answers the same bytes by the same receipt, which the key of the label signed.
func (d *door) insist(ctx context.Context, message []byte) ([]byte, error) {
	raw, err := d.ask(ctx, http.MethodPost, "/v1/claim", message)
	var no *refusal
	for try := 0; err != nil && !errors.As(err, &no) && try < claimTries; try++ {
		if monotime.Pause(ctx, time.Second) != nil {
			break
		}
		again, bad := openDoor(strings.TrimPrefix(d.base, "https://"), nil, func(ed25519.PublicKey) bool { return true })
		if bad != nil {
			return nil, bad
		}
		raw, err = again.ask(ctx, http.MethodPost, "/v1/claim", message)
	}
	return raw, err
}

// command runs a command and decodes its result.
func (d *door) command(ctx context.Context, name string, args, result any) error {
	body, err := json.Marshal(struct {
		Command string `json:"command"`
		Args    any    `json:"args,omitempty"`
	}{name, args})
	if err != nil {
		return err
	}
	raw, err := d.ask(ctx, http.MethodPost, "/v1/command", body)
	if err != nil {
		return err
	}
	return verdictOf(name, raw, result)
}
