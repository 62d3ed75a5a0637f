package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseConfig(t *testing.T) {
	t.Parallel()
	c, faults := parseConfig(`
# a comment
module /lib/modules/6.1/vivid.ko n_devs=1 node_types=0x1
node video* 0 44 660   # the group of cameras
node part:slot-* 1000 1000 600
dir /run/wifi 1001 1001 750
data data 1000 1000
lab lab
service wifi uid=1001 wait=3 caps=net_admin,net_raw link=wlan0 exec /bin/wifi
service agent uid=1000 gid=1000 groups=44,29 caps=sys_time trial=3 exec /usr/bin/agent run --state /data/agent
service ear socket=/run/ear exec /bin/ear
service shell console=1 once=1 exec /bin/sh
`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := config{
		modules: []module{{"/lib/modules/6.1/vivid.ko", "n_devs=1 node_types=0x1"}},
		nodes:   []nodeRule{{"video*", 0, 44, 0o660}, {"part:slot-*", 1000, 1000, 0o600}},
		dirs:    []dirRule{{"/run/wifi", 1001, 1001, 0o750}},
		data:    dataDisk{"data", 1000, 1000},
		lab:     "lab",
		services: []service{
			{name: "wifi", uid: 1001, caps: []uintptr{12, 13}, link: "wlan0",
				wait: 3 * time.Second, argv: []string{"/bin/wifi"}},
			{name: "agent", uid: 1000, gid: 1000, groups: []uint32{44, 29}, caps: []uintptr{25}, trial: 3,
				argv: []string{"/usr/bin/agent", "run", "--state", "/data/agent"}},
			{name: "ear", socket: "/run/ear", argv: []string{"/bin/ear"}},
			{name: "shell", console: true, once: true, argv: []string{"/bin/sh"}},
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestParseConfigSaysEveryFault(t *testing.T) {
	t.Parallel()
	lines := []string{
		"modul x", "module", "node video* 0 44", "node video* 0 44 999", "node [ 0 0 600", "node video* -1 0 600",
		"data data x 0",
		"service agent exec", "service agent exec agent", "service agent uid=x exec /agent",
		"service agent rights=1 exec /agent", "dir run 0 0 755", "dir /run 0 0",
		"service wifi uid=1 caps=sys_admin exec /wifi", "service wifi caps=net_raw exec /wifi",
		"service wifi link= exec /wifi", "service ear socket=ear exec /ear",
		"service ear socket=/run/ear link=wlan0 exec /ear",
	}
	c, faults := parseConfig(strings.Join(lines, "\n") + "\nlab lab\n")
	if len(faults) != len(lines) {
		t.Errorf("%d faults, want %d: %v", len(faults), len(lines), faults)
	}
	if c.lab != "lab" || len(c.services)+len(c.nodes)+len(c.modules) > 0 {
		t.Errorf("got %+v", c)
	}
}

func TestEventWords(t *testing.T) {
	t.Parallel()
	got := eventWords(strings.Split("add@/devices/x\x00ACTION=add\x00DEVNAME=video0\x00", "\x00"))
	if got["ACTION"] != "add" || got["DEVNAME"] != "video0" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}
