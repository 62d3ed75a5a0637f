package web

import (
	"fmt"
	"net"
	"strconv"
)

// Config is the section web of the configuration.
type Config struct {
	Address   string `yaml:"address"`   // ADDRESS:PORT, or off
	Discovery bool   `yaml:"discovery"` // the camera is found on its link (web/mdns)
}

// Off is the address of a door that stays shut.
const Off = "off"

// DefaultConfig is what holds where nobody says otherwise.
func DefaultConfig() Config { return Config{Address: ":8443", Discovery: true} }

// Validate reports all faults at once.
func (c Config) Validate() error {
	if c.Address == Off {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Address)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || n < 0 || n > 65535 || host != "" && net.ParseIP(host) == nil {
		return fmt.Errorf("address: %q: want ADDRESS:PORT, :PORT for every address, or off", c.Address)
	}
	return nil
}
