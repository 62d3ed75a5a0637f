package lab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ocellus/ocellus/lab/carve"
)

// What is planted, beside the network of the simulated board and what the camera made itself.
const (
	plantedMAC    = "de:ad:be:ef:12:34"
	plantedSerial = "SN-20261126-4711"
	brokerUser    = "oma@broker"
	brokerSecret  = "broker-s3cret-passphrase"
)

// TestSupport: a support bundle helps, and has nothing in it of what was planted wherever it could come from: the
// configuration, the network, the log, the last words of a dying agent.
func TestSupport(t *testing.T) {
	t.Parallel()
	a := startAgent(t, agentOptions{hold: filepath.Join(t.TempDir(), "nothing.png"), apart: true, config: section{
		"log": "DEBUG", "control": section{"broker": "mqtts://127.0.0.1:1", "username": brokerUser, "password": brokerSecret},
		"update": section{"repository": "http://127.0.0.1:1/token=" + homeToken + "/"},
	}})
	box := label(t, a)
	owner := newPhone(t)
	owner.says(t, 0, "pair", "--camera", a.ports.Web, "--label", box)
	join := func(ssid, password string) ran {
		return owner.ctl(t, time.Minute, password, "network", "join", "camera", "--ssid", ssid, "--country", "DE")
	}
	if r := join(simNetwork, simPassword); r.code != 0 {
		t.Fatalf("join: %s", r.errs)
	}
	if r := join(homeSSID, homePassword); r.code != 1 {
		t.Fatalf("join of a network that is not there: exit code %d: %s", r.code, r.errs)
	}
	owner.says(t, 0, "call", "camera", "viewer.add", "name="+viewerName)
	for _, words := range []string{homeSSID, homePassword, simNetwork + " " + simPassword, brokerUser + " " + brokerSecret,
		"token=" + homeToken, "from " + plantedMAC, "serial: " + plantedSerial, viewerName} {
		said(t, a.state, words) // and it is logged
	}

	a = a.dies(t, syscall.SIGABRT)
	planted := plants(t, owner, box, a.state)
	if err := os.WriteFile(filepath.Join(a.state, "crash.raw"), lastWords(planted.values), 0o600); err != nil {
		t.Fatal(err)
	}
	a = a.dies(t, syscall.SIGKILL)
	checkSupport(t, a, owner, planted)
}

// dies ends an agent by a signal and starts it again.
func (a *agent) dies(t *testing.T, sig syscall.Signal) *agent {
	t.Helper()
	a.ends(t, sig)
	nothing := filepath.Join(t.TempDir(), "nothing.png")
	return startAgent(t, agentOptions{state: a.state, hold: nothing, config: section{"log": "DEBUG", "control": section{
		"broker": "mqtts://127.0.0.1:1", "username": brokerUser, "password": brokerSecret}}})
}

// said asks at the local socket for a command that there is not; the agent logs its name.
func said(t *testing.T, state, command string) {
	t.Helper()
	line, err := json.Marshal(map[string]string{"command": command})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", filepath.Join(state, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !bytes.Contains(answer, []byte("unknown_command")) {
		t.Fatalf("%s, %v", answer, err)
	}
}

// plants are all that nobody may find.
func plants(t *testing.T, owner phone, box, state string) belongings {
	t.Helper()
	b := belongingsOf(t, owner.home, "camera")
	b.values = slices.DeleteFunc(b.values, func(v carve.Value) bool { return v.Name == "name in a grant" })
	parts := strings.Split(box, ":")
	for name, text := range map[string]string{
		"the network's name": simNetwork, "the network's password": simPassword, "the broker's password": brokerSecret,
		"the broker's user": brokerUser, "MAC address": plantedMAC, "serial number": plantedSerial, "label": box,
		"fingerprint": parts[3], "setup secret": parts[4],
	} {
		b.values = append(b.values, carve.Value{Name: name, Bytes: []byte(text)})
	}
	hardware, err := net.ParseMAC(plantedMAC)
	if err != nil {
		t.Fatal(err)
	}
	b.values = append(b.values, carve.Value{Name: "MAC address", Bytes: hardware})
	vault, err := os.ReadFile(filepath.Join(state, "keys.area"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := carve.Keys(bytes.NewReader(vault), int64(len(vault)))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no key in the vault: %v", err)
	}
	for _, k := range keys {
		b.values = append(b.values, carve.Value{Name: "data key", Bytes: k})
	}
	cards, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cards {
		if len(c.HardwareAddr) == 6 && c.Flags&net.FlagLoopback == 0 {
			b.values = append(b.values, carve.Value{Name: "MAC address of " + c.Name, Bytes: []byte(c.HardwareAddr.String())})
		}
	}
	return b
}

// lastWords are what an agent could say when it dies, in the worst case: everything, in several spellings.
func lastWords(values []carve.Value) []byte {
	var b bytes.Buffer
	b.WriteString("fatal error: ")
	for _, v := range values {
		switch v.Name {
		case "SSID", "password": // of a network that could not be joined: it was forgotten before that death
			continue
		case "serial number", "token": // of somebody else: its name alone gives it away
			fmt.Fprintf(&b, "%s=%q ", strings.Fields(v.Name)[0], v.Bytes)
			continue
		case "MAC address": // of somebody else: its shape does
			if len(v.Bytes) == len(plantedMAC) {
				fmt.Fprintf(&b, "%s; ", v.Bytes)
			}
			continue
		}
		fmt.Fprintf(&b, "%s %q %x %s %s; ", v.Bytes, v.Bytes, v.Bytes, base64.StdEncoding.EncodeToString(v.Bytes),
			url.QueryEscape(string(v.Bytes)))
	}
	b.WriteString("end of it\n\ngoroutine 7 [running]:\n" +
		"main.planted(0xc000012345)\n\t/build/cmd/agent/planted.go:42 +0x1d\n")
	return b.Bytes()
}

func checkSupport(t *testing.T, a *agent, owner phone, planted belongings) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bundle.tar.gz")
	asked := owner.says(t, 1, "support", "camera", "--address", a.ports.Web, "-o", out)
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("saved, and nobody agreed: %v", err)
	}
	for _, words := range []string{"the last lines of the log", "Taken out of every file",
		"names and passwords of networks"} {
		if !strings.Contains(asked.errs, words) {
			t.Errorf("it does not say %q before it is saved:\n%s", words, asked.errs)
		}
	}
	owner.says(t, 0, "support", "camera", "--address", a.ports.Web, "-o", out, "--yes")
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	files := unpackSupport(t, raw)
	var all bytes.Buffer
	for name, text := range files {
		fmt.Fprintf(&all, "== %s\n%s", name, text)
	}
	for what, content := range map[string][]byte{"bundle": all.Bytes(), "packed bundle": raw,
		"what camctl says": []byte(asked.errs)} {
		r, err := carve.Look(bytes.NewReader(content), int64(len(content)), planted.values, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range r.Hits {
			t.Errorf("%s: %v: ...%q...", what, h, content[max(0, h.Offset-60):min(int64(len(content)), h.Offset+60)])
		}
	}
	words := lastWords(planted.values)
	r, err := carve.Look(bytes.NewReader(words), int64(len(words)), planted.values, nil)
	if err != nil || len(r.Hits) < 3*len(planted.values) {
		t.Errorf("what was planted is not found where it is: %d hits, %v", len(r.Hits), err)
	}
	checkUseful(t, files)
	t.Logf("the bundle: %d files, %d bytes, packed %d", len(files), all.Len(), len(raw))
	stranger := newPhone(t)
	if r := stranger.ctl(t, time.Minute, "", "support", "camera", "--address", a.ports.Web, "--yes"); r.code == 0 {
		t.Error("a stranger has a bundle")
	}
}

// checkUseful: it would help whoever gets it.
func checkUseful(t *testing.T, files map[string]string) {
	t.Helper()
	var crashes []struct {
		Cause, Text string
		Stack, Log  []string
	}
	var starts []struct{ Why string }
	for name, into := range map[string]any{"crashes.json": &crashes, "boots.json": &starts} {
		if err := json.Unmarshal([]byte(files[name]), into); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, files[name])
		}
	}
	if len(crashes) != 2 || len(starts) != 3 || starts[0].Why != "panic" || starts[2].Why != "first" {
		t.Fatalf("got %+v, %+v", starts, crashes)
	}
	if c := crashes[0]; !slices.Equal(c.Stack, []string{"main.planted planted.go:42"}) ||
		!strings.HasPrefix(c.Text, "fatal error: ") {
		t.Errorf("got %+v", c)
	}
	if c := crashes[1]; !strings.Contains(c.Text, "SIGABRT") || len(c.Stack) == 0 || len(c.Log) < 10 {
		t.Errorf("a real death: got %+v", c)
	}
	for name, words := range map[string]string{
		"log.txt": `local command command=*** who=`, "versions.json": `"kernel"`, "status.json": `"streams"`,
		"storage.json": `"free_bytes"`, "hardware.txt": "camera: ", "network.json": `"state"`,
		"config.json": "streams.main.bitrate", "events.json": "agent.crashed", "README.txt": "log.txt",
	} {
		if !strings.Contains(files[name], words) {
			t.Errorf("%s: no %q in it:\n%s", name, words, tail(files[name], 600))
		}
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON:\n%s", name, tail(text, 600))
		}
	}
}

func unpackSupport(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "support/")] = string(text)
	}
}
