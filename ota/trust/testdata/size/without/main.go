// Command without is a small program that has what every part of the agent has: files, text, time, and the
// cryptography that TLS brings anyway.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

func main() {
	b, err := os.ReadFile(os.Args[1])
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("nothing there")
	}
	n, _ := strconv.Atoi(os.Args[2])
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(len(b), err, n, time.Now(), ctx.Err(), ed25519.Verify(b, b, b), sha256.Sum256(b))
}
