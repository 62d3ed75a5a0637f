// Package lab tests the product and not its parts: it runs the built binaries, agent and camctl, against the programs
// that people really use, and imports nothing of the module but its own helpers.
//
// The tests find the binaries in OCELLUS_BIN, or build them into a temporary directory. A tool that is missing (ffmpeg,
// GStreamer, openssl) fails its test with the verb that installs it; with NO_INSTALL=1 the test is skipped and says
// why. Tests that measure time run one after the other before the others, which run side by side.
//
// lab/bench measures; it judges nothing in make test.
package lab
