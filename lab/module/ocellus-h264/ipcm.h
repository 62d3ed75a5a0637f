/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * H.264 that needs no arithmetic: I_PCM and skipped macroblocks (ITU-T H.264, Constrained Baseline profile, CAVLC).
 *
 * An I picture holds every macroblock as samples. A P picture holds those that changed since a decoder saw them last,
 * as many as a budget allows, each in its turn; the others are skipped, so a decoder goes on showing what it has.
 * What a budget does not cut is lossless.
 *
 * Pure: samples in, bytes out. The kernel module includes it, and so does a program that is tested on the host.
 */
#ifndef OCELLUS_IPCM_H
#define OCELLUS_IPCM_H

#define IPCM_MB		384		/* bytes of a macroblock: 256 luma, 64 Cb, 64 Cr */
#define IPCM_HEADERS	256		/* more than SPS, PPS, slice header and trailing bits take */
#define IPCM_LEVEL	51		/* its MinCR and MaxMBPS allow a picture of samples (A.3.1) up to 2857 macroblocks */

/* A picture that goes in: planes of 4:2:0, chroma interleaved where chroma_step is 2. */
struct ipcm_source {
	const u8 *luma, *cb, *cr;
	unsigned int stride, chroma_stride, chroma_step;
};

/* What is kept from one picture to the next. */
struct ipcm {
	unsigned int width, height;	/* of the visible part, even */
	unsigned int across, down;	/* macroblocks */
	u8 *shown;			/* what a decoder shows now, macroblock by macroblock: across * down * IPCM_MB */
	u8 *coded;			/* one for each macroblock: it is in the picture at hand */
	unsigned int frame_num, idr_pic_id;
	unsigned int turn;		/* the macroblock that a P picture looks at first */
};

/* Writes NAL units. What does not fit is left out, and full says so. */
struct ipcm_writer {
	u8 *at, *end;
	unsigned int cache, bits;	/* bits that do not fill a byte yet */
	unsigned int zeros;		/* zero bytes that were written last */
	bool full;
};

static inline void ipcm_store(struct ipcm_writer *w, u8 b)
{
	if (w->at < w->end)
		*w->at++ = b;
	else
		w->full = true;
}

/* A byte of an RBSP. 00 00 00 to 00 00 03 must not appear in a NAL unit (7.4.1): a byte 03 keeps the third apart. */
static inline void ipcm_byte(struct ipcm_writer *w, u8 b)
{
	if (w->zeros == 2 && b <= 3) {
		ipcm_store(w, 3);
		w->zeros = 0;
	}
	ipcm_store(w, b);
	w->zeros = b ? 0 : w->zeros + 1;
}

/* u(n) */
static inline void ipcm_u(struct ipcm_writer *w, unsigned int n, u32 value)
{
	while (n--) {
		w->cache = w->cache << 1 | (value >> n & 1);
		if (++w->bits == 8) {
			ipcm_byte(w, w->cache);
			w->cache = 0;
			w->bits = 0;
		}
	}
}

/* ue(v), 9.1. se(v) is only ever 0 here, whose code is the same. */
static inline void ipcm_ue(struct ipcm_writer *w, u32 value)
{
	unsigned int n = 1;

	while ((value + 1) >> n)
		n++;
	ipcm_u(w, n - 1, 0);
	ipcm_u(w, n, value + 1);
}

static inline void ipcm_align(struct ipcm_writer *w)
{
	while (w->bits)
		ipcm_u(w, 1, 0);
}

static inline void ipcm_nal(struct ipcm_writer *w, u8 header)
{
	static const u8 start[] = { 0, 0, 0, 1 };
	unsigned int i;

	for (i = 0; i < sizeof(start); i++)
		ipcm_store(w, start[i]);
	ipcm_store(w, header);
	w->zeros = 0;
}

static inline void ipcm_trailing(struct ipcm_writer *w)
{
	ipcm_u(w, 1, 1);
	ipcm_align(w);
}

/* 7.3.2.1.1: Constrained Baseline, 8 bit frame_num, pictures come out in the order in which they went in. */
static inline void ipcm_sps(struct ipcm_writer *w, const struct ipcm *e)
{
	unsigned int right = e->across * 16 - e->width, bottom = e->down * 16 - e->height;

	ipcm_nal(w, 0x67);
	ipcm_u(w, 8, 66);		/* profile_idc */
	ipcm_u(w, 8, 0xc0);		/* constraint_set0_flag, constraint_set1_flag */
	ipcm_u(w, 8, IPCM_LEVEL);
	ipcm_ue(w, 0);			/* seq_parameter_set_id */
	ipcm_ue(w, 4);			/* log2_max_frame_num_minus4 */
	ipcm_ue(w, 2);			/* pic_order_cnt_type */
	ipcm_ue(w, 1);			/* max_num_ref_frames */
	ipcm_u(w, 1, 0);		/* gaps_in_frame_num_value_allowed_flag */
	ipcm_ue(w, e->across - 1);
	ipcm_ue(w, e->down - 1);
	ipcm_u(w, 1, 1);		/* frame_mbs_only_flag */
	ipcm_u(w, 1, 1);		/* direct_8x8_inference_flag */
	ipcm_u(w, 1, right || bottom);	/* frame_cropping_flag */
	if (right || bottom) {
		ipcm_ue(w, 0);
		ipcm_ue(w, right / 2);
		ipcm_ue(w, 0);
		ipcm_ue(w, bottom / 2);
	}
	ipcm_u(w, 1, 0);		/* vui_parameters_present_flag */
	ipcm_trailing(w);
}

/* 7.3.2.2 */
static inline void ipcm_pps(struct ipcm_writer *w)
{
	ipcm_nal(w, 0x68);
	ipcm_ue(w, 0);			/* pic_parameter_set_id */
	ipcm_ue(w, 0);			/* seq_parameter_set_id */
	ipcm_u(w, 1, 0);		/* entropy_coding_mode_flag: CAVLC */
	ipcm_u(w, 1, 0);		/* bottom_field_pic_order_in_frame_present_flag */
	ipcm_ue(w, 0);			/* num_slice_groups_minus1 */
	ipcm_ue(w, 0);			/* num_ref_idx_l0_default_active_minus1 */
	ipcm_ue(w, 0);			/* num_ref_idx_l1_default_active_minus1 */
	ipcm_u(w, 1, 0);		/* weighted_pred_flag */
	ipcm_u(w, 2, 0);		/* weighted_bipred_idc */
	ipcm_ue(w, 0);			/* pic_init_qp_minus26, se(v) */
	ipcm_ue(w, 0);			/* pic_init_qs_minus26, se(v) */
	ipcm_ue(w, 0);			/* chroma_qp_index_offset, se(v) */
	ipcm_u(w, 1, 1);		/* deblocking_filter_control_present_flag */
	ipcm_u(w, 1, 0);		/* constrained_intra_pred_flag */
	ipcm_u(w, 1, 0);		/* redundant_pic_cnt_present_flag */
	ipcm_trailing(w);
}

/* 7.3.3, of a picture in one slice */
static inline void ipcm_slice_header(struct ipcm_writer *w, const struct ipcm *e, bool idr)
{
	ipcm_nal(w, idr ? 0x65 : 0x61);
	ipcm_ue(w, 0);			/* first_mb_in_slice */
	ipcm_ue(w, idr ? 7 : 5);	/* slice_type: I or P, as all of the picture */
	ipcm_ue(w, 0);			/* pic_parameter_set_id */
	ipcm_u(w, 8, e->frame_num);
	if (idr) {
		ipcm_ue(w, e->idr_pic_id);
		ipcm_u(w, 1, 0);	/* no_output_of_prior_pics_flag */
		ipcm_u(w, 1, 0);	/* long_term_reference_flag */
	} else {
		ipcm_u(w, 1, 0);	/* num_ref_idx_active_override_flag */
		ipcm_u(w, 1, 0);	/* ref_pic_list_modification_flag_l0 */
		ipcm_u(w, 1, 0);	/* adaptive_ref_pic_marking_mode_flag */
	}
	ipcm_ue(w, 0);			/* slice_qp_delta, se(v) */
	ipcm_ue(w, 1);			/* disable_deblocking_filter_idc: samples stay as they are */
}

/* One block of n x n samples; what lies beyond the visible part repeats its edge. */
static inline u8 *ipcm_block(u8 *to, const u8 *plane, unsigned int stride, unsigned int step, unsigned int n,
			     unsigned int x, unsigned int y, unsigned int width, unsigned int height)
{
	unsigned int row, i;

	for (row = y; row < y + n; row++, to += n) {
		const u8 *from = plane + (size_t)(row < height ? row : height - 1) * stride;

		if (step == 1 && x + n <= width) {
			memcpy(to, from + x, n);
			continue;
		}
		for (i = 0; i < n; i++)
			to[i] = from[(x + i < width ? x + i : width - 1) * step];
	}
	return to;
}

static inline void ipcm_load(const struct ipcm *e, const struct ipcm_source *s, unsigned int mb, u8 *to)
{
	unsigned int x = mb % e->across, y = mb / e->across, w = e->width / 2, h = e->height / 2;

	to = ipcm_block(to, s->luma, s->stride, 1, 16, x * 16, y * 16, e->width, e->height);
	to = ipcm_block(to, s->cb, s->chroma_stride, s->chroma_step, 8, x * 8, y * 8, w, h);
	ipcm_block(to, s->cr, s->chroma_stride, s->chroma_step, 8, x * 8, y * 8, w, h);
}

/* Finds what goes into the picture, and takes it over into shown. */
static inline void ipcm_choose(struct ipcm *e, const struct ipcm_source *s, bool idr, size_t budget)
{
	unsigned int all = e->across * e->down, i, mb = e->turn % all;
	size_t room = budget / (IPCM_MB + 2);
	u8 now[IPCM_MB];

	if (idr)
		room = all;
	if (!room)
		room = 1;		/* or nothing would ever move */
	memset(e->coded, 0, all);
	for (i = 0; i < all && room; i++, mb = (mb + 1) % all) {
		u8 *shown = e->shown + (size_t)mb * IPCM_MB;

		ipcm_load(e, s, mb, now);
		if (!idr && !memcmp(now, shown, IPCM_MB))
			continue;
		memcpy(shown, now, IPCM_MB);
		e->coded[mb] = 1;
		room--;
	}
	e->turn = mb;
}

/* 7.3.4, of one slice with all macroblocks */
static inline void ipcm_slice_data(struct ipcm_writer *w, const struct ipcm *e, bool idr)
{
	unsigned int all = e->across * e->down, mb, i, skipped = 0;

	for (mb = 0; mb < all; mb++) {
		const u8 *shown = e->shown + (size_t)mb * IPCM_MB;

		if (!e->coded[mb]) {
			skipped++;
			continue;
		}
		if (!idr)
			ipcm_ue(w, skipped);	/* mb_skip_run */
		skipped = 0;
		ipcm_ue(w, idr ? 25 : 30);	/* mb_type: I_PCM (tables 7-11 and 7-13) */
		ipcm_align(w);			/* pcm_alignment_zero_bit */
		for (i = 0; i < IPCM_MB; i++)
			ipcm_byte(w, shown[i]);
	}
	if (skipped)
		ipcm_ue(w, skipped);
}

/* How many bytes a picture takes at most: two zeros in three bytes need a third one. */
static inline size_t ipcm_most(unsigned int across, unsigned int down)
{
	return IPCM_HEADERS + (size_t)across * down * (IPCM_MB * 3 / 2 + 8);
}

/*
 * Codes one picture into out and returns its bytes, or 0 where they are more than room: the next one has to be an IDR
 * then. headers puts SPS and PPS in front. budget is in bytes, for a P picture.
 */
static inline size_t ipcm_encode(struct ipcm *e, const struct ipcm_source *s, bool idr, bool headers, size_t budget,
				 u8 *out, size_t room)
{
	struct ipcm_writer w = { .at = out, .end = out + room };

	if (idr) {
		e->frame_num = 0;
		e->idr_pic_id ^= 1;
	} else {
		e->frame_num = (e->frame_num + 1) & 0xff;
	}
	ipcm_choose(e, s, idr, budget);
	if (headers) {
		ipcm_sps(&w, e);
		ipcm_pps(&w);
	}
	ipcm_slice_header(&w, e, idr);
	ipcm_slice_data(&w, e, idr);
	ipcm_trailing(&w);
	return w.full ? 0 : w.at - out;
}

#endif
