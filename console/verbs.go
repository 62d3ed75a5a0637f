package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ocellus/ocellus/console/edit"
	"github.com/ocellus/ocellus/internal/monotime"
)

// verb is a word that a person can type. The names are a contract with whoever wrote them down.
type verb struct {
	name string
	args string
	help string
	// open: whoever stands at the board may; of the others the gate decides, row by row.
	open bool
	// run returns what is shown. It is called in a goroutine of its own; talk, where set, in the session's, for verbs that
	// ask and tell by themselves.
	run  func(s *session, ctx context.Context, words []string) (string, error)
	talk func(s *session, ctx context.Context, words []string) error
	// next completes the word behind these.
	next func(s *session, words []string) []string
}

// verbs is the one list.
func verbs() []verb {
	return []verb{
		{name: "help", help: "what can be done here", open: true, run: help},
		{name: "status", help: "how the camera is", open: true, run: status},
		{name: "version", help: "what runs here", open: true, run: version},
		{name: "selftest", help: "lamp, button, camera, radio, storage: pass or fail", open: true, run: selftest},
		{name: "network", args: "show|scan|join SSID|forget", help: "the Wi-Fi network; join asks for the password",
			open: true, talk: network, next: one("forget", "join", "scan", "show")},
		{name: "unlock", args: "[ANSWER]", help: "prove who you are: camctl console does it for you", open: true,
			talk: unlock},
		{name: "speed", args: "BAUD", help: "another speed, until the session ends", open: true, talk: speed,
			next: one("9600", "115200", "460800", "921600", "1500000")},
		{name: "logs", args: "[-f] [LEVEL] [PART]", help: "the log; -f goes on until Ctrl-C", talk: logs,
			next: one("-f", "debug", "error", "info", "warn")},
		{name: "streams", help: "statistics of the streams", run: streams},
		{name: "probe", help: "what the board has", run: row("probe")},
		{name: "config", args: "get [PREFIX] | set KEY [VALUE]", help: "the configuration; set asks for a missing value",
			talk: config, next: one("get", "set")},
		{name: "update", args: "status|check|install|cancel", help: "updates; camctl ota push sends one over this line",
			run: update, next: one("cancel", "check", "install", "status")},
		{name: "rollback", help: "back to the system of before the last update", talk: sure("ota.rollback",
			"The camera restarts with the system of before.")},
		{name: "reboot", help: "start the camera anew", talk: sure("reboot", "The camera restarts.")},
		{name: "reset", args: "[ORDER]", help: "forget the owner and all that is kept for him; camctl console signs it. Without a " +
			"key: where there is no button, within 10 s of power-on", open: true, talk: reset},
		{name: "support", help: "a bundle for support: camctl support PORT fetches it", run: support},
		{name: "call", args: "ROW [NAME=VALUE ...]", help: "any row of the command table", run: call, next: rows},
		{name: "exit", help: "lock the console", open: true, talk: leave},
	}
}

func one(words ...string) func(*session, []string) []string {
	return func(_ *session, before []string) []string {
		if len(before) > 1 {
			return nil
		}
		return words
	}
}

// do does what a line asks for. The error ends the session.
func (s *session) do(ctx context.Context, line string) error {
	words, err := split(line)
	if err == nil && len(words) > 0 {
		i := slices.IndexFunc(verbs(), func(v verb) bool { return v.name == words[0] })
		if i >= 0 {
			s.credit, s.counted = fullCredit, time.Now()
			if err := s.yield(ctx); err != nil {
				return err
			}
			err = s.perform(ctx, verbs()[i], words[1:])
		} else {
			err = fmt.Errorf("%.40q is no verb; help tells which there are", words[0])
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errInterrupt):
		return s.say("Interrupted.\r\n")
	case ends(err) || ctx.Err() != nil:
		return err
	}
	return s.say(edit.Plain(err.Error()) + "\r\n")
}

// ends reports whether an error is about the session, and not about what was asked.
func ends(err error) bool {
	var gone *lineError
	return errors.Is(err, errIdle) || errors.Is(err, errNoise) || errors.Is(err, errLeft) || errors.As(err, &gone)
}

// lineError is of a line that is gone.
type lineError struct{ err error }

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

func (s *session) perform(ctx context.Context, v verb, words []string) error {
	if !v.open && !s.unlocked() {
		return fmt.Errorf("%s is for whoever has unlocked the console: camctl console PORT", v.name)
	}
	if v.talk != nil {
		return v.talk(s, ctx, words)
	}
	text, err := s.work(ctx, func(ctx context.Context) (string, error) { return v.run(s, ctx, words) })
	if err != nil {
		return err
	}
	return s.show(ctx, text)
}

// yield keeps a flood of verbs from taking the processor away from the stream. errNoise: so many in a row had to wait
// that it is no person's work, and nobody has proved that he may; what is still to come would keep the line for minutes.
func (s *session) yield(ctx context.Context) error {
	now := time.Now()
	earned := int(now.Sub(s.paced) / verbInterval)
	s.pace = min(s.pace+earned, verbsAtOnce)
	s.paced = s.paced.Add(time.Duration(earned) * verbInterval)
	if s.pace == verbsAtOnce {
		s.held = 0
	}
	if s.pace > 0 {
		s.pace--
		return nil
	}
	if s.held++; s.held > mostHeld && !s.unlocked() {
		return errNoise
	}
	s.paced = s.paced.Add(verbInterval)
	return monotime.Pause(ctx, s.paced.Sub(now))
}

// complete completes what stands before the cursor.
func (s *session) complete(before string) []string {
	words := strings.Fields(before)
	if len(words) == 0 || !strings.HasSuffix(before, " ") && len(words) == 1 {
		var names []string
		for _, v := range verbs() {
			if v.open || s.unlocked() {
				names = append(names, v.name)
			}
		}
		return names
	}
	if !strings.HasSuffix(before, " ") {
		words = words[:len(words)-1]
	}
	for _, v := range verbs() {
		if v.name == words[0] && v.next != nil && (v.open || s.unlocked()) {
			return v.next(s, words)
		}
	}
	return nil
}

// split cuts a line into words, at blanks. "..." holds blanks together; \ takes the next character as it is.
func split(line string) (words []string, err error) {
	var word strings.Builder
	in, quoted, escaped := false, false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			in, escaped = true, true
		case r == '"':
			in, quoted = true, !quoted
		case r == ' ' && !quoted:
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quoted || escaped {
		return nil, errors.New("a quotation mark or a backslash has no end")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
