package sim

import "math"

// Limited range (BT.601), and how much of it the black of a screen glows.
const (
	limitedBlack = 16
	limitedWhite = 235
	glow         = 40
)

// gamma is that of a camera (BT.709, roughly): twice the light is less than twice the luma.
const gamma = 2.2

// lighter is the factor of luma for so many thousandths of EV.
func lighter(milliEV int) float64 { return math.Exp2(float64(milliEV) / 1000 / gamma) }

// expose makes luma lighter or darker, and cuts it off where there is no more.
func expose(luma []byte, factor float64) {
	if factor == 1 {
		return
	}
	var table [256]byte
	for v := range table {
		lit := limitedBlack + float64(max(v-limitedBlack, 0))*factor
		table[v] = byte(min(lit, limitedWhite))
	}
	for i, v := range luma {
		luma[i] = table[v]
	}
}
