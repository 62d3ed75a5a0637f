package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocellus/ocellus/control/hass"
	"github.com/ocellus/ocellus/ota"
)

// bridge ties the bridge for Home Assistant to the camera.
func (c *controls) bridge(state string, log *slog.Logger) *hass.Bridge {
	return hass.New(hass.Camera{
		Model: c.a.board.Title, Release: release, Lamp: c.lamp != nil, Act: c.act, Log: log,
		Facts: func() hass.Facts { return c.facts(state) },
	})
}

// facts are the figures of this moment.
func (c *controls) facts(state string) hass.Facts {
	doc := c.a.status(time.Now())
	config, _ := c.settings.config()
	f := hass.Facts{Bitrate: config.Streams.Main.Bitrate.String(), Problem: !doc.Healthy, Uptime: int64(doc.UptimeSeconds),
		Temperature: temperature("/"), Storage: free(state), Update: c.update()}
	for _, s := range doc.Streams {
		f.Viewers += s.Readers
	}
	for _, s := range doc.RTSP.Streams {
		f.Egress += s.Octets
	}
	if c.a.network != nil {
		if s := c.a.network.Status(); s.Link.Signal < 0 {
			f.Signal = &s.Link.Signal
		}
	}
	return f
}

// temperature is the processor's, in degrees Celsius (kernel, Documentation/ABI/testing/sysfs-class-thermal); nil where
// the board has no sensor.
func temperature(root string) *float64 {
	raw, err := os.ReadFile(filepath.Join(root, "sys/class/thermal/thermal_zone0/temp"))
	if err != nil {
		return nil
	}
	milli, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil
	}
	degrees := float64(milli) / 1000
	return &degrees
}

// free is what is left where the state is, in bytes (statfs(2)).
func free(state string) *uint64 {
	var s unix.Statfs_t
	if err := unix.Statfs(state, &s); err != nil {
		return nil
	}
	left := s.Bavail * uint64(s.Bsize) //nolint:gosec,unconvert // its type is not the same on every machine
	return &left
}

// update is what Home Assistant may know of updates; nil where the board takes none.
func (c *controls) update() *hass.Update {
	if c.a.updates.ready() != nil {
		return nil
	}
	s := c.a.updates.engine.Status()
	u := &hass.Update{Installed: s.Running, Latest: s.Running, Title: "Ocellus"}
	if s.Offer != "" {
		u.Latest = s.Offer
	}
	if s.State == ota.Writing {
		u.InProgress, u.Percentage = true, &s.Percent
	}
	return u
}

// install takes the offer. It goes on for minutes: the update entity shows how far it is.
func (c *controls) install(ctx context.Context) {
	if _, err := c.a.otaInstall(ctx, otaArgs{}); err != nil {
		c.log.Warn("update asked for by a plain message", "err", err)
	}
}

// act does what a plain message asks. The bridge has judged that it is on the list and not too often.
func (c *controls) act(ctx context.Context, action hass.Action, value string) (picture []byte, err error) {
	switch action {
	case hass.Bitrate:
		_, err = c.a.configSet(ctx, setArgs{Set: map[string]*string{"streams.main.bitrate": &value}})
	case hass.Identify:
		_, err = c.a.identify(ctx, none{})
	case hass.Snapshot:
		if _, err = c.a.showing("main"); err == nil {
			picture, _, err = c.a.source.Snapshot(ctx, 0)
		}
	case hass.Restart:
		_, err = c.a.reboot(ctx, none{})
	case hass.Install:
		if u := c.update(); u == nil || u.Latest == u.Installed {
			return nil, fmt.Errorf("install: no offer: %w", errNotFound)
		}
		if !c.later(c.install) {
			err = errors.New("install: too much is under way")
		}
	}
	return picture, err
}
