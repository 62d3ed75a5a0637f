// The binary interface of OpenH264 2.1 as far as the bridge touches it (its C interface, codec_api.h and
// codec_app_def.h, BSD-2-Clause): the order and the types of the fields are the library's, the names are ours.

#ifndef OCELLUS_OPENH264_ABI_H
#define OCELLUS_OPENH264_ABI_H

#include <stdbool.h>

enum {
	ABI_SPATIAL_LAYERS = 4,
	ABI_SLICES = 35,
	ABI_LAYERS_OF_FRAME = 128,
	ABI_ALL_LAYERS = 4,

	ABI_CAMERA_REAL_TIME = 0,
	ABI_RC_BITRATE = 1,
	ABI_SINGLE_SLICE = 0,
	ABI_CONSTANT_ID = 0,
	ABI_LOG_QUIET = 0,
	ABI_I420 = 23,
	ABI_FRAME_IDR = 1,

	ABI_OPTION_BITRATE = 5,
	ABI_OPTION_TRACE_LEVEL = 25,
};

typedef struct {
	int mode;
	unsigned int count;
	unsigned int macroblocks[ABI_SLICES];
	unsigned int size;
} abi_slices;

typedef struct {
	int width, height;
	float rate;
	int bitrate, max_bitrate;
	int profile, level, qp;
	abi_slices slices;
	bool has_signal_type;
	unsigned char video_format;
	bool full_range;
	bool has_colour_description;
	unsigned char primaries, transfer, matrix;
	bool has_aspect_ratio;
	int aspect_ratio;
	unsigned short aspect_width, aspect_height;
} abi_layer;

typedef struct {
	int usage;
	int width, height, bitrate;
	int rc_mode;
	float max_rate;
	int temporal_layers, spatial_layers;
	abi_layer layers[ABI_SPATIAL_LAYERS];
	int complexity;
	unsigned int intra_period;
	int reference_frames;
	int id_strategy;
	bool prefix_nal, ssei, simulcast;
	int padding, cabac;
	bool frame_skip;
	int max_bitrate, max_qp, min_qp;
	unsigned int max_nal_size;
	bool long_term_reference;
	int long_term_references;
	unsigned int long_term_period;
	unsigned short threads;
	bool load_balancing;
	int deblocking, deblocking_alpha, deblocking_beta;
	bool denoise, background_detection, adaptive_quantization, cropping, scene_change;
	bool lossless_link;
} abi_params;

typedef struct {
	unsigned char temporal_id, spatial_id, quality_id;
	int frame_type;
	unsigned char layer_type;
	int sub_sequence;
	int nal_count;
	int *nal_sizes;
	unsigned char *data;
} abi_layer_info;

typedef struct {
	int layer_count;
	abi_layer_info layers[ABI_LAYERS_OF_FRAME];
	int frame_type;
	int size;
	long long timestamp;
} abi_frame_info;

typedef struct {
	int format;
	int stride[4];
	unsigned char *planes[4];
	int width, height;
	long long timestamp; // milliseconds
} abi_picture;

typedef struct {
	int layer;
	int bitrate;
} abi_bitrate;

typedef struct abi_functions abi_functions;
typedef const abi_functions *abi_encoder;

struct abi_functions {
	int (*initialize)(abi_encoder *, const void *);
	int (*initialize_ext)(abi_encoder *, const abi_params *);
	int (*default_params)(abi_encoder *, abi_params *);
	int (*uninitialize)(abi_encoder *);
	int (*encode)(abi_encoder *, const abi_picture *, abi_frame_info *);
	int (*encode_parameter_sets)(abi_encoder *, abi_frame_info *);
	int (*force_intra)(abi_encoder *, bool);
	int (*set_option)(abi_encoder *, int, void *);
	int (*get_option)(abi_encoder *, int, void *);
};

#endif
