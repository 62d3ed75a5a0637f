package virt

import "time"

// Flicker switches the board on, waits for a line of the console, and cuts the power again: for what happens before the
// hand is there.
func (b *Board) Flicker(pattern string, limit time.Duration) string {
	b.t.Helper()
	b.switchOn()
	line := b.Expect(pattern, limit)
	b.Cut()
	return line
}

// Awaken switches the board on and waits for a line of the console. Await waits for the hand.
func (b *Board) Awaken(pattern string, limit time.Duration) string {
	b.t.Helper()
	b.switchOn()
	return b.Expect(pattern, limit)
}

// Forget makes every boot so far one that need not be awaited: the next Await is for one that begins now or later.
func (b *Board) Forget() {
	b.t.Helper()
	b.boots = b.machine.hand.count()
}

// EndRecord ends the recording of a board that is off: what it writes from its next start on is in no log.
func (b *Board) EndRecord() {
	b.t.Helper()
	if b.machine != nil {
		b.t.Fatal("end of a recording: the board is on")
	}
	b.options.Record = ""
}
