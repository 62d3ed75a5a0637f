//go:build cgo && linux && (amd64 || arm64 || arm)

#include "bridge.h"

#include <stdlib.h>
#include <string.h>

#include "abi.h"

// Weak: the library comes into the program with another package, when the whole of it is linked.
__attribute__((weak)) int WelsCreateSVCEncoder(abi_encoder **);
__attribute__((weak)) void WelsDestroySVCEncoder(abi_encoder *);

struct oce_encoder {
	abi_encoder *engine;
	int width, height;
	abi_frame_info info; // of the last picture
};

// describe fills in what differs from the library's defaults.
static void describe(abi_params *p, const oce_config *c) {
	p->usage = ABI_CAMERA_REAL_TIME;
	p->width = c->width;
	p->height = c->height;
	p->bitrate = c->bitrate;
	p->rc_mode = ABI_RC_BITRATE;
	p->max_rate = c->rate;
	p->spatial_layers = p->temporal_layers = 1;
	p->intra_period = 0; // the GOP is counted above, so that it can change
	p->id_strategy = ABI_CONSTANT_ID;
	p->frame_skip = false;
	p->threads = 1;

	abi_layer *l = &p->layers[0];
	l->width = c->width;
	l->height = c->height;
	l->rate = c->rate;
	l->bitrate = c->bitrate;
	l->slices.mode = ABI_SINGLE_SLICE;
	l->slices.count = 1;

	// What cameras deliver unless told otherwise: BT.601 matrix, limited range, primaries of sRGB (H.264 table E-3 to E-5).
	l->has_signal_type = l->has_colour_description = true;
	l->video_format = 5;
	l->full_range = false;
	l->primaries = 1;
	l->transfer = 1;
	l->matrix = 6;
}

static int start(oce_encoder *e, const oce_config *c) {
	abi_params p;
	int quiet = ABI_LOG_QUIET, result;
	(*e->engine)->set_option(e->engine, ABI_OPTION_TRACE_LEVEL, &quiet);
	memset(&p, 0, sizeof p);
	if ((result = (*e->engine)->default_params(e->engine, &p)) != 0) return result;
	describe(&p, c);
	return (*e->engine)->initialize_ext(e->engine, &p);
}

oce_encoder *oce_open(oce_config config, int *result) {
	if (!WelsCreateSVCEncoder || !WelsDestroySVCEncoder) {
		*result = OCE_NO_LIBRARY;
		return NULL;
	}
	oce_encoder *e = calloc(1, sizeof *e);
	if (!e) {
		*result = OCE_NO_MEMORY;
		return NULL;
	}
	if ((*result = WelsCreateSVCEncoder(&e->engine)) != 0) {
		free(e);
		return NULL;
	}
	e->width = config.width;
	e->height = config.height;
	if ((*result = start(e, &config)) != 0) {
		oce_close(e);
		return NULL;
	}
	return e;
}

static int layer_size(const abi_layer_info *l) {
	int size = 0;
	for (int i = 0; i < l->nal_count; i++) size += l->nal_sizes[i];
	return size;
}

oce_coded oce_encode(oce_encoder *e, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int stride,
                     int chroma_stride, int64_t milliseconds, int idr) {
	abi_picture p;
	oce_coded coded = {0};
	memset(&p, 0, sizeof p);
	p.format = ABI_I420;
	p.stride[0] = stride;
	p.stride[1] = p.stride[2] = chroma_stride;
	p.planes[0] = (unsigned char *)y;
	p.planes[1] = (unsigned char *)cb;
	p.planes[2] = (unsigned char *)cr;
	p.width = e->width;
	p.height = e->height;
	p.timestamp = milliseconds;
	memset(&e->info, 0, sizeof e->info);
	if (idr) (*e->engine)->force_intra(e->engine, true);
	coded.result = (*e->engine)->encode(e->engine, &p, &e->info);
	if (coded.result != 0) return coded;
	for (int i = 0; i < e->info.layer_count; i++) coded.size += layer_size(&e->info.layers[i]);
	coded.idr = e->info.frame_type == ABI_FRAME_IDR;
	return coded;
}

void oce_take(const oce_encoder *e, uint8_t *to) {
	for (int i = 0; i < e->info.layer_count; i++) {
		int size = layer_size(&e->info.layers[i]);
		memcpy(to, e->info.layers[i].data, size);
		to += size;
	}
}

int oce_set_bitrate(oce_encoder *e, int bitrate) {
	abi_bitrate b = {ABI_ALL_LAYERS, bitrate};
	return (*e->engine)->set_option(e->engine, ABI_OPTION_BITRATE, &b);
}

void oce_close(oce_encoder *e) {
	(*e->engine)->uninitialize(e->engine);
	WelsDestroySVCEncoder(e->engine);
	free(e);
}
