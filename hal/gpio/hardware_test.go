package gpio

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ocellus/ocellus/hal"
	"github.com/ocellus/ocellus/hal/haltest"
)

// line reads from the environment which line a test may use: OCELLUS_GPIO_LED=CHIP-LABEL:OFFSET, and the same for
// OCELLUS_GPIO_BUTTON. The virtual board has a PL061 with free lines: 9030000.pl061.
func line(t *testing.T, variable string) Line {
	t.Helper()
	value := os.Getenv(variable)
	for i := len(value) - 1; i >= 0; i-- {
		if value[i] != ':' {
			continue
		}
		offset, err := strconv.Atoi(value[i+1:])
		if err != nil {
			t.Fatalf("%s=%s: %v", variable, value, err)
		}
		return Line{Chip: value[:i], Offset: offset}
	}
	t.Skipf("%s=CHIP-LABEL:OFFSET names no line that may be used", variable)
	return Line{}
}

func TestHardwareLED(t *testing.T) {
	l := line(t, "OCELLUS_GPIO_LED")
	haltest.LED(t, func(t *testing.T) hal.LED {
		led, err := OpenLED(l)
		if err != nil {
			t.Fatal(err)
		}
		return led
	}, nil)
	led, err := OpenLED(l)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = led.Close() }()
	if second, err := OpenLED(l); err == nil {
		t.Error("a line is opened twice")
		_ = second.Close()
	}
}

func TestHardwareButton(t *testing.T) {
	l := line(t, "OCELLUS_GPIO_BUTTON")
	open := func(t *testing.T) hal.Button {
		b, err := OpenButton(l)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	haltest.Button(t, open, haltest.ButtonOptions{})
}

// TestHardwarePress waits for a press of the line that OCELLUS_GPIO_PRESS names. QEMU's machine presses its power button
// (9030000.pl061:3, free where gpio-keys is not loaded) for 100 ms when its monitor is told system_powerdown.
func TestHardwarePress(t *testing.T) {
	b, err := OpenButton(line(t, "OCELLUS_GPIO_PRESS"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	const patience = 15 * time.Second
	t.Log("PRESS NOW")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Pressed(ctx); err != nil {
		t.Fatal(err)
	}
	held, err := b.Next(ctx)
	if t.Logf("held for %v", held); err != nil || held < 50*time.Millisecond {
		t.Errorf("got %v, %v", held, err)
	}
}
