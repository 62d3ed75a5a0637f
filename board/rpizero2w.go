package board

func rpiZero2W() Board {
	return Board{
		Name:  "rpi-zero2w",
		Title: "Raspberry Pi Zero 2 W",
		Compatible: []string{
			"raspberrypi,model-zero-2-w", // arch/arm/boot/dts/broadcom/bcm2837-rpi-zero-2-w.dts
		},
		Cameras: []string{
			"bm2835 mmal", // drivers/staging/vc04_services/bcm2835-camera: H.264 straight from the firmware
			"uvcvideo",    // drivers/media/usb/uvc: a USB camera on the OTG port
		},
		Encoders: []string{
			// raspberrypi/linux drivers/staging/vc04_services/bcm2835-codec (/dev/video11), 1080p30; not in mainline
			"bcm2835-codec",
		},
		Serial: "/dev/ttyS1", // the mini UART, GPIO 14 and 15 (bcm283x.dtsi, uart1); the kernel's in a developer's image
		// drivers/net/wireless/broadcom/brcm80211/brcmfmac/feature.c: a monitor only with a firmware that has one
		WiFi: &WiFi{"wlan0", false},
		Main: Stream{1280, 720, 25, 2_500_000}, // half of what the codec does: sub shares it (1080p30 in all)
		Sub:  Stream{640, 360, 15, 512_000},    // same shape as main
		// 512 MiB (memory@0 in the .dts), 64 MiB or more of it the firmware's
		MemoryPercent: 30,
		Note: "a CSI camera needs the firmware's camera stack (start_x=1, camera_auto_detect=0, module bcm2835-v4l2); " +
			"under libcamera its node gives raw Bayer pictures, which the agent can't use; USB cameras just work",
	}
}
