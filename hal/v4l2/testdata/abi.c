// What the C compiler makes of linux/videodev2.h. Compiled to assembly only, never run: each mark is a line
// "->name value" in it. abi_test.go tells which compilers are asked.
#include <stddef.h>
#include <sys/ioctl.h>
#include <linux/videodev2.h>

#define VALUE(name, x) __asm__ volatile("\n.ascii \"->" name " %c0\"\n" : : "i"((int)(x)))
#define SIZE(s) VALUE("sizeof " #s, sizeof(struct s))
#define OFFSET(s, f) VALUE("offsetof " #s "." #f, offsetof(struct s, f))
#define NUMBER(x) VALUE(#x, x)

void marks(void) {
	SIZE(v4l2_capability);
	OFFSET(v4l2_capability, card);
	OFFSET(v4l2_capability, bus_info);
	OFFSET(v4l2_capability, capabilities);
	OFFSET(v4l2_capability, device_caps);
	SIZE(v4l2_fmtdesc);
	OFFSET(v4l2_fmtdesc, flags);
	OFFSET(v4l2_fmtdesc, description);
	OFFSET(v4l2_fmtdesc, pixelformat);
	SIZE(v4l2_frmsizeenum);
	OFFSET(v4l2_frmsizeenum, type);
	OFFSET(v4l2_frmsizeenum, discrete);
	OFFSET(v4l2_frmsizeenum, stepwise);
	SIZE(v4l2_frmivalenum);
	OFFSET(v4l2_frmivalenum, width);
	OFFSET(v4l2_frmivalenum, type);
	OFFSET(v4l2_frmivalenum, discrete);
	OFFSET(v4l2_frmivalenum, stepwise);
	SIZE(v4l2_format);
	OFFSET(v4l2_format, fmt);
	SIZE(v4l2_pix_format);
	OFFSET(v4l2_pix_format, field);
	OFFSET(v4l2_pix_format, bytesperline);
	OFFSET(v4l2_pix_format, sizeimage);
	OFFSET(v4l2_pix_format, priv);
	SIZE(v4l2_plane_pix_format);
	OFFSET(v4l2_plane_pix_format, bytesperline);
	SIZE(v4l2_pix_format_mplane);
	OFFSET(v4l2_pix_format_mplane, colorspace);
	OFFSET(v4l2_pix_format_mplane, plane_fmt);
	OFFSET(v4l2_pix_format_mplane, num_planes);
	SIZE(v4l2_streamparm);
	OFFSET(v4l2_streamparm, parm.capture.capability);
	OFFSET(v4l2_streamparm, parm.capture.timeperframe);
	OFFSET(v4l2_streamparm, parm.output.timeperframe);
	SIZE(v4l2_requestbuffers);
	OFFSET(v4l2_requestbuffers, memory);
	SIZE(v4l2_buffer);
	OFFSET(v4l2_buffer, bytesused);
	OFFSET(v4l2_buffer, flags);
	OFFSET(v4l2_buffer, timestamp);
	OFFSET(v4l2_buffer, timestamp.tv_usec);
	OFFSET(v4l2_buffer, sequence);
	OFFSET(v4l2_buffer, memory);
	OFFSET(v4l2_buffer, m);
	OFFSET(v4l2_buffer, length);
	SIZE(v4l2_plane);
	OFFSET(v4l2_plane, length);
	OFFSET(v4l2_plane, m);
	OFFSET(v4l2_plane, data_offset);
	SIZE(v4l2_control);
	SIZE(v4l2_queryctrl);
	OFFSET(v4l2_queryctrl, minimum);
	OFFSET(v4l2_queryctrl, step);
	OFFSET(v4l2_queryctrl, flags);
	SIZE(v4l2_querymenu);
	OFFSET(v4l2_querymenu, value);
	SIZE(v4l2_selection);
	OFFSET(v4l2_selection, target);
	OFFSET(v4l2_selection, r);
	SIZE(v4l2_encoder_cmd);
	OFFSET(v4l2_encoder_cmd, flags);
	NUMBER(VIDIOC_QUERYCAP);
	NUMBER(VIDIOC_ENUM_FMT);
	NUMBER(VIDIOC_G_FMT);
	NUMBER(VIDIOC_S_FMT);
	NUMBER(VIDIOC_REQBUFS);
	NUMBER(VIDIOC_QUERYBUF);
	NUMBER(VIDIOC_QBUF);
	NUMBER(VIDIOC_DQBUF);
	NUMBER(VIDIOC_STREAMON);
	NUMBER(VIDIOC_STREAMOFF);
	NUMBER(VIDIOC_G_PARM);
	NUMBER(VIDIOC_S_PARM);
	NUMBER(VIDIOC_G_CTRL);
	NUMBER(VIDIOC_S_CTRL);
	NUMBER(VIDIOC_QUERYCTRL);
	NUMBER(VIDIOC_QUERYMENU);
	NUMBER(VIDIOC_TRY_FMT);
	NUMBER(VIDIOC_ENUM_FRAMESIZES);
	NUMBER(VIDIOC_ENUM_FRAMEINTERVALS);
	NUMBER(VIDIOC_ENCODER_CMD);
	NUMBER(VIDIOC_S_SELECTION);
	NUMBER(V4L2_CAP_META_CAPTURE);
	NUMBER(V4L2_CAP_VIDEO_M2M);
	NUMBER(V4L2_CAP_VIDEO_M2M_MPLANE);
	NUMBER(V4L2_CAP_IO_MC);
	NUMBER(V4L2_CAP_TIMEPERFRAME);
	NUMBER(V4L2_BUF_FLAG_ERROR);
	NUMBER(V4L2_BUF_FLAG_KEYFRAME);
	NUMBER(V4L2_BUF_FLAG_LAST);
	NUMBER(V4L2_BUF_FLAG_TIMESTAMP_MASK);
	NUMBER(V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC);
	NUMBER(V4L2_EXPOSURE_MANUAL);
	NUMBER(V4L2_CID_EXPOSURE_AUTO);
	NUMBER(V4L2_CID_EXPOSURE_ABSOLUTE);
	NUMBER(V4L2_CID_AUTO_EXPOSURE_BIAS);
	NUMBER(V4L2_CID_MPEG_VIDEO_B_FRAMES);
	NUMBER(V4L2_CID_MPEG_VIDEO_GOP_SIZE);
	NUMBER(V4L2_CID_MPEG_VIDEO_BITRATE_MODE);
	NUMBER(V4L2_CID_MPEG_VIDEO_BITRATE);
	NUMBER(V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE);
	NUMBER(V4L2_CID_MPEG_VIDEO_HEADER_MODE);
	NUMBER(V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER);
	NUMBER(V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME);
	NUMBER(V4L2_CID_MPEG_VIDEO_H264_I_PERIOD);
	NUMBER(V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR);
}
