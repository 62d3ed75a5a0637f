package board

func dragonboard410c() Board {
	return Board{
		Name:  "dragonboard-410c",
		Title: "DragonBoard 410c (Qualcomm APQ8016)",
		Compatible: []string{
			"qcom,apq8016-sbc", // arch/arm64/boot/dts/qcom/apq8016-sbc.dts; with the camera: apq8016-sbc-d3-camera-mezzanine.dts
		},
		Cameras: []string{
			"qcom-camss", // drivers/media/platform/qcom/camss; its PIX node gives NV12 (admin-guide/media/qcom_camss.rst)
			"uvcvideo",   // drivers/media/usb/uvc: two USB host ports
		},
		Encoders: []string{
			// drivers/media/platform/qcom/venus: stateful H.264, NV12 in (venc.c); bitrate and key frame (venc_ctrls.c)
			"qcom-venus",
		},
		// ov5640 has 1280x720 at 30/s (drivers/media/i2c/ov5640.c); venus does 1080p30 in all
		Main:          Stream{1280, 720, 25, 2_500_000},
		Sub:           Stream{640, 360, 15, 512_000}, // same shape as main
		MemoryPercent: 25,                            // 1 GiB (board data sheet)
		Note: "the CSI camera needs its media graph set once after boot (media-ctl: sensor, csiphy, csid, ispif, " +
			"msm_vfe0_pix; kernel admin-guide/media/qcom_camss.rst) and venus its firmware (venus-1.8); USB cameras just work",
	}
}
