package v4l2

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// abi is what this program believes of linux/videodev2.h, on the machine that it was built for.
func abi() map[string]uintptr {
	var (
		c  capability
		fd fmtDesc
		fs frmSizeEnum
		fi frmIvalEnum
		f  format
		p  pixFormat
		pp planePixFormat
		mp pixFormatMP
		sp streamParm
		rb requestBuffers
		b  buffer
		pl plane
		ct control
		qc queryCtrl
		qm queryMenu
		se selection
		ec encoderCmd
	)
	return numbers(map[string]uintptr{
		"sizeof v4l2_capability":                             unsafe.Sizeof(c),
		"offsetof v4l2_capability.card":                      unsafe.Offsetof(c.card),
		"offsetof v4l2_capability.bus_info":                  unsafe.Offsetof(c.busInfo),
		"offsetof v4l2_capability.capabilities":              unsafe.Offsetof(c.capabilities),
		"offsetof v4l2_capability.device_caps":               unsafe.Offsetof(c.deviceCaps),
		"sizeof v4l2_fmtdesc":                                unsafe.Sizeof(fd),
		"offsetof v4l2_fmtdesc.flags":                        unsafe.Offsetof(fd.flags),
		"offsetof v4l2_fmtdesc.description":                  unsafe.Offsetof(fd.description),
		"offsetof v4l2_fmtdesc.pixelformat":                  unsafe.Offsetof(fd.pixelFormat),
		"sizeof v4l2_frmsizeenum":                            unsafe.Sizeof(fs),
		"offsetof v4l2_frmsizeenum.type":                     unsafe.Offsetof(fs.typ),
		"offsetof v4l2_frmsizeenum.discrete":                 unsafe.Offsetof(fs.size),
		"offsetof v4l2_frmsizeenum.stepwise":                 unsafe.Offsetof(fs.size),
		"sizeof v4l2_frmivalenum":                            unsafe.Sizeof(fi),
		"offsetof v4l2_frmivalenum.width":                    unsafe.Offsetof(fi.width),
		"offsetof v4l2_frmivalenum.type":                     unsafe.Offsetof(fi.typ),
		"offsetof v4l2_frmivalenum.discrete":                 unsafe.Offsetof(fi.interval),
		"offsetof v4l2_frmivalenum.stepwise":                 unsafe.Offsetof(fi.interval),
		"sizeof v4l2_format":                                 unsafe.Sizeof(f),
		"offsetof v4l2_format.fmt":                           unsafe.Offsetof(f.fmt),
		"sizeof v4l2_pix_format":                             unsafe.Sizeof(p),
		"offsetof v4l2_pix_format.field":                     unsafe.Offsetof(p.field),
		"offsetof v4l2_pix_format.bytesperline":              unsafe.Offsetof(p.bytesPerLine),
		"offsetof v4l2_pix_format.sizeimage":                 unsafe.Offsetof(p.sizeImage),
		"offsetof v4l2_pix_format.priv":                      unsafe.Offsetof(p.priv),
		"sizeof v4l2_plane_pix_format":                       unsafe.Sizeof(pp),
		"offsetof v4l2_plane_pix_format.bytesperline":        unsafe.Offsetof(pp.bytesPerLine),
		"sizeof v4l2_pix_format_mplane":                      unsafe.Sizeof(mp),
		"offsetof v4l2_pix_format_mplane.colorspace":         unsafe.Offsetof(mp.colorspace),
		"offsetof v4l2_pix_format_mplane.plane_fmt":          unsafe.Offsetof(mp.planes),
		"offsetof v4l2_pix_format_mplane.num_planes":         unsafe.Offsetof(mp.numPlanes),
		"sizeof v4l2_streamparm":                             unsafe.Sizeof(sp),
		"offsetof v4l2_streamparm.parm.capture.capability":   unsafe.Offsetof(sp.capability),
		"offsetof v4l2_streamparm.parm.capture.timeperframe": unsafe.Offsetof(sp.timePerFrame),
		"offsetof v4l2_streamparm.parm.output.timeperframe":  unsafe.Offsetof(sp.timePerFrame),
		"sizeof v4l2_requestbuffers":                         unsafe.Sizeof(rb),
		"offsetof v4l2_requestbuffers.memory":                unsafe.Offsetof(rb.memory),
		"sizeof v4l2_buffer":                                 unsafe.Sizeof(b),
		"offsetof v4l2_buffer.bytesused":                     unsafe.Offsetof(b.bytesUsed),
		"offsetof v4l2_buffer.flags":                         unsafe.Offsetof(b.flags),
		"offsetof v4l2_buffer.timestamp":                     unsafe.Offsetof(b.sec),
		"offsetof v4l2_buffer.timestamp.tv_usec":             unsafe.Offsetof(b.usec),
		"offsetof v4l2_buffer.sequence":                      unsafe.Offsetof(b.sequence),
		"offsetof v4l2_buffer.memory":                        unsafe.Offsetof(b.memory),
		"offsetof v4l2_buffer.m":                             unsafe.Offsetof(b.m),
		"offsetof v4l2_buffer.length":                        unsafe.Offsetof(b.length),
		"sizeof v4l2_plane":                                  unsafe.Sizeof(pl),
		"offsetof v4l2_plane.length":                         unsafe.Offsetof(pl.length),
		"offsetof v4l2_plane.m":                              unsafe.Offsetof(pl.m),
		"offsetof v4l2_plane.data_offset":                    unsafe.Offsetof(pl.dataOffset),
		"sizeof v4l2_control":                                unsafe.Sizeof(ct),
		"sizeof v4l2_queryctrl":                              unsafe.Sizeof(qc),
		"offsetof v4l2_queryctrl.minimum":                    unsafe.Offsetof(qc.min),
		"offsetof v4l2_queryctrl.step":                       unsafe.Offsetof(qc.step),
		"offsetof v4l2_queryctrl.flags":                      unsafe.Offsetof(qc.flags),
		"sizeof v4l2_querymenu":                              unsafe.Sizeof(qm),
		"offsetof v4l2_querymenu.value":                      unsafe.Offsetof(qm.value),
		"sizeof v4l2_selection":                              unsafe.Sizeof(se),
		"offsetof v4l2_selection.target":                     unsafe.Offsetof(se.target),
		"offsetof v4l2_selection.r":                          unsafe.Offsetof(se.left),
		"sizeof v4l2_encoder_cmd":                            unsafe.Sizeof(ec),
		"offsetof v4l2_encoder_cmd.flags":                    unsafe.Offsetof(ec.flags),
	})
}

// numbers adds the requests and constants.
func numbers(sizes map[string]uintptr) map[string]uintptr {
	out := map[string]uintptr{
		"VIDIOC_QUERYCAP":                           vidiocQueryCap,
		"VIDIOC_ENUM_FMT":                           vidiocEnumFmt,
		"VIDIOC_G_FMT":                              vidiocGFmt,
		"VIDIOC_S_FMT":                              vidiocSFmt,
		"VIDIOC_REQBUFS":                            vidiocReqBufs,
		"VIDIOC_QUERYBUF":                           vidiocQueryBuf,
		"VIDIOC_QBUF":                               vidiocQBuf,
		"VIDIOC_DQBUF":                              vidiocDQBuf,
		"VIDIOC_STREAMON":                           vidiocStreamOn,
		"VIDIOC_STREAMOFF":                          vidiocStreamOff,
		"VIDIOC_G_PARM":                             vidiocGParm,
		"VIDIOC_S_PARM":                             vidiocSParm,
		"VIDIOC_G_CTRL":                             vidiocGCtrl,
		"VIDIOC_QUERYMENU":                          vidiocQueryMenu,
		"V4L2_EXPOSURE_MANUAL":                      exposureManual,
		"V4L2_CID_EXPOSURE_AUTO":                    cidExposureAuto,
		"V4L2_CID_EXPOSURE_ABSOLUTE":                cidExposureTime,
		"V4L2_CID_AUTO_EXPOSURE_BIAS":               cidExposureBias,
		"VIDIOC_S_CTRL":                             vidiocSCtrl,
		"VIDIOC_QUERYCTRL":                          vidiocQueryCtrl,
		"VIDIOC_TRY_FMT":                            vidiocTryFmt,
		"VIDIOC_ENUM_FRAMESIZES":                    vidiocEnumFrmSizes,
		"VIDIOC_ENUM_FRAMEINTERVALS":                vidiocEnumFrmIvals,
		"VIDIOC_ENCODER_CMD":                        vidiocEncoderCmd,
		"VIDIOC_S_SELECTION":                        vidiocSSelection,
		"V4L2_CAP_META_CAPTURE":                     capMetaCapture,
		"V4L2_CAP_VIDEO_M2M":                        capM2M,
		"V4L2_CAP_VIDEO_M2M_MPLANE":                 capM2MMP,
		"V4L2_CAP_IO_MC":                            capIOMC,
		"V4L2_BUF_FLAG_ERROR":                       bufError,
		"V4L2_BUF_FLAG_LAST":                        bufLast,
		"V4L2_BUF_FLAG_TIMESTAMP_MASK":              bufTimeMask,
		"V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC":         bufTimeMono,
		"V4L2_CID_MPEG_VIDEO_B_FRAMES":              cidBFrames,
		"V4L2_CID_MPEG_VIDEO_GOP_SIZE":              cidGOPSize,
		"V4L2_CID_MPEG_VIDEO_BITRATE_MODE":          cidBitrateMode,
		"V4L2_CID_MPEG_VIDEO_BITRATE":               cidBitrate,
		"V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE":       cidFrameRC,
		"V4L2_CID_MPEG_VIDEO_HEADER_MODE":           cidHeaderMode,
		"V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER":     cidRepeatHeader,
		"V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME":       cidForceKey,
		"V4L2_CID_MPEG_VIDEO_H264_I_PERIOD":         cidIPeriod,
		"V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR": cidPrependSPS,
	}
	for name, n := range sizes {
		out[name] = n
	}
	return out
}

// abi64 is the part of the table that differs on 32 bit with a 64-bit time_t.
func abi64() map[string]uint32 {
	var b buffer64
	time64 := func(request uintptr) uint32 { return uint32(request&^(0x3fff<<16) | unsafe.Sizeof(b)<<16) }
	return map[string]uint32{
		"sizeof v4l2_buffer":                     uint32(unsafe.Sizeof(b)),
		"offsetof v4l2_buffer.bytesused":         uint32(unsafe.Offsetof(b.bytesUsed)),
		"offsetof v4l2_buffer.flags":             uint32(unsafe.Offsetof(b.flags)),
		"offsetof v4l2_buffer.timestamp":         uint32(unsafe.Offsetof(b.sec)),
		"offsetof v4l2_buffer.timestamp.tv_usec": uint32(unsafe.Offsetof(b.usec)),
		"offsetof v4l2_buffer.sequence":          uint32(unsafe.Offsetof(b.sequence)),
		"offsetof v4l2_buffer.memory":            uint32(unsafe.Offsetof(b.memory)),
		"offsetof v4l2_buffer.m":                 uint32(unsafe.Offsetof(b.m)),
		"offsetof v4l2_buffer.length":            uint32(unsafe.Offsetof(b.length)),
		"VIDIOC_QUERYBUF":                        time64(vidiocQueryBuf),
		"VIDIOC_QBUF":                            time64(vidiocQBuf),
		"VIDIOC_DQBUF":                           time64(vidiocDQBuf),
	}
}

// golden reads testdata/abi.golden: name -> values of 64 bit, 32 bit, 32 bit with 64-bit time_t.
func golden(t *testing.T) (names []string, values map[string][3]uint32) {
	t.Helper()
	text, err := os.ReadFile("testdata/abi.golden")
	if err != nil {
		t.Fatal(err)
	}
	values = make(map[string][3]uint32)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 || strings.HasPrefix(line, "#") {
			continue
		}
		var row [3]uint32
		for i := range row {
			n, err := strconv.ParseUint(cells[i+1], 0, 32)
			if err != nil {
				t.Fatal(err)
			}
			row[i] = uint32(n)
		}
		names = append(names, cells[0])
		values[cells[0]] = row
	}
	return names, values
}

func TestABI(t *testing.T) {
	t.Parallel()
	_, want := golden(t)
	column := 1 - int(wide)
	for name, got := range abi() {
		got := uint32(got)
		row, ok := want[name]
		if !ok {
			t.Errorf("%s is not in testdata/abi.golden", name)
		} else if got != row[column] {
			t.Errorf("%s = %#x, the kernel's header says %#x", name, got, row[column])
		}
	}
	for name, got := range abi64() {
		if got != want[name][2] {
			t.Errorf("32 bit, 64-bit time_t: %s = %#x, the kernel's header says %#x", name, got, want[name][2])
		}
	}
}

// TestABIGolden makes the golden table again with every compiler that is here.
func TestABIGolden(t *testing.T) {
	t.Parallel()
	names, want := golden(t)
	tests := []struct {
		column int
		cc     []string
	}{
		{0, []string{"x86_64-linux-gnu-gcc"}},
		{0, []string{"aarch64-linux-gnu-gcc"}},
		{1, []string{"arm-linux-gnueabihf-gcc"}},
		{2, []string{"arm-linux-gnueabihf-gcc", "-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64"}},
	}
	mark := regexp.MustCompile(`"->(.+) (-?\d+)"`)
	for _, tt := range tests {
		t.Run(strings.Join(tt.cc, " "), func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(tt.cc[0]); err != nil {
				t.Skipf("no %s here", tt.cc[0])
			}
			var stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), tt.cc[0], append(tt.cc[1:], "-S", "-o", "-", "testdata/abi.c")...)
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.Bytes())
			}
			got := make(map[string]uint32)
			for _, m := range mark.FindAllStringSubmatch(string(out), -1) {
				n, err := strconv.ParseInt(m[2], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				got[m[1]] = uint32(n)
			}
			for _, name := range names {
				if g, w := fmt.Sprintf("%#x", got[name]), fmt.Sprintf("%#x", want[name][tt.column]); g != w {
					t.Errorf("%s = %s, testdata/abi.golden says %s", name, g, w)
				}
			}
			if len(got) != len(names) {
				t.Errorf("%d marks, testdata/abi.golden has %d", len(got), len(names))
			}
		})
	}
}
