package control

import (
	"strings"
	"testing"
	"time"

	"github.com/ocellus/ocellus/internal/secret"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	_, _, own, ownKey := issue(t, "camera", nil)
	_, _, _, otherKey := issue(t, "camera", nil)
	for name, tt := range map[string]struct {
		change func(c *Config)
		says   string
	}{
		"TLS":                 {func(c *Config) { c.Broker = "mqtts://broker.example.com:8883" }, ""},
		"loopback":            {func(c *Config) { c.Broker = "mqtt://127.0.0.1:1883" }, ""},
		"the home's network":  {func(c *Config) { c.Broker = "mqtt://[fd00::7]:1883" }, ""},
		"in the clear":        {func(c *Config) { c.Broker = "mqtt://192.0.2.7:1883" }, "without TLS"},
		"a name in the clear": {func(c *Config) { c.Broker = "mqtt://broker.local:1883" }, "without TLS"},
		"no port":             {func(c *Config) { c.Broker = "mqtts://broker.example.com" }, "broker: "},
		"a password in it":    {func(c *Config) { c.Broker = "mqtts://u:p@broker.example.com:1" }, "broker: "},
		"a web page":          {func(c *Config) { c.Broker = "https://broker.example.com:1" }, "broker: "},
		"a path":              {func(c *Config) { c.Broker = "mqtts://broker.example.com:1/mqtt" }, "broker: "},
		"empty":               {func(c *Config) { c.Broker = "" }, "broker: "},
		"impatient":           {func(c *Config) { c.KeepAlive = time.Second }, "keep_alive: "},
		"no PEM":              {func(c *Config) { c.CA = "x" }, "ca: "},
		"CA":                  {func(c *Config) { c.CA = own }, ""},
		"certificate":         {func(c *Config) { c.Certificate, c.Key = own, secret.Secret(ownKey) }, ""},
		"another's key":       {func(c *Config) { c.Certificate, c.Key = own, secret.Secret(otherKey) }, "certificate: "},
		"no key":              {func(c *Config) { c.Certificate = own }, "certificate: "},
		"wildcard":            {func(c *Config) { c.HomeAssistant.Prefix = "ho+me" }, "home_assistant.prefix: "},
		"a line's end":        {func(c *Config) { c.HomeAssistant.Prefix = "home\n" }, "home_assistant.prefix: "},
		"servers":             {func(c *Config) { c.TimeServers = "0.pool.ntp.org,192.0.2.1" }, ""},
		"blanks":              {func(c *Config) { c.TimeServers = "a, b" }, "time_servers: "},
		"a broker for all":    {func(c *Config) { c.Embedded = ":8883" }, "embedded: "},
	} {
		c := DefaultConfig()
		tt.change(&c)
		err := c.Validate()
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}
