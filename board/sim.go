package board

func simulated() Board {
	return Board{
		Name:          "sim",
		Title:         "simulated camera",
		Simulated:     true,
		Main:          Stream{1280, 720, 25, 2_000_000}, // the usual main stream of an IP camera of this class
		Sub:           Stream{640, 360, 15, 512_000},    // same shape, a quarter of the bits: lists and slow links
		MemoryPercent: 25,                               // a developer's machine has other things to do
	}
}
