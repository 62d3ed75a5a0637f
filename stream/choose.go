package stream

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ocellus/ocellus/hal"
)

// ErrNoWay: nothing that camera and encoders have leads to what is wanted.
var ErrNoWay = errors.New("no way from this camera to H.264")

// EncoderFacts is what the choice of a mode depends on: an encoder's name and the raw formats that it takes, the
// cheapest first.
type EncoderFacts struct {
	Name   string
	Inputs []hal.PixelFormat
}

// FactsOf asks the encoders, in the order of preference.
func FactsOf(encoders []hal.Encoder) []EncoderFacts {
	facts := make([]EncoderFacts, len(encoders))
	for i, e := range encoders {
		facts[i] = EncoderFacts{Name: e.Info().Name, Inputs: e.Inputs()}
	}
	return facts
}

// Wish is one output and whether somebody wants it now.
type Wish struct {
	Name   string
	Output Output
	Wanted bool
}

// Question is what the choice depends on.
type Question struct {
	Modes    []hal.Mode
	Encoders []EncoderFacts
	Wishes   []Wish // enabled outputs, the most important first; where none is wanted the first one counts
	Luma     bool   // somebody needs pictures, not only H.264
}

// Plan is how a camera is run.
type Plan struct {
	Mode     hal.Mode
	Straight bool   // the driver's H.264 goes out as it is; every output carries the same access units
	Luma     bool   // pictures can be looked at
	Streams  bool   // H.264 comes out
	Why      string // for a person: agent probe prints it
}

// Choose picks the mode of the camera. H.264 straight from the driver comes first. A raw or MJPEG mode and an encoder
// take its place where the driver has none, while somebody needs luma, and while two sizes are wanted at once.
func Choose(q Question) (Plan, error) {
	wanted := q.wanted()
	coded, isCoded := best(q.Modes, hal.PixelFormat.Coded, wanted[0].Output, nil)
	raw, isRaw := best(q.Modes, picture, envelope(q.Wishes), q.Encoders)
	encode := slices.ContainsFunc(q.Encoders, EncoderFacts.usable)
	straight := Plan{Mode: coded, Straight: true, Streams: true}
	straight.Why = fmt.Sprintf("%v straight from the camera", coded)
	encoded := Plan{Mode: raw, Luma: true, Streams: encode}
	encoded.Why = fmt.Sprintf("%v through %s", raw, names(q.Encoders))
	switch {
	case isRaw && q.Luma && (encode || q.onlyLuma()):
		encoded.Why += lumaWhy(isCoded, encode)
		return encoded, nil
	case isCoded && isRaw && encode && len(wanted) > 1:
		encoded.Why += ": two sizes are wanted, and the camera codes one at a time"
		return encoded, nil
	case isCoded:
		straight.Why += codedWhy(q.Luma, isRaw, encode, len(wanted))
		return straight, nil
	case isRaw && encode:
		encoded.Why += ": the camera has no H.264"
		return encoded, nil
	}
	return Plan{}, fmt.Errorf("choose mode: %w: it has %s, the board has %s",
		ErrNoWay, formats(q.Modes), names(q.Encoders))
}

func lumaWhy(coded, encode bool) string {
	switch {
	case !encode:
		return ": somebody needs pictures, nobody H.264"
	case coded:
		return ": somebody needs pictures, so H.264 of the camera is left aside"
	}
	return ": the camera has no H.264"
}

func codedWhy(luma, raw, encode bool, wanted int) string {
	var why string
	switch {
	case luma && !raw:
		why = "; pictures are unsupported: it has H.264 only"
	case luma && !encode:
		why = "; pictures are unsupported while it streams: the board has no encoder for its raw modes"
	}
	if wanted > 1 {
		why += "; the outputs carry the same pictures: it codes one size at a time"
	}
	return why
}

// wanted returns the wishes that somebody has now, the first wish where nobody has one.
func (q Question) wanted() []Wish {
	var w []Wish
	for _, wish := range q.Wishes {
		if wish.Wanted {
			w = append(w, wish)
		}
	}
	if len(w) > 0 {
		return w
	}
	if len(q.Wishes) > 0 {
		return q.Wishes[:1]
	}
	return []Wish{{Output: DefaultConfig().Main}}
}

// onlyLuma reports whether pictures are wanted and no stream is.
func (q Question) onlyLuma() bool {
	return q.Luma && !slices.ContainsFunc(q.Wishes, func(w Wish) bool { return w.Wanted })
}

// envelope returns the size and rate that hold all outputs: one capture serves them all.
func envelope(wishes []Wish) Output {
	if len(wishes) == 0 {
		return DefaultConfig().Main
	}
	var o Output
	for _, w := range wishes {
		o.Width, o.Height = max(o.Width, w.Output.Width), max(o.Height, w.Output.Height)
		o.FPS = max(o.FPS, w.Output.FPS)
	}
	return o
}

// picture reports whether the program can turn a frame of that format into a picture.
func picture(f hal.PixelFormat) bool { return f.Raw() || f == hal.MJPEG }

// usable reports whether an encoder takes a format that every picture can be turned into.
func (e EncoderFacts) usable() bool {
	return slices.Contains(e.Inputs, hal.YU12) || slices.Contains(e.Inputs, hal.NV12)
}

// best returns the mode of the wanted kind that is nearest to the output.
func best(modes []hal.Mode, kind func(hal.PixelFormat) bool, o Output, encoders []EncoderFacts) (hal.Mode, bool) {
	fit := slices.DeleteFunc(slices.Clone(modes), func(m hal.Mode) bool {
		return !kind(m.Format) || m.Width <= 0 || m.Height <= 0
	})
	if len(fit) == 0 {
		return hal.Mode{}, false
	}
	m := slices.MinFunc(fit, func(a, b hal.Mode) int { return compareModes(a, b, o, encoders) })
	if m.Rate == (hal.Rate{}) {
		m.Rate = o.Rate()
	}
	return m, true
}

// compareModes orders modes by how well they serve an output. A mode that crawls (below half the rate) comes last, then
// the size counts, then the rate, then what the format costs.
func compareModes(a, b hal.Mode, o Output, encoders []EncoderFacts) int {
	return cmp.Or(
		cmp.Compare(bit(rateOf(a, o) < 0.5), bit(rateOf(b, o) < 0.5)),
		cmp.Compare(bit(!covers(a, o)), bit(!covers(b, o))),
		cmp.Compare(bit(rateOf(a, o) < 0.95), bit(rateOf(b, o) < 0.95)),
		cmp.Compare(areaOff(a, o), areaOff(b, o)),
		cmp.Compare(formatCost(a.Format, encoders), formatCost(b.Format, encoders)),
		cmp.Compare(max(rateOf(a, o), 1/rateOf(a, o)), max(rateOf(b, o), 1/rateOf(b, o))),
	)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rateOf returns the mode's rate over the wanted one, 1 where it is unknown.
func rateOf(m hal.Mode, o Output) float64 {
	if m.Rate.Float() == 0 || o.FPS == 0 {
		return 1
	}
	return m.Rate.Float() / float64(o.FPS)
}

func covers(m hal.Mode, o Output) bool { return m.Width >= o.Width && m.Height >= o.Height }

func areaOff(m hal.Mode, o Output) int {
	off := m.Width*m.Height - o.Width*o.Height
	return max(off, -off)
}

// formatCost orders the picture formats by the work that they make for the preferred encoder.
func formatCost(f hal.PixelFormat, encoders []EncoderFacts) int {
	if i := slices.IndexFunc(encoders, EncoderFacts.usable); i >= 0 {
		if at := slices.Index(encoders[i].Inputs, f); at >= 0 {
			return at
		}
	}
	usual := []hal.PixelFormat{hal.YU12, hal.NV12, hal.YUYV, hal.MJPEG}
	return 100 + slices.Index(usual, f)
}

func names(encoders []EncoderFacts) string {
	if len(encoders) == 0 {
		return "no encoder"
	}
	all := make([]string, len(encoders))
	for i, e := range encoders {
		all[i] = e.Name
	}
	return strings.Join(all, " or ")
}

// formats lists the formats of modes, each once.
func formats(modes []hal.Mode) string {
	var all []string
	for _, m := range modes {
		if s := m.Format.String(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return "no modes"
	}
	return strings.Join(all, ", ")
}
