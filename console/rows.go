package console

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ask runs a row of the command table on behalf of who is there.
func (s *session) ask(ctx context.Context, name string, args any) (json.RawMessage, error) {
	var raw json.RawMessage
	if args != nil {
		var err error
		if raw, err = json.Marshal(args); err != nil {
			return nil, err
		}
	}
	return s.c.Camera.Do(ctx, s.who(), name, raw)
}

// askNow is ask for a verb that talks: Ctrl-C ends it.
func (s *session) askNow(ctx context.Context, name string, args any) (json.RawMessage, error) {
	text, err := s.work(ctx, func(ctx context.Context) (string, error) {
		raw, err := s.ask(ctx, name, args)
		return string(raw), err
	})
	return json.RawMessage(text), err
}

// showRow asks and shows the answer.
func (s *session) showRow(ctx context.Context, name string, args any) error {
	raw, err := s.askNow(ctx, name, args)
	if err != nil {
		return err
	}
	return s.show(ctx, shown(raw))
}

// row is a verb that is a row and nothing else.
func row(name string) func(*session, context.Context, []string) (string, error) {
	return func(s *session, ctx context.Context, _ []string) (string, error) {
		raw, err := s.ask(ctx, name, nil)
		if err != nil {
			return "", err
		}
		return shown(raw), nil
	}
}

func help(s *session, _ context.Context, _ []string) (string, error) {
	var b strings.Builder
	for _, v := range verbs() {
		if v.open || s.unlocked() {
			fmt.Fprintf(&b, "%s\n    %s\n", strings.TrimSpace(v.name+" "+v.args), v.help)
		}
	}
	if !s.unlocked() {
		b.WriteString("More is for whoever the owner granted a key: camctl console PORT\n")
	}
	return b.String(), nil
}

// factLine is the status line that is for everybody.
func (s *session) factLine() string {
	f := s.c.Camera.Facts()
	return fmt.Sprintf("%s, up %v\n", f.State, f.Up.Round(time.Second))
}

func status(s *session, ctx context.Context, _ []string) (string, error) {
	if !s.unlocked() {
		return s.factLine(), nil
	}
	raw, err := s.ask(ctx, "status", nil)
	if err != nil {
		return "", err
	}
	var doc struct {
		Streams []struct {
			Name    string  `json:"name"`
			State   string  `json:"state"`
			FPS     float64 `json:"fps"`
			Bitrate float64 `json:"bitrate_bps"`
			Readers int     `json:"readers"`
		} `json:"streams"`
		Places []string `json:"places"`
		Parts  []struct {
			Name     string `json:"name"`
			Up       bool   `json:"up"`
			Restarts int    `json:"restarts"`
			Error    string `json:"error"`
		} `json:"parts"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(s.factLine())
	for _, st := range doc.Streams {
		fmt.Fprintf(&b, "stream %s: %s, %.1f pictures/s, %.0f kbit/s, %d reader(s)\n", st.Name, st.State, st.FPS,
			st.Bitrate/1000, st.Readers)
	}
	for _, place := range doc.Places {
		fmt.Fprintf(&b, "watch: rtsp://NAME:PASSWORD@%s\n", place)
	}
	for _, p := range doc.Parts {
		if !p.Up || p.Restarts > 0 {
			fmt.Fprintf(&b, "part %s: up %v, %d restart(s) %s\n", p.Name, p.Up, p.Restarts, p.Error)
		}
	}
	b.WriteString("call status tells all of it\n")
	return b.String(), nil
}

func version(s *session, _ context.Context, _ []string) (string, error) {
	f := s.c.Camera.Facts()
	return strings.TrimSpace("release "+f.Release+", camera "+f.Model+" "+f.Mark) + "\n", nil
}

// testInterval is between two tests of a board that a bystander asks for.
const testInterval = 10 * time.Second

func selftest(s *session, ctx context.Context, _ []string) (string, error) {
	if now := time.Now(); !s.unlocked() {
		if now.Sub(s.tested) < testInterval {
			return "", fmt.Errorf("the board tested itself a moment ago: again in %v",
				(testInterval - now.Sub(s.tested)).Round(time.Second))
		}
		s.tested = now
	}
	return row("selftest")(s, ctx, nil)
}

// streams tells what of the status is about streams.
func streams(s *session, ctx context.Context, _ []string) (string, error) {
	raw, err := s.ask(ctx, "status", nil)
	if err != nil {
		return "", err
	}
	var part struct {
		Streams json.RawMessage `json:"streams"`
		Camera  json.RawMessage `json:"camera"`
		RTSP    json.RawMessage `json:"rtsp"`
	}
	if err := json.Unmarshal(raw, &part); err != nil {
		return "", err
	}
	text, err := json.Marshal(part)
	return shown(text), err
}

func update(s *session, ctx context.Context, words []string) (string, error) {
	if len(words) != 1 || !slices.Contains([]string{"status", "check", "install", "cancel"}, words[0]) {
		return "", usage("update")
	}
	return row("ota."+words[0])(s, ctx, nil)
}

func support(*session, context.Context, []string) (string, error) {
	return "A bundle is too much for a screen: camctl support PORT fetches it, and says what is in it.\n", nil
}

// call is any row, with arguments as camctl call takes them.
func call(s *session, ctx context.Context, words []string) (string, error) {
	if len(words) == 0 {
		return "", usage("call")
	}
	args := map[string]any{}
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return "", fmt.Errorf("%.40q: want NAME=VALUE", word)
		}
		args[name] = typed(value)
	}
	var given any
	if len(args) > 0 {
		given = args
	}
	raw, err := s.ask(ctx, words[0], given)
	if err != nil {
		return "", err
	}
	return shown(raw), nil
}

// typed is a number or a truth where the text looks like one.
func typed(value string) any {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	if value == "true" || value == "false" {
		return value == "true"
	}
	return value
}

// rows completes the names of rows, as the camera tells them.
func rows(s *session, before []string) []string {
	if len(before) > 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	raw, err := s.ask(ctx, "capabilities", nil)
	var can struct {
		Commands []string `json:"commands"`
	}
	if err != nil || json.Unmarshal(raw, &can) != nil {
		return nil
	}
	return can.Commands
}

// usage is the error of words that a verb does not take.
func usage(name string) error {
	for _, v := range verbs() {
		if v.name == name {
			return fmt.Errorf("want: %s %s", v.name, v.args)
		}
	}
	return nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
