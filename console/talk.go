package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ocellus/ocellus/access"
	"github.com/ocellus/ocellus/console/edit"
	"github.com/ocellus/ocellus/internal/monotime"
)

// sure is a verb that is done once a person has said yes.
func sure(name, what string) func(*session, context.Context, []string) error {
	return func(s *session, ctx context.Context, _ []string) error {
		yes, err := s.confirm(ctx, what)
		if err != nil || !yes {
			return err
		}
		return s.showRow(ctx, name, nil)
	}
}

func (s *session) confirm(ctx context.Context, what string) (bool, error) {
	answer, err := s.read(ctx, what+" Go on? [y/N] ", false)
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", err
}

// seenNetwork is what network.scan tells of a network.
type seenNetwork struct {
	SSID     []byte `json:"ssid"`
	Security string `json:"security"`
	SignalDB int    `json:"signal_dbm"`
}

// networkState is what network.status tells.
type networkState struct {
	State    string `json:"state"`
	SSID     []byte `json:"ssid"`
	Text     string `json:"text"`
	Address  string `json:"address"`
	SignalDB int    `json:"signal_dbm"`
}

func (n networkState) String() string {
	var b strings.Builder
	b.WriteString(n.State)
	if len(n.SSID) > 0 {
		fmt.Fprintf(&b, ", network %q", n.SSID)
	}
	if n.Address != "" {
		fmt.Fprintf(&b, ", address %s", n.Address)
	}
	if n.SignalDB != 0 {
		fmt.Fprintf(&b, ", %d dBm", n.SignalDB)
	}
	if n.Text != "" {
		b.WriteString(": " + n.Text)
	}
	return b.String() + "\n"
}

// network shows and changes the Wi-Fi network. The gate decides who may: anybody at the board while nobody owns it.
func network(s *session, ctx context.Context, words []string) error {
	if len(words) == 0 {
		words = []string{"show"}
	}
	switch {
	case words[0] == "show" && len(words) == 1:
		n, err := s.network(ctx)
		if err != nil {
			return err
		}
		return s.show(ctx, n.String())
	case words[0] == "scan" && len(words) == 1:
		return s.scan(ctx)
	case words[0] == "join" && len(words) == 2:
		return s.join(ctx, words[1])
	case words[0] == "forget" && len(words) == 1:
		return sure("network.forget", "The camera leaves its network.")(s, ctx, nil)
	}
	return usage("network")
}

func (s *session) network(ctx context.Context) (n networkState, err error) {
	raw, err := s.askNow(ctx, "network.status", nil)
	if err == nil {
		err = json.Unmarshal(raw, &n)
	}
	return n, err
}

func (s *session) scan(ctx context.Context) error {
	if err := s.say("Looking around ...\r\n"); err != nil {
		return err
	}
	raw, err := s.askNow(ctx, "network.scan", nil)
	var seen []seenNetwork
	if err == nil {
		err = json.Unmarshal(raw, &seen)
	}
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, n := range seen {
		fmt.Fprintf(&b, "%4d dBm  %-9s %s\n", n.SignalDB, n.Security, strconv.Quote(string(n.SSID)))
	}
	if len(seen) == 0 {
		b.WriteString("no network is seen\n")
	}
	return s.show(ctx, b.String())
}

// trialLimit is how long a person waits for the end of a trial; the camera's own is shorter.
const trialLimit = 90 * time.Second

// join asks for the password, begins the trial, and tells how it ends.
func (s *session) join(ctx context.Context, ssid string) error {
	password, err := s.read(ctx, "Password (empty for an open network): ", true)
	if err != nil {
		return err
	}
	_, err = s.askNow(ctx, "network.join", struct {
		SSID     []byte `json:"ssid"`
		Password string `json:"password,omitempty"`
	}{[]byte(ssid), password})
	if err != nil {
		return err
	}
	if err := s.say("Trying it; the network of before is kept until it works.\r\n"); err != nil {
		return err
	}
	text, err := s.work(ctx, s.trial)
	if err != nil {
		return err
	}
	return s.show(ctx, text)
}

// trial waits for the end of a network's trial.
func (s *session) trial(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, trialLimit)
	defer cancel()
	for {
		if monotime.Pause(ctx, time.Second) != nil {
			return "the trial goes on; network show tells how it ends\n", nil
		}
		raw, err := s.ask(ctx, "network.status", nil)
		var n networkState
		if err == nil {
			err = json.Unmarshal(raw, &n)
		}
		if err != nil {
			return "", err
		}
		if n.State != "joining" && n.State != "checking" {
			return n.String(), nil
		}
	}
}

func config(s *session, ctx context.Context, words []string) error {
	switch {
	case len(words) >= 1 && len(words) <= 2 && words[0] == "get":
		args := map[string]string{}
		if len(words) == 2 {
			args["prefix"] = words[1]
		}
		return s.showRow(ctx, "config.get", args)
	case len(words) >= 2 && len(words) <= 3 && words[0] == "set":
		if len(words) == 2 { // what nobody should read over a shoulder, or find in the history
			value, err := s.read(ctx, "Value: ", true)
			if err != nil {
				return err
			}
			words = append(words, value)
		}
		return s.showRow(ctx, "config.set", map[string]any{"set": map[string]string{words[1]: words[2]}})
	}
	return usage("config")
}

// speedLimit is the time in which a person has to be heard at another speed.
const speedLimit = 15 * time.Second

// speed changes the speed, and goes back where nobody is heard.
func speed(s *session, ctx context.Context, words []string) error {
	if len(words) != 1 {
		return usage("speed")
	}
	baud, err := strconv.Atoi(words[0])
	if err != nil || (Config{Baud: baud}).Validate() != nil {
		return fmt.Errorf("want %d to %d baud", minBaud, maxBaud)
	}
	err = s.say(fmt.Sprintf("%d baud from now on. Press Enter within %v at that speed: ", baud, speedLimit))
	if err != nil {
		return err
	}
	if err := s.line.SetSpeed(baud); err != nil {
		return err
	}
	if s.heard(ctx, speedLimit) {
		s.baud = baud
		return s.say(fmt.Sprintf("\r\n%d baud.\r\n", baud))
	}
	if err := s.line.SetSpeed(s.baud); err != nil {
		return &lineError{err}
	}
	return s.say(fmt.Sprintf("\r\nNobody was there at %d baud: %d again.\r\n", baud, s.baud))
}

// heard waits for Enter.
func (s *session) heard(ctx context.Context, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	s.input = nil
	for {
		select {
		case p := <-s.keys:
			if strings.ContainsAny(string(p), "\r\n") {
				return true
			}
		case <-t.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// logs shows the log, or lets it run.
func logs(s *session, ctx context.Context, words []string) error {
	f, follow, err := logWords(words)
	if err != nil {
		return err
	}
	if follow {
		return s.follow(ctx, f)
	}
	args := map[string]any{}
	if f.Level != slog.LevelDebug {
		args["level"] = strings.ToLower(f.Level.String())
	}
	if f.Part != "" {
		args["part"] = f.Part
	}
	raw, err := s.askNow(ctx, "logs", args)
	var lines []struct {
		Time  time.Time `json:"time"`
		Level string    `json:"level"`
		Part  string    `json:"part"`
		Text  string    `json:"text"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &lines)
	}
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s %s %s: %s\n", l.Time.Format(time.TimeOnly), l.Level, l.Part, l.Text)
	}
	return s.show(ctx, b.String())
}

func logWords(words []string) (f LogFilter, follow bool, err error) {
	f.Level = slog.LevelDebug
	for _, w := range words {
		switch {
		case w == "-f":
			follow = true
		case f.Level.UnmarshalText([]byte(w)) == nil:
		case f.Part == "" && !strings.HasPrefix(w, "-"):
			f.Part = w
		default:
			return f, follow, usage("logs")
		}
	}
	return f, follow, nil
}

// follow shows lines as they come. What comes faster than the line takes it is left out and counted.
func (s *session) follow(ctx context.Context, f LogFilter) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	lines := make(chan string, 64) // full: the line is left out and counted
	var lost atomic.Int64
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed = s.c.Camera.Follow(ctx, f, func(line string) {
			select {
			case lines <- line:
			default:
				lost.Add(1)
			}
		})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	for s.who().May(access.Configure) {
		select {
		case line := <-lines:
			text := edit.Plain(line) + "\r\n"
			if n := lost.Swap(0); n > 0 {
				text += fmt.Sprintf("(%d lines left out: the line is too slow)\r\n", n)
			}
			if err := s.say(text); err != nil {
				return err
			}
		case p := <-s.keys:
			if err := s.spend(len(p)); err != nil {
				return err
			}
			if strings.ContainsAny(string(p), "\x03\x04qQ") {
				return s.say("\r\n")
			}
		case <-ended:
			return failed
		}
	}
	return errors.New("the log is for whoever may configure the camera")
}

func leave(*session, context.Context, []string) error { return errLeft }
