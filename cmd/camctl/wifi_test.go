package main

import (
	"bytes"
	"errors"
	"image/png"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocellus/ocellus/codec/qrcode"
	"github.com/ocellus/ocellus/codec/qrtext"
	"github.com/ocellus/ocellus/provision/qr"
)

func TestAsk(t *testing.T) {
	t.Setenv("LANG", "C.UTF-8")
	for _, c := range []struct {
		name    string
		flags   networkFlags
		typed   string
		want    qrtext.Network
		country string
		code    int
	}{
		{"all typed", networkFlags{}, "Home Net\np@ss w0rd\nde\n", qrtext.Network{SSID: "Home Net", Password: "p@ss w0rd",
			Security: qrtext.WPA}, "DE", 0},
		{"open", networkFlags{SSID: "Cafe"}, "\nIT", qrtext.Network{SSID: "Cafe", Security: qrtext.Open}, "IT", 0},
		{"all given", networkFlags{SSID: "a", Password: "12345678", Security: "sae", Hidden: true, Country: "FR"}, "",
			qrtext.Network{SSID: "a", Password: "12345678", Security: qrtext.SAE, Hidden: true}, "FR", 0},
		{"open by flag", networkFlags{SSID: "a", Security: "open", Country: "FR"}, "",
			qrtext.Network{SSID: "a", Security: qrtext.Open}, "FR", 0},
		{"short password", networkFlags{SSID: "a", Password: "1234567", Country: "FR"}, "", qrtext.Network{}, "", exitUsage},
		{"nothing typed", networkFlags{}, "", qrtext.Network{}, "", exitUsage},
	} {
		got, country, err := c.flags.ask(streams{in: strings.NewReader(c.typed), err: &bytes.Buffer{}})
		var f *fault
		code := 0
		if errors.As(err, &f) {
			code = f.code
		}
		if code != c.code || err == nil && (got != c.want || country != c.country) {
			t.Errorf("%s: got %q %v %q, %v", c.name, got.SSID, got.Security, country, err)
		}
		if err != nil && c.flags.Password != "" && strings.Contains(err.Error(), c.flags.Password) {
			t.Errorf("%s: the error shows the password: %v", c.name, err)
		}
	}
	for locale, want := range map[string]string{"de_DE.UTF-8": "DE", "pt_BR": "BR", "C": "", "en": "", "de_d1": ""} {
		if got := countryOf(locale); got != want {
			t.Errorf("%s: got %q, want %q", locale, got, want)
		}
	}
}

// seenIn reads the codes of a picture, as a camera does.
func seenIn(luma []byte, w, h int) []string {
	var r qr.Reader
	return r.Read(luma, w, h, w).Texts
}

// held reads the code in a PNG file; nothing while there is none.
func held(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		return nil
	}
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	luma := make([]byte, w*h)
	for i := range luma {
		r, _, _, _ := m.At(i%w, i/w).RGBA()
		luma[i] = byte(r >> 8)
	}
	return seenIn(luma, w, h)
}

// TestDrawCode: what the terminal shows can be read.
func TestDrawCode(t *testing.T) {
	t.Parallel()
	const text = "OC1:THE QUICK BROWN FOX"
	code, err := qrcode.Encode(text, qrcode.L, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := drawCode(&out, code); err != nil {
		t.Fatal(err)
	}
	shown := strings.NewReplacer("\x1b[30;107m", "", "\x1b[0m", "").Replace(out.String())
	lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
	const scale = 6
	w, h := scale*len([]rune(lines[0])), 2*scale*len(lines)
	luma := bytes.Repeat([]byte{230}, w*h)
	for row, line := range lines {
		for col, r := range []rune(line) {
			for half, dark := range []bool{r == '▀' || r == '█', r == '▄' || r == '█'} {
				for y := range scale {
					for x := range scale {
						if dark {
							luma[((2*row+half)*scale+y)*w+col*scale+x] = 20
						}
					}
				}
			}
		}
	}
	if got := seenIn(luma, w, h); !slices.Equal(got, []string{text}) {
		t.Errorf("got %q", got)
	}
}

// TestPairByCode: a camera that knows nothing before it has seen the code. A long text comes in parts.
func TestPairByCode(t *testing.T) {
	t.Parallel()
	for name, password := range map[string]string{"one code": "p@ssw0rd!", "parts": strings.Repeat("long pass", 7)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCamera(t)
			path := filepath.Join(t.TempDir(), "code.png")
			var parts qrtext.Parts
			look := func() (found bool) {
				for _, text := range held(path) {
					if whole, complete, err := parts.Add(text); err == nil && complete {
						text = whole
					}
					setup, err := qrtext.OpenSealed(c.label, text)
					if err != nil {
						continue
					}
					if setup.Network.Password.Reveal() != password || setup.Country != "DE" || len(setup.Owner) != 32 {
						t.Errorf("the code says country %q", setup.Country)
					}
					c.token, found = setup.Token[:], true
				}
				return found
			}
			c.look = look
			code, out, errs := ctl("", "pair", "--home", t.TempDir(), "--label", c.text(t), "--camera", c.address(),
				"--by", "qr", "--png", path, "--ssid", "HomeNet", "--password", password, "--country", "de", "--patience", "30s")
			if code != exitOK || !strings.Contains(out, "watch: rtsp://viewer:p@") || c.proofs[2] != 1 {
				t.Errorf("exit code %d, proofs %v: %s%s", code, c.proofs, out, errs)
			}
			if strings.Contains(errs, password) {
				t.Error("the password is shown")
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the code is left behind: %v", err)
			}
		})
	}
}

// TestPairBeginsAgain: a camera that is reset between its challenge and the claim is asked anew.
func TestPairBeginsAgain(t *testing.T) {
	t.Parallel()
	c := newCamera(t)
	path := filepath.Join(t.TempDir(), "code.png")
	c.look = func() bool {
		for _, text := range held(path) {
			if setup, err := qrtext.OpenSealed(c.label, text); err == nil {
				c.token = setup.Token[:]
			}
		}
		return c.token != nil
	}
	stale := 2
	c.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/claim" || r.Method != http.MethodPost || stale == 0 {
			return false
		}
		stale--
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"code":"stale","text":"ask for the challenge again"}`))
		return true
	}
	code, out, errs := ctl("", "pair", "--home", t.TempDir(), "--label", c.text(t), "--camera", c.address(),
		"--by", "qr", "--png", path, "--ssid", "HomeNet", "--password", "p@ssw0rd!", "--country", "DE", "--patience", "30s")
	if code != exitOK || !strings.Contains(out, "watch: rtsp://viewer:p@") || stale != 0 {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}

// TestNoAnswer: who waits in vain is told what the lamp means.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	c := newCamera(t)
	c.Close()
	code, _, errs := ctl("", "pair", "--home", t.TempDir(), "--label", c.text(t), "--camera", c.address(), "--by", "qr",
		"--ssid", "HomeNet", "--password", "12345678", "--country", "DE", "--patience", "1s")
	if code != exitUnreachable || !strings.Contains(errs, "three flashes") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
