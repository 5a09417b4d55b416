//go:build race

package main

// raceDetector says that the race detector is built in. It takes several times the
// memory, and all of the address space.
const raceDetector = true
