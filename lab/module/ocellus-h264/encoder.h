/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the module share: device.c (nodes, files, controls), formats.c (ioctls), queues.c (buffers, work). */
#ifndef OCELLUS_ENCODER_H
#define OCELLUS_ENCODER_H

#include <linux/slab.h>
#include <linux/workqueue.h>
#include <media/v4l2-ctrls.h>
#include <media/v4l2-device.h>
#include <media/v4l2-event.h>
#include <media/v4l2-ioctl.h>
#include <media/v4l2-mem2mem.h>

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

static inline struct session *session_of(struct file *file)
{
	return container_of(file->private_data, struct session, fh);
}

static inline unsigned int chroma_stride(const struct raw *r)
{
	return r->format->interleaved ? r->stride : r->stride / 2;
}

/* The bytes of a plane of memory. */
static inline u32 memory_size(const struct raw *r, unsigned int plane)
{
	u32 luma = r->stride * r->height, chroma = chroma_stride(r) * (r->height / 2);

	if (r->format->planes > 1)
		return plane ? chroma : luma;
	return luma + (r->format->interleaved ? chroma : 2 * chroma);
}

/* formats.c */
extern const struct v4l2_ioctl_ops single_ioctls, multi_ioctls;
void set_defaults(struct session *s);

/* queues.c */
extern const struct v4l2_m2m_ops m2m_ops;
extern const struct v4l2_event eos;
int queues_init(void *priv, struct vb2_queue *src, struct vb2_queue *dst);
void do_work(struct work_struct *work);
void forget(struct session *s);

#endif
