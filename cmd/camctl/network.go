package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"
)

// networkCommand is about the Wi-Fi network of a camera.
type networkCommand struct {
	Status networkStatus `cmd:"" help:"The network that it is in, and why not."`
	Scan   networkScan   `cmd:"" help:"The networks that it sees."`
	Join   networkJoin   `cmd:"" help:"Give it another network. It goes back to the old one if that can't be joined."`
	Forget networkForget `cmd:"" help:"Make it forget its network. It can then be reached by cable alone, or reset."`
}

// networkAnswer is what the camera says of its network.
type networkAnswer struct {
	State   string
	SSID    []byte
	Reason  string
	Text    string
	Likely  bool
	Hint    string
	Address string
	Signal  int `json:"signal_dbm"`
}

type networkStatus struct{ ofLine }

// Run prints how the camera stands.
func (c *networkStatus) Run(ctx context.Context, s streams) error {
	o, err := c.reach(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	var a networkAnswer
	if err := o.command(ctx, "network.status", struct{}{}, &a); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s", o.name, a.State)
	if len(a.SSID) > 0 {
		fmt.Fprintf(s.out, ", network %q", a.SSID)
	}
	if a.Address != "" {
		fmt.Fprintf(s.out, ", address %s, signal %d dBm", a.Address, a.Signal)
	}
	fmt.Fprintln(s.out)
	if a.Text != "" {
		fmt.Fprintf(s.out, "the last time that it could not join: %s\n", a.Text)
	}
	return nil
}

type networkScan struct{ ofLine }

// Run lists what the camera sees.
func (c *networkScan) Run(ctx context.Context, s streams) error {
	o, err := c.reach(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	var list []struct {
		SSID     []byte
		Security string
		Signal   int `json:"signal_dbm"`
		MHz      int `json:"frequency_mhz"`
	}
	if err := o.command(ctx, "network.scan", struct{}{}, &list); err != nil {
		return err
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, n := range list {
		fmt.Fprintf(t, "%q\t%s\t%d dBm\t%d MHz\n", n.SSID, n.Security, n.Signal, n.MHz)
	}
	return t.Flush()
}

type networkJoin struct {
	ofLine
	networkFlags
}

// trialTakes is how long a camera takes until it is in the new network or back in the old one.
const trialTakes = 70 * time.Second

// Run gives the camera another network, and waits until it is there or back.
func (c *networkJoin) Run(ctx context.Context, s streams) error {
	o, err := c.reach(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	n, country, err := c.ask(s)
	if err != nil {
		return err
	}
	args := map[string]any{"ssid": []byte(n.SSID), "password": n.Password.Reveal(), "security": string(n.Security),
		"hidden": n.Hidden, "country": country}
	if err := o.command(ctx, "network.join", args, &struct{}{}); err != nil {
		return err
	}
	fmt.Fprintln(s.err, "the camera tries it, and comes back within a minute if it can't join ...")
	ctx, cancel := context.WithTimeout(ctx, trialTakes)
	defer cancel()
	for t := time.NewTicker(time.Second); ; {
		select {
		case <-t.C:
		case <-ctx.Done():
			return &fault{exitUnreachable, errors.New("the camera does not answer: is this machine in its new network?")}
		}
		var a networkAnswer
		if err := o.command(ctx, "network.status", struct{}{}, &a); err != nil || a.State != "provisioned" {
			continue // on its way
		}
		if string(a.SSID) != n.SSID || a.Reason != "" && a.Address != "" {
			return fmt.Errorf("back in the network %q: %s", a.SSID, a.Text)
		}
		if a.Address != "" {
			_, err := fmt.Fprintf(s.out, "%s is in the network %q, at %s\n", o.name, a.SSID, a.Address)
			return err
		}
	}
}

type networkForget struct {
	ofLine
	Yes bool `required:"" help:"Really: it can then be reached by cable alone."`
}

// Run makes the camera forget its network.
func (c *networkForget) Run(ctx context.Context, s streams) error {
	o, err := c.reach(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	err = o.command(ctx, "network.forget", struct{}{}, &struct{}{})
	if err == nil {
		_, err = fmt.Fprintf(s.out, "%s has forgotten its network\n", o.name)
	}
	return err
}
