package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleEnv makes this program play a part of its own run: what is measured must
// not share a process with who measures, nor an origin with a reader.
const roleEnv = "DLFS_BENCH_ROLE"

// play does the part that the environment asks for, and returns the exit code; ok is
// false if it asks for none, and the program is then the measurement itself. The orders
// of a part are JSON, one line on standard input.
func play() (code int, ok bool) {
	var part func(in *bufio.Reader, out io.Writer) error
	switch os.Getenv(roleEnv) {
	case "":
		return 0, false
	case "origin":
		part = playOrigin
	case "reader":
		part = playReader
	default:
		return 2, true
	}
	if err := part(bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// roleCommand returns a command that runs this program in a role. The caller may shape
// it, and starts it.
func roleCommand(ctx context.Context, role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := command(ctx, self)
	cmd.Env = append(cmd.Env, roleEnv+"="+role)
	return cmd, nil
}

// receive reads a line of JSON.
func receive(in *bufio.Reader, v any) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// send writes a line of JSON.
func send(out io.Writer, v any) error { return json.NewEncoder(out).Encode(v) }
