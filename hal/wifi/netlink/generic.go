package netlink

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Generic makes a message of a family of generic netlink (struct genlmsghdr).
func Generic(family uint16, flags uint16, command uint8, attributes []byte) Message {
	return Message{Type: family, Flags: flags, Data: append([]byte{command, 1, 0, 0}, attributes...)}
}

// GenericAttributes returns the attributes of a message of generic netlink.
func GenericAttributes(m Message) []byte { return m.Data[min(unix.GENL_HDRLEN, len(m.Data)):] }

// Family asks for the number of a family of generic netlink.
func (c *Conn) Family(name string, patience time.Duration) (uint16, error) {
	var family uint16
	request := Generic(unix.GENL_ID_CTRL, 0, unix.CTRL_CMD_GETFAMILY, AppendString(nil, unix.CTRL_ATTR_FAMILY_NAME, name))
	err := c.Ask("family "+name, patience, request, func(m Message) error {
		for kind, value := range Attributes(GenericAttributes(m)) {
			if kind == unix.CTRL_ATTR_FAMILY_ID && len(value) >= 2 {
				family = binary.NativeEndian.Uint16(value)
			}
		}
		return nil
	})
	if err == nil && family == 0 {
		err = fmt.Errorf("netlink family %s: the kernel tells no number", name)
	}
	return family, err
}
