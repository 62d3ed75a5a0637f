// SPDX-License-Identifier: GPL-2.0-only
/*
 * The coder of the module as a program, for tests on the host: raw pictures on stdin, H.264 on stdout.
 *
 *	host WIDTH HEIGHT nv12|yu12 GOP BUDGET
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;

#include "ipcm.h"

static void point_at(const struct ipcm *e, const u8 *raw, bool interleaved, struct ipcm_source *s)
{
	size_t luma = (size_t)e->width * e->height;

	s->luma = raw;
	s->cb = raw + luma;
	s->cr = interleaved ? s->cb + 1 : s->cb + luma / 4;
	s->stride = e->width;
	s->chroma_stride = interleaved ? e->width : e->width / 2;
	s->chroma_step = interleaved ? 2 : 1;
}

int main(int argc, char **argv)
{
	struct ipcm e = { 0 };
	struct ipcm_source source;
	size_t raw_size, most, budget, n;
	unsigned int gop, i;
	u8 *raw, *out;

	if (argc != 6)
		return 2;
	e.width = atoi(argv[1]);
	e.height = atoi(argv[2]);
	gop = atoi(argv[4]);
	budget = atol(argv[5]);
	e.across = (e.width + 15) / 16;
	e.down = (e.height + 15) / 16;
	raw_size = (size_t)e.width * e.height * 3 / 2;
	most = ipcm_most(e.across, e.down);
	e.shown = malloc((size_t)e.across * e.down * IPCM_MB);
	e.coded = malloc((size_t)e.across * e.down);
	raw = malloc(raw_size);
	out = malloc(most);
	if (!e.shown || !e.coded || !raw || !out)
		return 1;
	point_at(&e, raw, !strcmp(argv[3], "nv12"), &source);
	for (i = 0; fread(raw, raw_size, 1, stdin) == 1; i++) {
		bool idr = i % gop == 0;

		n = ipcm_encode(&e, &source, idr, idr, budget, out, most);
		if (!n || fwrite(out, n, 1, stdout) != 1)
			return 1;
	}
	return 0;
}
