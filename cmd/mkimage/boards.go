package main

import (
	"maps"
	"slices"
)

// board is what the builder knows of a board. codec and board hold the rest: this is about packing alone.
type board struct {
	arch       string   // U-Boot's word
	scripts    []string // of board/boot, in this order one boot.scr
	kernel     uint32   // where the boot loader unpacks it, and its entry
	deviceTree string   // file under the kernel's folder, RELEASE in it is the kernel's; empty where the boot loader has it
	crc32      bool     // the boot loader knows no SHA-256
	early      []string // modules of the initrd: what it takes to reach the slot
	modules    []string // modules of the root file system, in this order; parameters behind a space
	wifi       bool     // wpa_supplicant and the regulatory database come with it
	conf       string   // the board's own lines of init.conf
	flash      bool     // QEMU's machine has a flash for U-Boot's environment: flash.img
	hybrid     bool     // the boot ROM knows no GPT: the boot partition stands in the MBR too
	closed     string   // the closed firmware without which the hardware does not start
	partitions []partition
}

type partition struct {
	name string
	mib  int64
}

// uid is the agent's user, network the one who joins networks and asks for addresses, ear the one who hears the air for
// the agent. The agent is in two groups: video
// has the cameras, wifi may speak to wpa_supplicant.
const uid, network, wifi, ear, video = 1000, 1001, 1002, 1004, 44

func boardNames() []string { return slices.Sorted(maps.Keys(boards())) }

func boards() map[string]board {
	return map[string]board{
		"qemu-virt-arm64": {
			arch: "arm64", scripts: []string{"qemu-virt.cmd", "ramoops.cmd", "boot.cmd"},
			kernel: 0x40400000, // a multiple of 2 MiB: Documentation/arm64/booting.rst
			early:  append(early(), "sha2-ce"), wifi: true, conf: virtConf, flash: true,
			modules:    append([]string{"ramoops"}, virtModules()...), // armv7's kernel has no pstore
			partitions: partitions(),
		},
		"rpi-zero2w": {
			arch: "arm64", scripts: []string{"rpi.cmd", "boot.cmd"},
			kernel:     0x200000,
			deviceTree: "usr/lib/linux-image-RELEASE/broadcom/bcm2837-rpi-zero-2-w.dtb", crc32: true,
			early: rpiEarly(), modules: rpiModules(), conf: rpiConf, hybrid: true,
			closed: "raspi-firmware (boot stages) and firmware-brcm80211 (Wi-Fi)", partitions: rpiPartitions(),
		},
		"qemu-virt-armv7": {
			arch: "arm", scripts: []string{"qemu-virt.cmd", "boot.cmd"},
			kernel: 0x40208000, // TEXT_OFFSET of a kernel for many machines: arch/arm/Makefile
			early:  append(early(), "sha256-arm"), modules: virtModules(), wifi: true, conf: virtConf, flash: true,
			partitions: partitions(),
		},
	}
}

// early reaches a slot on a virtio disk.
func early() []string { return []string{"virtio_mmio", "virtio_blk", "dm-verity", "squashfs"} }

// virtModules are those of QEMU's virt machine. The watchdog is i6300esb where the machine was given one, else the
// kernel's own. Its first radio, wlan0, is the board's; the lab makes an access point, a listener and a phone of the
// others.
func virtModules() []string {
	return append(wifiModules(), "crc32c_generic", "ext4", "virtio_pci", "virtio_net", "af_packet", "i6300esb", "softdog",
		"vivid n_devs=1 node_types=0x1", "mac80211_hwsim radios=4")
}

// rpiEarly reaches a slot on the card of a Raspberry Pi with BCM2837: its host is named bcm2835. The processor has no
// instructions for SHA-256.
func rpiEarly() []string { return []string{"bcm2835", "dm-verity", "squashfs", "sha256-arm64"} }

// rpiModules: the camera on the connector (firmware's own), the USB port with cameras and network adapters, Wi-Fi.
func rpiModules() []string {
	return []string{"crc32c_generic", "ext4", "af_packet", "vchiq", "bcm2835-v4l2", "phy-generic", "dwc2", "uvcvideo",
		"smsc95xx", "asix", "ax88179_178a", "r8152", "cdc_ether", "sdhci-iproc", "brcmfmac"}
}

// rpiPartitions: the boot stages take 7.5 MB, and the whole is 128 MiB: QEMU wants a power of two of a card.
func rpiPartitions() []partition {
	list := partitions()
	list[0].mib = 11
	return list
}

// wifiModules are what the kernel's own Wi-Fi stack encrypts with (net/mac80211/Kconfig): CCMP, BIP, GCMP.
func wifiModules() []string { return []string{"ccm", "ctr", "cmac", "gcm", "ghash-generic"} }

// partitions of a disk that fits the smallest cards. env, persist and keys are raw.
func partitions() []partition {
	return []partition{{"boot", 4}, {"env", 1}, {"slot-a", 24}, {"slot-b", 24}, {"persist", 1}, {"keys", 1}, {"data", 64}}
}

// commonConf is init.conf of every board, behind its modules: the agent is a user of its own who has the cameras, the
// watchdog and the partitions that it writes.
const commonConf = `
node video* 0 44 660
node watchdog0 1000 1000 600
node part:env 1000 1000 600
node part:slot-* 1000 1000 600
node part:persist 1000 1000 600
node part:keys 1000 1000 600
node part:update 1000 1000 400
data data 1000 1000
dir /run/network 1001 1001 755
service agent uid=1000 gid=1000 groups=44,1002 caps=sys_time trial=3 exec /usr/bin/agent run --state /data/agent
`

const rpiConf = `
node gpiochip* 1000 1000 600
node ttyS1 1000 1000 600
service address link=eth0 ` + udhcpc + "eth0\n"

// wifiConf is of boards with Wi-Fi. wpa_supplicant knows no network at first: who is in its group tells it one. The
// ear's socket is in a folder that only the agent's group may enter (docs/adr/0014-ear.md), and it runs while the
// agent listens.
const wifiConf = `
dir /run/wpa_supplicant 1001 1002 750
service wifi uid=1001 gid=1002 caps=net_admin,net_raw exec ` +
	"/usr/sbin/wpa_supplicant -q -i wlan0 -D nl80211 -c /etc/wpa_supplicant.conf\n" +
	"dir /run/ear 1004 1000 750\n" +
	"service ear uid=1004 gid=1004 socket=/run/ear/wlan0 caps=net_admin,net_raw exec " +
	"/usr/bin/agent ear --interface wlan0 --uid 1000\n" +
	"service wifi-address link=wlan0 " + udhcpc + "wlan0\n"

// udhcpc asks for an address; the interface stands behind it.
const udhcpc = "uid=1001 gid=1001 caps=net_admin,net_raw,net_bind_service exec " +
	"/bin/busybox udhcpc -f -R -t 8 -T 1 -A 2 -s /usr/lib/ocellus/dhcp -i "

const virtConf = `
node gpiochip* 1000 1000 600
node ttyS0 1000 1000 600
lab lab
service address link=eth0 ` + udhcpc + "eth0\n"
