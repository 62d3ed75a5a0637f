package netlink

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMessageThereAndBack(t *testing.T) {
	t.Parallel()
	attributes := AppendString(AppendUint32(nil, 3, 2437), 4, "mon0")
	one := Message{Type: 28, Flags: unix.NLM_F_ACK, Sequence: 7, Data: attributes}
	list, err := Parse(one.Append(Message{Type: 2, Data: []byte{1, 0, 0, 0}}.Append(nil)))
	if err != nil || len(list) != 2 {
		t.Fatalf("got %+v, %v", list, err)
	}
	if got := list[1]; got.Type != 28 || got.Flags != unix.NLM_F_ACK || got.Sequence != 7 {
		t.Errorf("got %+v", got)
	}
	var kinds []uint16
	for kind, value := range Attributes(list[1].Data) {
		kinds = append(kinds, kind)
		if kind == 3 && Uint32(value) != 2437 || kind == 4 && string(value) != "mon0\x00" {
			t.Errorf("attribute %d: %x", kind, value)
		}
	}
	if len(kinds) != 2 {
		t.Errorf("attributes %v", kinds)
	}
}

func TestErr(t *testing.T) {
	t.Parallel()
	code := func(n int32) Message {
		return Message{Type: unix.NLMSG_ERROR, Data: AppendUint32(nil, 0, uint32(n))[4:]}
	}
	if err := code(0).Err(); err != nil {
		t.Errorf("acknowledgement: %v", err)
	}
	if err := code(-int32(unix.EBUSY)).Err(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	if err := (Message{Type: unix.NLMSG_ERROR}).Err(); err == nil {
		t.Error("an error without a number is none")
	}
}

// TestThisKernel asks the kernel that runs the test: lo has its address, and generic netlink its controller.
func TestThisKernel(t *testing.T) {
	t.Parallel()
	c, err := Open(unix.NETLINK_ROUTE, Groups)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	found := false
	for _, dump := range []Message{Addresses(), Routes(), Neighbours()} {
		err := c.Ask("dump", 10*time.Second, dump, func(m Message) error {
			change, ok := ParseChange(m)
			found = found || ok && change.Index == 1 && change.Address == netip.MustParsePrefix("127.0.0.1/8") && !change.Gone
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Error("no 127.0.0.1 on lo")
	}
	g, err := Open(unix.NETLINK_GENERIC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if id, err := g.Family("nlctrl", 10*time.Second); err != nil || id != unix.GENL_ID_CTRL {
		t.Errorf("family nlctrl: %d, %v", id, err)
	}
	if _, err := g.Family("no such family", 10*time.Second); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
}

// changes are messages as the kernel writes them.
func changes() map[string]Message {
	address := []byte{unix.AF_INET, 24, 0, 0, 3, 0, 0, 0}
	route := []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, 3, 0, 1, 0, 0, 0, 0}
	neighbour := []byte{unix.AF_INET, 0, 0, 0, 3, 0, 0, 0, unix.NUD_REACHABLE, 0, 0, 1}
	index := AppendUint32(nil, unix.RTA_OIF, 3)
	ip := []byte{192, 0, 2, 7}
	return map[string]Message{
		"address":      {Type: unix.RTM_NEWADDR, Data: AppendAttribute(address, unix.IFA_LOCAL, ip)},
		"address gone": {Type: unix.RTM_DELADDR, Data: AppendAttribute(address, unix.IFA_LOCAL, ip)},
		"gateway":      {Type: unix.RTM_NEWROUTE, Data: append(AppendAttribute(route, unix.RTA_GATEWAY, ip), index...)},
		"neighbour":    {Type: unix.RTM_NEWNEIGH, Data: AppendAttribute(neighbour, unix.NDA_DST, ip)},
	}
}

func TestParseChange(t *testing.T) {
	t.Parallel()
	if unix.NUD_REACHABLE > 0xff || byte(unix.NUD_REACHABLE) == 0 {
		t.Fatal("the state needs another place in the message")
	}
	ip := netip.MustParseAddr("192.0.2.7")
	for name, want := range map[string]Change{
		"address":      {Index: 3, Address: netip.PrefixFrom(ip, 24)},
		"address gone": {Index: 3, Address: netip.PrefixFrom(ip, 24), Gone: true},
		"gateway":      {Index: 3, Gateway: ip},
		"neighbour":    {Index: 3, Neighbour: ip, State: unix.NUD_REACHABLE},
	} {
		m := changes()[name]
		if got, ok := ParseChange(m); !ok || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, ok, want)
		}
		for n := range len(m.Data) { // what is cut short tells nothing, or less
			if got, ok := ParseChange(Message{Type: m.Type, Data: m.Data[:n]}); ok && got == want && n < len(m.Data)-8 {
				t.Errorf("%s cut to %d bytes: %+v", name, n, got)
			}
		}
	}
	notDefault := changes()["gateway"]
	notDefault.Data[1] = 24
	if got, ok := ParseChange(notDefault); ok {
		t.Errorf("a route that is no default one: %+v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range changes() {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := Parse(b)
		size := 0
		for _, m := range list {
			_ = m.Err()
			if c, ok := ParseChange(m); ok && !c.Address.IsValid() && !c.Gateway.IsValid() && !c.Neighbour.IsValid() {
				t.Errorf("%+v tells nothing", c)
			}
			for _, value := range Attributes(GenericAttributes(m)) {
				size += len(value)
			}
		}
		if size > len(b) {
			t.Errorf("%d bytes of attributes in %d", size, len(b))
		}
	})
}
