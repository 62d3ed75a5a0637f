// SPDX-License-Identifier: GPL-2.0-only
/* The buffers, and the work: one picture in, one picture out. */
#include <linux/vmalloc.h>
#include <media/videobuf2-vmalloc.h>

#include "encoder.h"

const struct v4l2_event eos = { .type = V4L2_EVENT_EOS };

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

void do_work(struct work_struct *work)
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

const struct v4l2_m2m_ops m2m_ops = { .device_run = device_run };

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

void forget(struct session *s)
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

int queues_init(void *priv, struct vb2_queue *src, struct vb2_queue *dst)
{
	int err = queue_init(priv, src, V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE);

	return err ?: queue_init(priv, dst, V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
}
