package virt

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// console keeps what the serial console says, over all boots of a board, in memory and in a file.
type console struct {
	name string
	file *os.File

	mu    sync.Mutex // guards the rest
	lines []consoleLine
	seen  int           // lines before it are not expected any more
	news  chan struct{} // closed at the next line, and made anew
}

type consoleLine struct {
	text string
	at   time.Time
}

func openConsole(t testing.TB, dir, name string) *console {
	t.Helper()
	if name == "" {
		name = "console"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &console{name: filepath.Join(dir, name+".log"), news: make(chan struct{})}
	var err error
	if c.file, err = os.Create(c.name); err != nil {
		t.Fatal(err)
	}
	return c
}

// read takes lines until the machine ends. A line that the machine never ended counts too.
func (c *console) read(r io.Reader) {
	lines := bufio.NewReader(io.TeeReader(r, c.file))
	for {
		text, err := lines.ReadString('\n')
		if text = strings.TrimRight(text, "\r\n"); text != "" {
			c.add(text)
		}
		if err != nil {
			return
		}
	}
}

func (c *console) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The terminal's carriage returns stand within a line where two programs write to it.
	c.lines = append(c.lines, consoleLine{strings.ReplaceAll(text, "\r", ""), time.Now()})
	close(c.news)
	c.news = make(chan struct{})
}

func (c *console) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var texts []string
	for _, l := range c.lines {
		texts = append(texts, l.text)
	}
	return texts
}

func (c *console) tail(n int) string {
	all := c.all()
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// forget makes everything up to now a thing of the past for expect.
func (c *console) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = len(c.lines)
}

// await calls look until it is content, anew with each line; it gives up at the limit and when the machine ends.
func (c *console) await(limit time.Duration, ended <-chan struct{}, look func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		c.mu.Lock()
		news, found := c.news, look()
		c.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-news:
		case <-ended:
			return errEnded
		case <-timer.C:
			return fmt.Errorf("not within %v", limit)
		}
	}
}

// expect waits for the next line that matches.
func (c *console) expect(r *regexp.Regexp, limit time.Duration, ended <-chan struct{}) (string, error) {
	line := ""
	err := c.await(limit, ended, func() bool {
		for c.seen < len(c.lines) {
			line = c.lines[c.seen].text
			c.seen++
			if r.MatchString(line) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", fmt.Errorf("console: %q: %w", r, err)
	}
	return line, nil
}

// last waits until there is a line that matches and does not hold not, and returns the last one.
func (c *console) last(r *regexp.Regexp, not string, limit time.Duration, ended <-chan struct{}) (string, error) {
	line := ""
	err := c.await(limit, ended, func() bool {
		for _, l := range slices.Backward(c.lines) {
			if line = l.text; r.MatchString(line) && !strings.Contains(line, not) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", fmt.Errorf("console: %q: %w", r, err)
	}
	return line, nil
}

// since tells when the first line that matches came, counted from began.
func (c *console) since(r *regexp.Regexp, began time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		if !l.at.Before(began) && r.MatchString(l.text) {
			return l.at.Sub(began), true
		}
	}
	return 0, false
}
