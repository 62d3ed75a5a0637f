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

#include "encoder.h"

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

static int open_node(struct file *file)
{
	struct encoder_node *n = video_drvdata(file);
	struct session *s = kzalloc(sizeof(*s), GFP_KERNEL);
	int err;

	if (!s)
		return -ENOMEM;
	s->node = n;
	INIT_WORK(&s->work, do_work);
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
