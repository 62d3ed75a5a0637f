package virt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// monitor is the emulator's control channel: QMP (QEMU's docs/interop/qmp-spec.txt), one command at a time.
type monitor struct {
	conn net.Conn
	in   *json.Decoder
}

// monitorLimit is for one command: the emulator answers at once or is gone.
const monitorLimit = 20 * time.Second

// openMonitor reads the greeting and leaves the negotiation.
func openMonitor(conn net.Conn) (*monitor, error) {
	m := &monitor{conn, json.NewDecoder(conn)}
	_, err := m.do("qmp_capabilities", nil)
	return m, err
}

// do runs a command and returns what it returns. Events and the greeting are passed over.
func (m *monitor) do(command string, arguments map[string]any) (json.RawMessage, error) {
	line, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if arguments == nil {
		line, err = json.Marshal(map[string]any{"execute": command})
	}
	if err != nil {
		return nil, err
	}
	if err := m.conn.SetDeadline(time.Now().Add(monitorLimit)); err != nil {
		return nil, err
	}
	if _, err := m.conn.Write(line); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := m.in.Decode(&answer); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return nil, fmt.Errorf("%s: %w", command, errors.New(answer.Error.Desc))
		case answer.Return != nil:
			return answer.Return, nil
		}
	}
}

// human runs a command of the monitor for people and returns what it says.
func (m *monitor) human(line string) (string, error) {
	raw, err := m.do("human-monitor-command", map[string]any{"command-line": line})
	if err != nil {
		return "", err
	}
	var said string
	err = json.Unmarshal(raw, &said)
	return strings.TrimSpace(said), err
}
