package board

func qemuVirt() Board {
	return Board{
		Name:       "qemu-virt",
		Title:      "QEMU virt machine (armv7, arm64)",
		Compatible: []string{"linux,dummy-virt"}, // qemu hw/arm/virt.c, create_fdt: both architectures
		Cameras:    []string{"vivid"},            // Documentation/admin-guide/media/vivid.rst
		Encoders:   []string{"vicodec"},          // FWHT only: never chosen for H.264; listed so that probe tells it
		Watchdog:   "/dev/watchdog0",             // qemu -device i6300esb -action watchdog=reset
		Serial:     "/dev/ttyS0",                 // qemu -device pci-serial (drivers/tty/serial/8250/8250_pci.c)
		WiFi:       &WiFi{"wlan0", true},         // drivers/net/wireless/mac80211_hwsim.c: the first of its radios
		// one of the sizes of vivid; an emulated core encodes a fraction of what silicon does
		Main:          Stream{640, 360, 15, 800_000},
		Sub:           Stream{320, 180, 10, 200_000}, // vivid: 320x180 is its smallest webcam size
		MemoryPercent: 50,                            // nothing else runs in the machine
		Note:          "modprobe vivid n_devs=1 node_types=0x1 gives one capture node and nothing else",
	}
}
