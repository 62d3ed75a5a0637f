package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

type otaPush struct {
	homeFlag
	speedFlag
	Now    bool   `help:"The camera restarts at once, whoever watches; else when nobody does."`
	Camera string `arg:"" help:"The name of a camera that is paired, or its serial line: /dev/ttyUSB0, tcp:HOST:PORT."`
	Bundle string `arg:"" type:"existingfile" help:"What camctl ota bundle made."`
}

// Run sends a bundle through the camera's LAN door or its serial line, as the owner. It is through when the camera has verified all of it and
// will boot it next.
func (c *otaPush) Run(ctx context.Context, s streams) error {
	_, h, err := c.open()
	if err != nil {
		return err
	}
	f, err := os.Open(c.Bundle)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var version string
	if isPort(c.Camera) {
		line := serialPush{speedFlag: c.speedFlag, port: c.Camera, file: f, size: info.Size(), now: c.Now, out: s.err}
		version, err = line.push(ctx, h)
	} else {
		version, err = c.byDoor(ctx, h, &counted{from: f, all: info.Size(), out: s.err})
	}
	if err != nil {
		return fmt.Errorf("push %s: %w", c.Bundle, err)
	}
	_, err = fmt.Fprintf(s.out, "%s is in the other slot and verified; the camera restarts into it as soon as it may\n",
		version)
	return err
}

// byDoor sends it through the LAN door.
func (c *otaPush) byDoor(ctx context.Context, h home, bundle *counted) (version string, err error) {
	_, p, err := h.camera(c.Camera)
	if err != nil {
		return "", err
	}
	if len(h.Key) != ed25519.SeedSize {
		return "", errors.New("there is no owner's key here: camctl owner restore")
	}
	d, err := p.door(ed25519.NewKeyFromSeed(h.Key))
	if err != nil {
		return "", err
	}
	return d.push(ctx, bundle, bundle.all, c.Now)
}

// push sends a bundle and returns the version in it.
func (d *door) push(ctx context.Context, bundle io.Reader, size int64, now bool) (version string, err error) {
	url := d.base + "/v1/bundle"
	if now {
		url += "?now"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bundle)
	if err != nil {
		return "", err
	}
	request.ContentLength = size
	client := http.Client{Transport: d.client.Transport} // it takes as long as it takes: the camera says when it has enough
	response, err := client.Do(request)
	if err != nil {
		return "", d.explain(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", d.explain(err)
	}
	return pushed(raw)
}

// pushed is the version in the answer to a bundle.
func pushed(raw []byte) (version string, err error) {
	var answer struct {
		refusal
		Result struct {
			Version string `json:"version"`
		} `json:"result"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Code != "ok" {
		return "", &answer.refusal
	}
	return answer.Result.Version, nil
}

// counted tells how much of a bundle was sent, in tenths.
type counted struct {
	from      io.Reader
	sent, all int64
	told      int64
	out       io.Writer
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.sent += int64(n)
	if tenth := 10 * c.sent / max(c.all, 1); tenth > c.told {
		c.told = tenth
		fmt.Fprintf(c.out, "sent %d %%, %.1f of %.1f MB\n", 10*tenth, float64(c.sent)/1e6, float64(c.all)/1e6)
	}
	return n, err
}
