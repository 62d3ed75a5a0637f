package board

func generic() Board {
	return Board{
		Name:  "generic",
		Title: "Linux with V4L2",
		// No Cameras and no Encoders: whatever the kernel shows, hardware before software.
		Main:          Stream{1280, 720, 25, 2_000_000}, // nearly every UVC camera has 1280x720 as MJPEG
		Sub:           Stream{640, 360, 15, 512_000},    // same shape as main
		MemoryPercent: 25,                               // other programs run here
		Note:          "a sensor that gives raw Bayer pictures needs an image processor in front (libcamera, v4l2loopback)",
	}
}
