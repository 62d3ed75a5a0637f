// SPDX-License-Identifier: GPL-2.0-only
/*
 * ocellus-h264: a stateful V4L2 memory-to-memory encoder without hardware, for tests. Raw 4:2:0 goes in, H.264 made of
 * I_PCM and skipped macroblocks comes out (ipcm.h).
 *
 * It keeps the rules of the kernel's "Memory-to-Memory Stateful Video Encoder Interface" as the encoders of SoCs do:
 * sizes are rounded up to macroblocks and the visible part is a crop rectangle, rows are padded, a coded buffer grows
 * with the raw format, nothing changes once buffers are there, parameter sets come once unless they are asked for, and
 * work is done aside. There are two nodes, since drivers are of one kind or the other: single-planar and multi-planar,
 * where the planes may lie in memory of their own.
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <media/v4l2-ctrls.h>
#include <media/v4l2-device.h>
#include <media/v4l2-event.h>
#include <media/v4l2-ioctl.h>
#include <media/v4l2-mem2mem.h>
#include <media/videobuf2-vmalloc.h>

#include "ipcm.h"

#define NAME		"ocellus-h264"
#define NODES		2
#define MIN_SIZE	16
#define MAX_WIDTH	1920
#define MAX_HEIGHT	1088
#define ROW_ALIGN	64			/* bytes, as DMA engines like it */
#define MAX_CODED	(32u << 20)		/* bytes that a client may ask for */

struct raw_format {
	u32 fourcc;
	unsigned int planes;			/* in memory of their own */
	bool interleaved;
};

static const struct raw_format raw_formats[] = {
	{ V4L2_PIX_FMT_NV12, 1, true },
	{ V4L2_PIX_FMT_YUV420, 1, false },
	{ V4L2_PIX_FMT_NV12M, 2, true },	/* these two on the multi-planar node alone */
	{ V4L2_PIX_FMT_YUV420M, 3, false },
};

/* The raw format in force, or tried. */
struct raw {
	const struct raw_format *format;
	unsigned int width, height;		/* whole macroblocks */
	unsigned int stride;
	u32 colorspace, ycbcr_enc, quantization, xfer_func;
};

struct encoder_node {
	struct video_device vdev;
	struct v4l2_m2m_dev *m2m;
	struct mutex lock;			/* of ioctls and both queues */
	bool multiplanar;
};

struct device_state {
	struct v4l2_device v4l2;
	struct encoder_node nodes[NODES];
};

/* An opened node. */
struct session {
	struct v4l2_fh fh;
	struct encoder_node *node;
	struct v4l2_ctrl_handler controls;
	struct work_struct work;
	struct raw raw;
	struct v4l2_rect crop;			/* the visible part, at the origin */
	u32 coded_size;				/* sizeimage of the coded side */
	struct v4l2_fract interval;
	u32 raw_sequence, coded_sequence;

	int bitrate, gop, repeat_headers;	/* written by controls while the work reads */
	atomic_t force_key;

	struct ipcm ipcm;			/* of the work, while the raw queue streams */
	unsigned int since_idr;			/* pictures; of the work */
	bool begin;				/* the next picture is the first one */
};

static const struct v4l2_event eos = { .type = V4L2_EVENT_EOS };

static struct session *session_of(struct file *file)
{
	return container_of(file->private_data, struct session, fh);
}

/* Formats */

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

static unsigned int chroma_stride(const struct raw *r)
{
	return r->format->interleaved ? r->stride : r->stride / 2;
}

/* The bytes of a plane of memory. */
static u32 memory_size(const struct raw *r, unsigned int plane)
{
	u32 luma = r->stride * r->height, chroma = chroma_stride(r) * (r->height / 2);

	if (r->format->planes > 1)
		return plane ? chroma : luma;
	return luma + (r->format->interleaved ? chroma : 2 * chroma);
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

static const struct v4l2_ioctl_ops single_ioctls = {
	COMMON_IOCTLS,
	.vidioc_g_fmt_vid_cap = get_coded,
	.vidioc_try_fmt_vid_cap = try_coded,
	.vidioc_s_fmt_vid_cap = set_coded,
	.vidioc_g_fmt_vid_out = get_raw,
	.vidioc_try_fmt_vid_out = try_raw,
	.vidioc_s_fmt_vid_out = set_raw,
};

static const struct v4l2_ioctl_ops multi_ioctls = {
	COMMON_IOCTLS,
	.vidioc_g_fmt_vid_cap_mplane = get_coded,
	.vidioc_try_fmt_vid_cap_mplane = try_coded,
	.vidioc_s_fmt_vid_cap_mplane = set_coded,
	.vidioc_g_fmt_vid_out_mplane = get_raw,
	.vidioc_try_fmt_vid_out_mplane = try_raw,
	.vidioc_s_fmt_vid_out_mplane = set_raw,
};

/* The work: one picture in, one picture out */

static void point_at(const struct session *s, struct vb2_buffer *vb, struct ipcm_source *src)
{
	const struct raw *r = &s->raw;
	u32 luma = r->stride * r->height, chroma = chroma_stride(r) * (r->height / 2);
	u8 *first = vb2_plane_vaddr(vb, 0);

	src->luma = first;
	src->stride = r->stride;
	src->chroma_stride = chroma_stride(r);
	src->chroma_step = r->format->interleaved ? 2 : 1;
	src->cb = r->format->planes > 1 ? vb2_plane_vaddr(vb, 1) : first + luma;
	if (r->format->interleaved)
		src->cr = src->cb + 1;
	else
		src->cr = r->format->planes > 2 ? vb2_plane_vaddr(vb, 2) : src->cb + chroma;
}

/* How many bytes a P picture may take: bitrate over picture rate. An IDR takes what it takes. */
static size_t budget(const struct session *s)
{
	u64 bits = (u64)READ_ONCE(s->bitrate) * s->interval.numerator;

	return div_u64(bits, s->interval.denominator) / 8;
}

static enum vb2_buffer_state encode(struct session *s, struct vb2_v4l2_buffer *src, struct vb2_v4l2_buffer *dst)
{
	struct ipcm_source from;
	bool idr = s->begin || s->since_idr >= READ_ONCE(s->gop);
	bool headers = s->begin;
	size_t n;

	idr |= atomic_xchg(&s->force_key, 0) != 0;
	headers |= idr && READ_ONCE(s->repeat_headers);
	point_at(s, &src->vb2_buf, &from);
	n = ipcm_encode(&s->ipcm, &from, idr, headers, budget(s), vb2_plane_vaddr(&dst->vb2_buf, 0),
			vb2_plane_size(&dst->vb2_buf, 0));
	vb2_set_plane_payload(&dst->vb2_buf, 0, n);
	dst->flags &= ~(V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME);
	dst->flags |= idr ? V4L2_BUF_FLAG_KEYFRAME : V4L2_BUF_FLAG_PFRAME;
	s->begin = !n;			/* what did not fit is no reference for the next one */
	s->since_idr = idr ? 1 : s->since_idr + 1;
	return n ? VB2_BUF_STATE_DONE : VB2_BUF_STATE_ERROR;
}

static void work(struct work_struct *work)
{
	struct session *s = container_of(work, struct session, work);
	struct v4l2_m2m_ctx *m2m = s->fh.m2m_ctx;
	struct vb2_v4l2_buffer *src = v4l2_m2m_next_src_buf(m2m), *dst = v4l2_m2m_next_dst_buf(m2m);
	enum vb2_buffer_state state;

	v4l2_m2m_buf_copy_metadata(src, dst, true);
	state = encode(s, src, dst);
	src->sequence = s->raw_sequence++;
	dst->sequence = s->coded_sequence++;
	dst->field = V4L2_FIELD_NONE;
	if (v4l2_m2m_is_last_draining_src_buf(m2m, src)) {
		dst->flags |= V4L2_BUF_FLAG_LAST;
		v4l2_event_queue_fh(&s->fh, &eos);
		v4l2_m2m_mark_stopped(m2m);
	}
	v4l2_m2m_src_buf_remove(m2m);
	v4l2_m2m_dst_buf_remove(m2m);
	v4l2_m2m_buf_done(src, state);
	v4l2_m2m_buf_done(dst, state);
	v4l2_m2m_job_finish(s->node->m2m, m2m);
}

static void device_run(void *priv)
{
	struct session *s = priv;

	schedule_work(&s->work);
}

static const struct v4l2_m2m_ops m2m_ops = { .device_run = device_run };

/* Queues */

static u32 wanted_size(const struct session *s, const struct vb2_queue *q, unsigned int plane)
{
	return V4L2_TYPE_IS_OUTPUT(q->type) ? memory_size(&s->raw, plane) : s->coded_size;
}

static int queue_setup(struct vb2_queue *q, unsigned int *buffers, unsigned int *planes, unsigned int sizes[],
		       struct device *devices[])
{
	struct session *s = vb2_get_drv_priv(q);
	unsigned int want = V4L2_TYPE_IS_OUTPUT(q->type) ? s->raw.format->planes : 1, i;

	if (*planes && *planes != want)
		return -EINVAL;
	for (i = 0; i < want; i++) {
		if (*planes && sizes[i] < wanted_size(s, q, i))
			return -EINVAL;
		if (!*planes)
			sizes[i] = wanted_size(s, q, i);
	}
	*planes = want;
	return 0;
}

static int buf_out_validate(struct vb2_buffer *vb)
{
	to_vb2_v4l2_buffer(vb)->field = V4L2_FIELD_NONE;
	return 0;
}

static int buf_prepare(struct vb2_buffer *vb)
{
	struct session *s = vb2_get_drv_priv(vb->vb2_queue);
	unsigned int i;

	for (i = 0; i < vb->num_planes; i++) {
		u32 size = wanted_size(s, vb->vb2_queue, i);

		if (vb2_plane_size(vb, i) < size)
			return -EINVAL;
		if (V4L2_TYPE_IS_OUTPUT(vb->vb2_queue->type) && vb2_get_plane_payload(vb, i) < size)
			return -EINVAL;	/* half a picture */
	}
	return 0;
}

static void buf_queue(struct vb2_buffer *vb)
{
	struct session *s = vb2_get_drv_priv(vb->vb2_queue);
	struct vb2_v4l2_buffer *b = to_vb2_v4l2_buffer(vb);

	if (V4L2_TYPE_IS_CAPTURE(vb->vb2_queue->type) && vb2_is_streaming(vb->vb2_queue) &&
	    v4l2_m2m_dst_buf_is_last(s->fh.m2m_ctx)) {
		vb2_set_plane_payload(vb, 0, 0);
		b->field = V4L2_FIELD_NONE;
		b->sequence = s->coded_sequence++;
		v4l2_m2m_last_buffer_done(s->fh.m2m_ctx, b);
		v4l2_event_queue_fh(&s->fh, &eos);
		return;
	}
	v4l2_m2m_buf_queue(s->fh.m2m_ctx, b);
}

static void give_back(struct session *s, struct vb2_queue *q, enum vb2_buffer_state state)
{
	struct vb2_v4l2_buffer *b;

	for (;;) {
		b = V4L2_TYPE_IS_OUTPUT(q->type) ? v4l2_m2m_src_buf_remove(s->fh.m2m_ctx) :
						   v4l2_m2m_dst_buf_remove(s->fh.m2m_ctx);
		if (!b)
			return;
		v4l2_m2m_buf_done(b, state);
	}
}

static void forget(struct session *s)
{
	vfree(s->ipcm.shown);
	vfree(s->ipcm.coded);
	memset(&s->ipcm, 0, sizeof(s->ipcm));
}

/* The coder lives as long as the raw queue streams: its size can't change meanwhile. */
static int begin_coding(struct session *s)
{
	struct ipcm *e = &s->ipcm;

	e->width = s->crop.width;
	e->height = s->crop.height;
	e->across = DIV_ROUND_UP(e->width, 16);
	e->down = DIV_ROUND_UP(e->height, 16);
	e->shown = vmalloc(array3_size(e->across, e->down, IPCM_MB));
	e->coded = vmalloc(array_size(e->across, e->down));
	if (e->shown && e->coded)
		return 0;
	forget(s);
	return -ENOMEM;
}

static int start_streaming(struct vb2_queue *q, unsigned int count)
{
	struct session *s = vb2_get_drv_priv(q);
	int err = 0;

	v4l2_m2m_update_start_streaming_state(s->fh.m2m_ctx, q);
	s->begin = true;
	if (V4L2_TYPE_IS_OUTPUT(q->type)) {
		s->raw_sequence = 0;
		err = begin_coding(s);
	} else {
		s->coded_sequence = 0;
	}
	if (err)
		give_back(s, q, VB2_BUF_STATE_QUEUED);
	return err;
}

/* v4l2-mem2mem has waited for the work. */
static void stop_streaming(struct vb2_queue *q)
{
	struct session *s = vb2_get_drv_priv(q);

	give_back(s, q, VB2_BUF_STATE_ERROR);
	v4l2_m2m_update_stop_streaming_state(s->fh.m2m_ctx, q);
	if (!V4L2_TYPE_IS_OUTPUT(q->type))
		return;
	forget(s);
	if (v4l2_m2m_has_stopped(s->fh.m2m_ctx))
		v4l2_event_queue_fh(&s->fh, &eos);
}

static const struct vb2_ops queue_ops = {
	.queue_setup = queue_setup,
	.buf_out_validate = buf_out_validate,
	.buf_prepare = buf_prepare,
	.buf_queue = buf_queue,
	.start_streaming = start_streaming,
	.stop_streaming = stop_streaming,
	.wait_prepare = vb2_ops_wait_prepare,
	.wait_finish = vb2_ops_wait_finish,
};

static int queue_init(struct session *s, struct vb2_queue *q, u32 single, u32 multi)
{
	q->type = s->node->multiplanar ? multi : single;
	q->io_modes = VB2_MMAP | VB2_USERPTR | VB2_DMABUF;
	q->drv_priv = s;
	q->buf_struct_size = sizeof(struct v4l2_m2m_buffer);
	q->ops = &queue_ops;
	q->mem_ops = &vb2_vmalloc_memops;
	q->timestamp_flags = V4L2_BUF_FLAG_TIMESTAMP_COPY;
	q->lock = &s->node->lock;
	return vb2_queue_init(q);
}

static int queues_init(void *priv, struct vb2_queue *src, struct vb2_queue *dst)
{
	int err = queue_init(priv, src, V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE);

	return err ?: queue_init(priv, dst, V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
}

/* Controls */

static int set_control(struct v4l2_ctrl *c)
{
	struct session *s = container_of(c->handler, struct session, controls);

	switch (c->id) {
	case V4L2_CID_MPEG_VIDEO_BITRATE:
		WRITE_ONCE(s->bitrate, c->val);
		return 0;
	case V4L2_CID_MPEG_VIDEO_GOP_SIZE:
		WRITE_ONCE(s->gop, c->val);
		return 0;
	case V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER:
		WRITE_ONCE(s->repeat_headers, c->val);
		return 0;
	case V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME:
		atomic_set(&s->force_key, 1);
		return 0;
	}
	return -EINVAL;
}

static const struct v4l2_ctrl_ops control_ops = { .s_ctrl = set_control };

static int add_controls(struct session *s)
{
	struct v4l2_ctrl_handler *h = &s->controls;

	v4l2_ctrl_handler_init(h, 6);
	v4l2_ctrl_new_std(h, &control_ops, V4L2_CID_MPEG_VIDEO_BITRATE, 10000, 1000000000, 1, 4000000);
	v4l2_ctrl_new_std(h, &control_ops, V4L2_CID_MPEG_VIDEO_GOP_SIZE, 1, 65535, 1, 30);
	v4l2_ctrl_new_std(h, &control_ops, V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 0, 1, 1, 0);
	v4l2_ctrl_new_std(h, &control_ops, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 0, 0, 0, 0);
	v4l2_ctrl_new_std(h, NULL, V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, 1, 1, 1, 1);
	v4l2_ctrl_new_std_menu(h, NULL, V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE,
			       ~BIT(V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE),
			       V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE);
	if (h->error)
		return h->error;
	s->fh.ctrl_handler = h;
	v4l2_ctrl_handler_setup(h);
	atomic_set(&s->force_key, 0);	/* the set-up pressed the button */
	return 0;
}

/* Files */

static void set_defaults(struct session *s)
{
	s->raw.format = &raw_formats[0];
	s->raw.colorspace = V4L2_COLORSPACE_REC709;
	round_raw(&s->raw, 640, 480);
	s->crop.width = s->raw.width;
	s->crop.height = s->raw.height;
	s->coded_size = coded_size(&s->raw, 0);
	s->interval = (struct v4l2_fract){ 1, 25 };
}

static int open_node(struct file *file)
{
	struct encoder_node *n = video_drvdata(file);
	struct session *s = kzalloc(sizeof(*s), GFP_KERNEL);
	int err;

	if (!s)
		return -ENOMEM;
	s->node = n;
	INIT_WORK(&s->work, work);
	v4l2_fh_init(&s->fh, video_devdata(file));
	file->private_data = &s->fh;
	set_defaults(s);
	err = add_controls(s);
	if (err)
		goto free;
	s->fh.m2m_ctx = v4l2_m2m_ctx_init(n->m2m, s, queues_init);
	if (IS_ERR(s->fh.m2m_ctx)) {
		err = PTR_ERR(s->fh.m2m_ctx);
		goto free;
	}
	v4l2_fh_add(&s->fh);
	return 0;
free:
	v4l2_ctrl_handler_free(&s->controls);
	v4l2_fh_exit(&s->fh);
	kfree(s);
	return err;
}

static int release_node(struct file *file)
{
	struct session *s = session_of(file);

	mutex_lock(&s->node->lock);
	v4l2_m2m_ctx_release(s->fh.m2m_ctx);
	mutex_unlock(&s->node->lock);
	forget(s);
	v4l2_fh_del(&s->fh);
	v4l2_fh_exit(&s->fh);
	v4l2_ctrl_handler_free(&s->controls);
	kfree(s);
	return 0;
}

static const struct v4l2_file_operations file_ops = {
	.owner = THIS_MODULE,
	.open = open_node,
	.release = release_node,
	.poll = v4l2_m2m_fop_poll,
	.unlocked_ioctl = video_ioctl2,
	.mmap = v4l2_m2m_fop_mmap,
};

/* The device */

/* Called when the last file is closed, which may be long after the driver was unbound. */
static void release_device(struct v4l2_device *v4l2)
{
	struct device_state *d = container_of(v4l2, struct device_state, v4l2);
	unsigned int i;

	v4l2_device_unregister(v4l2);
	for (i = 0; i < NODES; i++)
		if (d->nodes[i].m2m)
			v4l2_m2m_release(d->nodes[i].m2m);
	kfree(d);
}

static int add_node(struct device_state *d, struct encoder_node *n, bool multiplanar)
{
	struct v4l2_m2m_dev *m2m = v4l2_m2m_init(&m2m_ops);

	if (IS_ERR(m2m))
		return PTR_ERR(m2m);
	n->m2m = m2m;
	n->multiplanar = multiplanar;
	mutex_init(&n->lock);
	n->vdev = (struct video_device){
		.vfl_dir = VFL_DIR_M2M,
		.fops = &file_ops,
		.ioctl_ops = multiplanar ? &multi_ioctls : &single_ioctls,
		.minor = -1,
		.release = video_device_release_empty,
		.lock = &n->lock,
		.v4l2_dev = &d->v4l2,
		.device_caps = V4L2_CAP_STREAMING | (multiplanar ? V4L2_CAP_VIDEO_M2M_MPLANE : V4L2_CAP_VIDEO_M2M),
	};
	strscpy(n->vdev.name, multiplanar ? NAME " multi-planar" : NAME " single-planar", sizeof(n->vdev.name));
	video_set_drvdata(&n->vdev, n);
	return video_register_device(&n->vdev, VFL_TYPE_VIDEO, -1);
}

static int probe(struct platform_device *pdev)
{
	struct device_state *d = kzalloc(sizeof(*d), GFP_KERNEL);
	int err;

	if (!d)
		return -ENOMEM;
	err = v4l2_device_register(&pdev->dev, &d->v4l2);
	if (err) {
		kfree(d);
		return err;
	}
	d->v4l2.release = release_device;
	platform_set_drvdata(pdev, d);
	err = add_node(d, &d->nodes[0], true);
	if (!err) {
		err = add_node(d, &d->nodes[1], false);
		if (err)
			video_unregister_device(&d->nodes[0].vdev);
	}
	if (err)
		v4l2_device_put(&d->v4l2);
	return err;
}

static int remove(struct platform_device *pdev)
{
	struct device_state *d = platform_get_drvdata(pdev);
	unsigned int i;

	for (i = 0; i < NODES; i++)
		video_unregister_device(&d->nodes[i].vdev);
	v4l2_device_disconnect(&d->v4l2);
	v4l2_device_put(&d->v4l2);
	return 0;
}

static struct platform_driver driver = {
	.probe = probe,
	.remove = remove,
	.driver = { .name = NAME },
};

static struct platform_device *device;

static int __init init(void)
{
	int err = platform_driver_register(&driver);

	if (err)
		return err;
	device = platform_device_register_simple(NAME, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(device)) {
		platform_driver_unregister(&driver);
		return PTR_ERR(device);
	}
	return 0;
}

static void __exit cleanup(void)
{
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
}

module_init(init);
module_exit(cleanup);
MODULE_DESCRIPTION("Virtual stateful H.264 encoder of I_PCM macroblocks, for tests");
MODULE_LICENSE("GPL");
