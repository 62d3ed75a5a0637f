// The few functions of OpenH264 2.1.1 that the encoder needs, behind one handle.
//
// The library is linked by github.com/pion/mediadevices/pkg/codec/openh264, whose own bridge can neither keep the
// parameter sets' numbers constant, nor be silent, nor describe colours, nor avoid an allocation for each picture.

#ifndef OCELLUS_OPENH264_BRIDGE_H
#define OCELLUS_OPENH264_BRIDGE_H

#include <stdint.h>

typedef struct oce_encoder oce_encoder;

typedef struct {
	int width, height;
	int bitrate; // bits per second
	float rate;  // pictures per second
} oce_config;

// The results of this bridge beside the library's own, which are positive (codec_def.h, CM_RETURN).
enum { OCE_NO_LIBRARY = -1, OCE_NO_MEMORY = -2 };

// oce_open makes an encoder; *result is 0 unless it returns NULL.
oce_encoder *oce_open(oce_config config, int *result);

// oce_coded tells what a call of oce_encode left in the encoder: size bytes, none for a skipped picture.
typedef struct {
	int result, size, idr;
} oce_coded;

// oce_encode codes an I420 picture.
oce_coded oce_encode(oce_encoder *e, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int stride, int chroma_stride,
                     int64_t milliseconds, int idr);

// oce_take copies what oce_encode left.
void oce_take(const oce_encoder *e, uint8_t *to);

int oce_set_bitrate(oce_encoder *e, int bitrate);

void oce_close(oce_encoder *e);

#endif
