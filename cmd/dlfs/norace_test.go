//go:build !race

package main

// raceDetector says that the race detector is built in.
const raceDetector = false
