// SPDX-License-Identifier: GPL-2.0-only
/* What the ioctls say of formats, sizes, rates, and the commands. */
#include "encoder.h"

static const struct raw_format raw_formats[] = {
	{ V4L2_PIX_FMT_NV12, 1, true },
	{ V4L2_PIX_FMT_YUV420, 1, false },
	{ V4L2_PIX_FMT_NV12M, 2, true },	/* these two on the multi-planar node alone */
	{ V4L2_PIX_FMT_YUV420M, 3, false },
};

static unsigned int raw_format_count(const struct encoder_node *n)
{
	return n->multiplanar ? ARRAY_SIZE(raw_formats) : 2;
}

static const struct raw_format *find_raw(const struct encoder_node *n, u32 fourcc)
{
	unsigned int i;

	for (i = 0; i < raw_format_count(n); i++)
		if (raw_formats[i].fourcc == fourcc)
			return &raw_formats[i];
	return &raw_formats[0];
}

static void round_raw(struct raw *r, u32 width, u32 height)
{
	r->width = clamp(round_up(min(width, (u32)MAX_WIDTH), 16), (u32)MIN_SIZE, (u32)MAX_WIDTH);
	r->height = clamp(round_up(min(height, (u32)MAX_HEIGHT), 16), (u32)MIN_SIZE, (u32)MAX_HEIGHT);
	r->stride = round_up(r->width, ROW_ALIGN);
}

static u32 coded_size(const struct raw *r, u32 wish)
{
	return max_t(u32, ipcm_most(r->width / 16, r->height / 16), min(wish, MAX_CODED));
}

/* What both sides say of colours is what the client said of the raw one. */
static void put_colours(struct v4l2_format *f, const struct raw *r)
{
	if (V4L2_TYPE_IS_MULTIPLANAR(f->type)) {
		f->fmt.pix_mp.colorspace = r->colorspace;
		f->fmt.pix_mp.ycbcr_enc = r->ycbcr_enc;
		f->fmt.pix_mp.quantization = r->quantization;
		f->fmt.pix_mp.xfer_func = r->xfer_func;
		return;
	}
	f->fmt.pix.colorspace = r->colorspace;
	f->fmt.pix.ycbcr_enc = r->ycbcr_enc;
	f->fmt.pix.quantization = r->quantization;
	f->fmt.pix.xfer_func = r->xfer_func;
}

static void take_colours(const struct v4l2_format *f, struct raw *r)
{
	bool mp = V4L2_TYPE_IS_MULTIPLANAR(f->type);

	r->colorspace = mp ? f->fmt.pix_mp.colorspace : f->fmt.pix.colorspace;
	r->ycbcr_enc = mp ? f->fmt.pix_mp.ycbcr_enc : f->fmt.pix.ycbcr_enc;
	r->quantization = mp ? f->fmt.pix_mp.quantization : f->fmt.pix.quantization;
	r->xfer_func = mp ? f->fmt.pix_mp.xfer_func : f->fmt.pix.xfer_func;
	if (!r->colorspace)
		r->colorspace = V4L2_COLORSPACE_REC709;
}

static void put_raw(struct v4l2_format *f, const struct raw *r)
{
	unsigned int i;

	if (V4L2_TYPE_IS_MULTIPLANAR(f->type)) {
		struct v4l2_pix_format_mplane *p = &f->fmt.pix_mp;

		p->width = r->width;
		p->height = r->height;
		p->field = V4L2_FIELD_NONE;
		p->pixelformat = r->format->fourcc;
		p->num_planes = r->format->planes;
		for (i = 0; i < p->num_planes; i++) {
			p->plane_fmt[i].bytesperline = i ? chroma_stride(r) : r->stride;
			p->plane_fmt[i].sizeimage = memory_size(r, i);
		}
	} else {
		struct v4l2_pix_format *p = &f->fmt.pix;

		p->width = r->width;
		p->height = r->height;
		p->field = V4L2_FIELD_NONE;
		p->pixelformat = r->format->fourcc;
		p->bytesperline = r->stride;
		p->sizeimage = memory_size(r, 0);
	}
	put_colours(f, r);
}

static void put_coded(struct v4l2_format *f, const struct raw *r, u32 size)
{
	if (V4L2_TYPE_IS_MULTIPLANAR(f->type)) {
		struct v4l2_pix_format_mplane *p = &f->fmt.pix_mp;

		p->width = r->width;
		p->height = r->height;
		p->field = V4L2_FIELD_NONE;
		p->pixelformat = V4L2_PIX_FMT_H264;
		p->num_planes = 1;
		p->plane_fmt[0].bytesperline = 0;
		p->plane_fmt[0].sizeimage = size;
	} else {
		struct v4l2_pix_format *p = &f->fmt.pix;

		p->width = r->width;
		p->height = r->height;
		p->field = V4L2_FIELD_NONE;
		p->pixelformat = V4L2_PIX_FMT_H264;
		p->bytesperline = 0;
		p->sizeimage = size;
	}
	put_colours(f, r);
}

static int querycap(struct file *file, void *fh, struct v4l2_capability *cap)
{
	struct session *s = session_of(file);

	strscpy(cap->driver, NAME, sizeof(cap->driver));
	strscpy(cap->card, s->node->vdev.name, sizeof(cap->card));
	strscpy(cap->bus_info, "platform:" NAME, sizeof(cap->bus_info));
	return 0;
}

static int enum_coded(struct file *file, void *fh, struct v4l2_fmtdesc *f)
{
	if (f->index)
		return -EINVAL;
	f->pixelformat = V4L2_PIX_FMT_H264;
	return 0;
}

static int enum_raw(struct file *file, void *fh, struct v4l2_fmtdesc *f)
{
	struct session *s = session_of(file);

	if (f->index >= raw_format_count(s->node))
		return -EINVAL;
	f->pixelformat = raw_formats[f->index].fourcc;
	return 0;
}

static int get_coded(struct file *file, void *fh, struct v4l2_format *f)
{
	struct session *s = session_of(file);

	put_coded(f, &s->raw, s->coded_size);
	return 0;
}

static int get_raw(struct file *file, void *fh, struct v4l2_format *f)
{
	put_raw(f, &session_of(file)->raw);
	return 0;
}

/* Width and height of the coded side follow the raw one; a client only has a wish for the size of its buffers. */
static int try_coded(struct file *file, void *fh, struct v4l2_format *f)
{
	struct session *s = session_of(file);
	u32 wish = f->fmt.pix.sizeimage;

	if (V4L2_TYPE_IS_MULTIPLANAR(f->type))
		wish = f->fmt.pix_mp.plane_fmt[0].sizeimage;
	put_coded(f, &s->raw, coded_size(&s->raw, wish));
	return 0;
}

static void look_at_raw(struct session *s, struct v4l2_format *f, struct raw *r)
{
	if (V4L2_TYPE_IS_MULTIPLANAR(f->type)) {
		r->format = find_raw(s->node, f->fmt.pix_mp.pixelformat);
		round_raw(r, f->fmt.pix_mp.width, f->fmt.pix_mp.height);
	} else {
		r->format = find_raw(s->node, f->fmt.pix.pixelformat);
		round_raw(r, f->fmt.pix.width, f->fmt.pix.height);
	}
	take_colours(f, r);
	put_raw(f, r);
}

static int try_raw(struct file *file, void *fh, struct v4l2_format *f)
{
	struct raw r;

	look_at_raw(session_of(file), f, &r);
	return 0;
}

static int set_coded(struct file *file, void *fh, struct v4l2_format *f)
{
	struct session *s = session_of(file);

	if (vb2_is_busy(v4l2_m2m_get_dst_vq(s->fh.m2m_ctx)))
		return -EBUSY;
	try_coded(file, fh, f);
	s->coded_size = V4L2_TYPE_IS_MULTIPLANAR(f->type) ? f->fmt.pix_mp.plane_fmt[0].sizeimage : f->fmt.pix.sizeimage;
	return 0;
}

/* A raw format decides how large a coded picture may become, so neither queue may have buffers. */
static int set_raw(struct file *file, void *fh, struct v4l2_format *f)
{
	struct session *s = session_of(file);

	if (vb2_is_busy(v4l2_m2m_get_src_vq(s->fh.m2m_ctx)) || vb2_is_busy(v4l2_m2m_get_dst_vq(s->fh.m2m_ctx)))
		return -EBUSY;
	look_at_raw(s, f, &s->raw);
	s->crop.width = s->raw.width;
	s->crop.height = s->raw.height;
	s->coded_size = coded_size(&s->raw, s->coded_size);
	return 0;
}

static int get_selection(struct file *file, void *fh, struct v4l2_selection *sel)
{
	struct session *s = session_of(file);

	if (sel->type != V4L2_BUF_TYPE_VIDEO_OUTPUT)
		return -EINVAL;
	switch (sel->target) {
	case V4L2_SEL_TGT_CROP:
		sel->r = s->crop;
		return 0;
	case V4L2_SEL_TGT_CROP_DEFAULT:
	case V4L2_SEL_TGT_CROP_BOUNDS:
		sel->r = (struct v4l2_rect){ .width = s->raw.width, .height = s->raw.height };
		return 0;
	}
	return -EINVAL;
}

/* The visible part begins at the origin and is even. It is in the parameter sets, so it stays while buffers are there. */
static int set_selection(struct file *file, void *fh, struct v4l2_selection *sel)
{
	struct session *s = session_of(file);

	if (sel->type != V4L2_BUF_TYPE_VIDEO_OUTPUT || sel->target != V4L2_SEL_TGT_CROP)
		return -EINVAL;
	if (vb2_is_busy(v4l2_m2m_get_src_vq(s->fh.m2m_ctx)))
		return -EBUSY;
	s->crop.width = clamp(round_down(sel->r.width, 2u), 2u, s->raw.width);
	s->crop.height = clamp(round_down(sel->r.height, 2u), 2u, s->raw.height);
	sel->r = s->crop;
	return 0;
}

static int enum_sizes(struct file *file, void *fh, struct v4l2_frmsizeenum *e)
{
	struct session *s = session_of(file);

	if (e->index || (e->pixel_format != V4L2_PIX_FMT_H264 && find_raw(s->node, e->pixel_format)->fourcc != e->pixel_format))
		return -EINVAL;
	e->type = V4L2_FRMSIZE_TYPE_STEPWISE;
	e->stepwise = (struct v4l2_frmsize_stepwise){ MIN_SIZE, MAX_WIDTH, 16, MIN_SIZE, MAX_HEIGHT, 16 };
	return 0;
}

static int get_interval(struct file *file, void *fh, struct v4l2_streamparm *p)
{
	if (!V4L2_TYPE_IS_OUTPUT(p->type))
		return -EINVAL;
	p->parm.output.capability = V4L2_CAP_TIMEPERFRAME;
	p->parm.output.timeperframe = session_of(file)->interval;
	return 0;
}

static int set_interval(struct file *file, void *fh, struct v4l2_streamparm *p)
{
	struct v4l2_fract want = p->parm.output.timeperframe;

	if (!V4L2_TYPE_IS_OUTPUT(p->type))
		return -EINVAL;
	if (want.numerator && want.denominator)
		session_of(file)->interval = want;
	return get_interval(file, fh, p);
}

static int encoder_cmd(struct file *file, void *fh, struct v4l2_encoder_cmd *c)
{
	struct v4l2_m2m_ctx *m2m = session_of(file)->fh.m2m_ctx;
	int err = v4l2_m2m_ioctl_try_encoder_cmd(file, fh, c);

	if (err)
		return err;
	if (!vb2_is_streaming(v4l2_m2m_get_src_vq(m2m)) || !vb2_is_streaming(v4l2_m2m_get_dst_vq(m2m)))
		return 0;		/* there is nothing to drain */
	err = v4l2_m2m_ioctl_encoder_cmd(file, fh, c);
	if (err)
		return err;
	if (c->cmd == V4L2_ENC_CMD_STOP && v4l2_m2m_has_stopped(m2m))
		v4l2_event_queue_fh(&session_of(file)->fh, &eos);
	if (c->cmd == V4L2_ENC_CMD_START) {
		vb2_clear_last_buffer_dequeued(v4l2_m2m_get_dst_vq(m2m));
		v4l2_m2m_try_schedule(m2m);	/* pictures may have come since the drain */
	}
	return 0;
}

static int subscribe(struct v4l2_fh *fh, const struct v4l2_event_subscription *sub)
{
	if (sub->type == V4L2_EVENT_EOS)
		return v4l2_event_subscribe(fh, sub, 0, NULL);
	return v4l2_ctrl_subscribe_event(fh, sub);
}

#define COMMON_IOCTLS \
	.vidioc_querycap = querycap, \
	.vidioc_enum_fmt_vid_cap = enum_coded, \
	.vidioc_enum_fmt_vid_out = enum_raw, \
	.vidioc_enum_framesizes = enum_sizes, \
	.vidioc_g_selection = get_selection, \
	.vidioc_s_selection = set_selection, \
	.vidioc_g_parm = get_interval, \
	.vidioc_s_parm = set_interval, \
	.vidioc_reqbufs = v4l2_m2m_ioctl_reqbufs, \
	.vidioc_querybuf = v4l2_m2m_ioctl_querybuf, \
	.vidioc_qbuf = v4l2_m2m_ioctl_qbuf, \
	.vidioc_dqbuf = v4l2_m2m_ioctl_dqbuf, \
	.vidioc_prepare_buf = v4l2_m2m_ioctl_prepare_buf, \
	.vidioc_create_bufs = v4l2_m2m_ioctl_create_bufs, \
	.vidioc_expbuf = v4l2_m2m_ioctl_expbuf, \
	.vidioc_streamon = v4l2_m2m_ioctl_streamon, \
	.vidioc_streamoff = v4l2_m2m_ioctl_streamoff, \
	.vidioc_encoder_cmd = encoder_cmd, \
	.vidioc_try_encoder_cmd = v4l2_m2m_ioctl_try_encoder_cmd, \
	.vidioc_subscribe_event = subscribe, \
	.vidioc_unsubscribe_event = v4l2_event_unsubscribe

const struct v4l2_ioctl_ops single_ioctls = {
	COMMON_IOCTLS,
	.vidioc_g_fmt_vid_cap = get_coded,
	.vidioc_try_fmt_vid_cap = try_coded,
	.vidioc_s_fmt_vid_cap = set_coded,
	.vidioc_g_fmt_vid_out = get_raw,
	.vidioc_try_fmt_vid_out = try_raw,
	.vidioc_s_fmt_vid_out = set_raw,
};

const struct v4l2_ioctl_ops multi_ioctls = {
	COMMON_IOCTLS,
	.vidioc_g_fmt_vid_cap_mplane = get_coded,
	.vidioc_try_fmt_vid_cap_mplane = try_coded,
	.vidioc_s_fmt_vid_cap_mplane = set_coded,
	.vidioc_g_fmt_vid_out_mplane = get_raw,
	.vidioc_try_fmt_vid_out_mplane = try_raw,
	.vidioc_s_fmt_vid_out_mplane = set_raw,
};

void set_defaults(struct session *s)
{
	s->raw.format = &raw_formats[0];
	s->raw.colorspace = V4L2_COLORSPACE_REC709;
	round_raw(&s->raw, 640, 480);
	s->crop.width = s->raw.width;
	s->crop.height = s->raw.height;
	s->coded_size = coded_size(&s->raw, 0);
	s->interval = (struct v4l2_fract){ 1, 25 };
}
