//go:build zbar

package main

/*
#cgo LDFLAGS: -lzbar
#include <stdlib.h>
#include <zbar.h>

// scan returns how many symbols zbar finds.
static int scan(zbar_image_scanner_t *s, zbar_image_t *i, const void *luma, unsigned w, unsigned h) {
	zbar_image_set_format(i, zbar_fourcc('Y', '8', '0', '0'));
	zbar_image_set_size(i, w, h);
	zbar_image_set_data(i, luma, (unsigned long)w * h, NULL);
	return zbar_scan_image(s, i);
}
*/
import "C"

import "unsafe"

// zbar is the library in its default setting: every row and column, QR codes alone.
type zbar struct {
	scanner *C.zbar_image_scanner_t
	image   *C.zbar_image_t
}

// newZbar returns a reader; inverted makes it look a second time with the light turned over (zbar 0.23.1).
func newZbar(inverted bool) *zbar {
	z := &zbar{scanner: C.zbar_image_scanner_create(), image: C.zbar_image_create()}
	C.zbar_image_scanner_set_config(z.scanner, C.ZBAR_NONE, C.ZBAR_CFG_ENABLE, 0)
	C.zbar_image_scanner_set_config(z.scanner, C.ZBAR_QRCODE, C.ZBAR_CFG_ENABLE, 1)
	if inverted {
		C.zbar_image_scanner_set_config(z.scanner, C.ZBAR_NONE, C.ZBAR_CFG_TEST_INVERTED, 1)
	}
	return z
}

// read returns the texts in a picture without padding.
func (z *zbar) read(luma []byte, w, h int) []string {
	if C.scan(z.scanner, z.image, unsafe.Pointer(&luma[0]), C.uint(w), C.uint(h)) <= 0 {
		return nil
	}
	var out []string
	for s := C.zbar_image_first_symbol(z.image); s != nil; s = C.zbar_symbol_next(s) {
		out = append(out, C.GoStringN(C.zbar_symbol_get_data(s), C.int(C.zbar_symbol_get_data_length(s))))
	}
	return out
}

func (z *zbar) close() {
	C.zbar_image_destroy(z.image)
	C.zbar_image_scanner_destroy(z.scanner)
}
