package v4l2

import "unsafe"

// Structures of linux/videodev2.h. Fields that the program does not use are blank. The layout is pinned by
// testdata/abi.golden, for 64 bit and for 32 bit.

type capability struct { // struct v4l2_capability
	driver       [16]byte
	card         [32]byte
	busInfo      [32]byte
	version      uint32
	capabilities uint32
	deviceCaps   uint32
	_            [3]uint32
}

type fmtDesc struct { // struct v4l2_fmtdesc
	index       uint32
	typ         uint32
	flags       uint32
	description [32]byte
	pixelFormat uint32
	_           [4]uint32 // mbus_code, reserved
}

type frmSizeEnum struct { // struct v4l2_frmsizeenum
	index       uint32
	pixelFormat uint32
	typ         uint32
	// discrete: width, height; stepwise: min_width, max_width, step_width, min_height, max_height, step_height
	size [6]uint32
	_    [2]uint32
}

type fract struct{ num, den uint32 } // struct v4l2_fract, seconds

type frmIvalEnum struct { // struct v4l2_frmivalenum
	index         uint32
	pixelFormat   uint32
	width, height uint32
	typ           uint32
	interval      [3]fract // discrete: the first; stepwise: min, max, step
	_             [2]uint32
}

type pixFormat struct { // struct v4l2_pix_format
	width, height uint32
	pixelFormat   uint32
	field         uint32
	bytesPerLine  uint32
	sizeImage     uint32
	colorspace    uint32
	priv          uint32
	_             [4]uint32 // flags, ycbcr_enc, quantization, xfer_func
}

type planePixFormat struct { // struct v4l2_plane_pix_format
	sizeImage    uint32
	bytesPerLine uint32
	_            [6]uint16
}

type pixFormatMP struct { // struct v4l2_pix_format_mplane
	width, height uint32
	pixelFormat   uint32
	field         uint32
	colorspace    uint32
	planes        [maxPlanes]planePixFormat
	numPlanes     uint8
	_             [11]uint8
}

type format struct { // struct v4l2_format
	typ uint32
	fmt [200 / unsafe.Sizeof(uintptr(0))]uintptr // the union, aligned as its pointers are
}

func (f *format) pix() *pixFormat  { return (*pixFormat)(unsafe.Pointer(&f.fmt)) }
func (f *format) mp() *pixFormatMP { return (*pixFormatMP)(unsafe.Pointer(&f.fmt)) }

type streamParm struct { // struct v4l2_streamparm; captureparm and outputparm begin alike
	typ          uint32
	capability   uint32
	mode         uint32
	timePerFrame fract
	_            [46]uint32
}

type requestBuffers struct { // struct v4l2_requestbuffers
	count  uint32
	typ    uint32
	memory uint32
	_      [2]uint32
}

// buffer is struct v4l2_buffer with struct timeval as two longs: the layout of 64 bit, and of 32 bit before time_t had
// 64 bits there. 32-bit kernels take it as VIDIOC_QUERYBUF_TIME32 and so on unless they were built without
// COMPAT_32BIT_TIME; then buffer64 serves. CLOCK_MONOTONIC does not reach 2^31 seconds.
type buffer struct {
	index     uint32
	typ       uint32
	bytesUsed uint32
	flags     uint32
	field     uint32
	sec       int
	usec      int
	_         [4]uint32 // timecode
	sequence  uint32
	memory    uint32
	m         uintptr // offset, or the address of the planes
	length    uint32  // of the buffer in bytes, or the number of planes
	_         uint32
	_         int32 // request_fd
}

// buffer64 is struct v4l2_buffer of a 32-bit kernel with a 64-bit time_t (ARM EABI: 64-bit words aligned to 8).
type buffer64 struct {
	index     uint32
	typ       uint32
	bytesUsed uint32
	flags     uint32
	field     uint32
	_         uint32
	sec       [2]uint32 // low word first
	usec      [2]uint32
	_         [4]uint32
	sequence  uint32
	memory    uint32
	m         uint32
	length    uint32
	_         [2]uint32 // reserved2, request_fd
}

type plane struct { // struct v4l2_plane
	bytesUsed  uint32 // includes dataOffset
	length     uint32
	m          uintptr // mem_offset
	dataOffset uint32
	_          [11]uint32
}

type control struct { // struct v4l2_control
	id    uint32
	value int32
}

type queryCtrl struct { // struct v4l2_queryctrl
	id            uint32
	typ           uint32
	name          [32]byte
	min, max      int32
	step, initial int32
	flags         uint32
	_             [2]uint32
}

type queryMenu struct { // struct v4l2_querymenu, of an integer menu
	id, index uint32
	value     [2]uint32 // of 64 bits, in a structure that is packed
	_         [7]uint32
}

type selection struct { // struct v4l2_selection
	typ, target, flags uint32
	left, top          int32
	width, height      uint32
	_                  [9]uint32
}

type encoderCmd struct { // struct v4l2_encoder_cmd
	cmd   uint32
	flags uint32
	_     [8]uint32
}

// Numbers of linux/videodev2.h.
const (
	maxPlanes = 8 // VIDEO_MAX_PLANES

	typeCapture   = 1 // V4L2_BUF_TYPE_VIDEO_CAPTURE
	typeOutput    = 2
	typeCaptureMP = 9
	typeOutputMP  = 10

	capCapture      = 0x00000001 // V4L2_CAP_VIDEO_CAPTURE
	capOutput       = 0x00000002
	capCaptureMP    = 0x00001000
	capOutputMP     = 0x00002000
	capM2MMP        = 0x00004000
	capM2M          = 0x00008000
	capMetaCapture  = 0x00800000
	capStreaming    = 0x04000000
	capIOMC         = 0x20000000
	capDeviceCaps   = 0x80000000
	fmtCompressed   = 0x0001 // V4L2_FMT_FLAG_COMPRESSED
	sizeDiscrete    = 1      // V4L2_FRMSIZE_TYPE_DISCRETE
	sizeContinuous  = 2
	sizeStepwise    = 3
	ivalDiscrete    = 1 // V4L2_FRMIVAL_TYPE_DISCRETE
	fieldNone       = 1
	memoryMMAP      = 1
	parmCapTPF      = 0x1000 // V4L2_CAP_TIMEPERFRAME
	encCmdStart     = 0
	encCmdStop      = 1
	selTgtCrop      = 0          // V4L2_SEL_TGT_CROP
	bufError        = 0x00000040 // V4L2_BUF_FLAG_ERROR
	bufKeyFrame     = 0x00000008
	bufTimeMask     = 0x0000e000
	bufTimeMono     = 0x00002000
	bufLast         = 0x00100000
	ctrlDisabled    = 0x0001 // V4L2_CTRL_FLAG_DISABLED
	ctrlReadOnly    = 0x0004
	ctrlMenu        = 3 // V4L2_CTRL_TYPE_MENU
	headerJoined    = 1 // V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME
	bitrateModeCBR  = 1 // V4L2_MPEG_VIDEO_BITRATE_MODE_CBR
	exposureManual  = 1 // V4L2_EXPOSURE_MANUAL
	cidExposureAuto = 0x009a0901
	cidExposureTime = 0x009a0902 // V4L2_CID_EXPOSURE_ABSOLUTE
	cidExposureBias = 0x009a0913 // V4L2_CID_AUTO_EXPOSURE_BIAS
	cidBFrames      = 0x009909ca
	cidGOPSize      = 0x009909cb
	cidBitrateMode  = 0x009909ce
	cidBitrate      = 0x009909cf
	cidFrameRC      = 0x009909d7 // V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE
	cidHeaderMode   = 0x009909d8
	cidRepeatHeader = 0x009909e2 // V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER
	cidForceKey     = 0x009909e5
	cidIPeriod      = 0x00990a66 // V4L2_CID_MPEG_VIDEO_H264_I_PERIOD
	cidPrependSPS   = 0x00990b84 // V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR
)

// Requests, as _IOC of asm-generic/ioctl.h makes them: direction, size of the argument, 'V', number. The generic
// encoding is that of ARM, ARM64, x86 and RISC-V (not of MIPS and PowerPC).
const (
	iow  = 1 << 30
	ior  = 2 << 30
	iowr = iow | ior
	v    = 'V' << 8

	vidiocQueryCap     = ior | v | 0 | unsafe.Sizeof(capability{})<<16
	vidiocEnumFmt      = iowr | v | 2 | unsafe.Sizeof(fmtDesc{})<<16
	vidiocGFmt         = iowr | v | 4 | unsafe.Sizeof(format{})<<16
	vidiocSFmt         = iowr | v | 5 | unsafe.Sizeof(format{})<<16
	vidiocReqBufs      = iowr | v | 8 | unsafe.Sizeof(requestBuffers{})<<16
	vidiocQueryBuf     = iowr | v | 9 | unsafe.Sizeof(buffer{})<<16
	vidiocQBuf         = iowr | v | 15 | unsafe.Sizeof(buffer{})<<16
	vidiocDQBuf        = iowr | v | 17 | unsafe.Sizeof(buffer{})<<16
	vidiocStreamOn     = iow | v | 18 | unsafe.Sizeof(int32(0))<<16
	vidiocStreamOff    = iow | v | 19 | unsafe.Sizeof(int32(0))<<16
	vidiocGParm        = iowr | v | 21 | unsafe.Sizeof(streamParm{})<<16
	vidiocSParm        = iowr | v | 22 | unsafe.Sizeof(streamParm{})<<16
	vidiocGCtrl        = iowr | v | 27 | unsafe.Sizeof(control{})<<16
	vidiocSCtrl        = iowr | v | 28 | unsafe.Sizeof(control{})<<16
	vidiocQueryCtrl    = iowr | v | 36 | unsafe.Sizeof(queryCtrl{})<<16
	vidiocQueryMenu    = iowr | v | 37 | unsafe.Sizeof(queryMenu{})<<16
	vidiocTryFmt       = iowr | v | 64 | unsafe.Sizeof(format{})<<16
	vidiocEnumFrmSizes = iowr | v | 74 | unsafe.Sizeof(frmSizeEnum{})<<16
	vidiocEnumFrmIvals = iowr | v | 75 | unsafe.Sizeof(frmIvalEnum{})<<16
	vidiocEncoderCmd   = iowr | v | 77 | unsafe.Sizeof(encoderCmd{})<<16
	vidiocSSelection   = iowr | v | 95 | unsafe.Sizeof(selection{})<<16
)
