package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// writerWait is how long a FIFO that a flag names may have no program that writes into it.
const writerWait = 3 * time.Second

// openNamed opens a file that a flag names, to be read. A FIFO that no program has opened for
// writing within writerWait is an error.
func openNamed(path string) (*os.File, error) { return openWithin(path, writerWait) }

// openWithin opens a file to be read, and gives a FIFO up that has no writer for so long.
func openWithin(path string, patience time.Duration) (*os.File, error) {
	var waker *os.File
	f, err := openLate(path, patience, func() {
		// A writer, also one of this process, ends the open that waits for one. If there can be
		// none, the open goes on.
		waker, _ = os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	})
	if waker == nil {
		return f, err
	}
	if err == nil {
		err = f.Close()
	}
	return nil, errors.Join(fmt.Errorf("%s is a FIFO, and no program has opened it for writing within %v; start that program first", path, patience), err, waker.Close())
}

// openLate opens a file to be read. It blocks while a FIFO has no writer, and calls late once
// if that lasts longer than patience. late has returned when openLate does.
func openLate(path string, patience time.Duration, late func()) (*os.File, error) {
	if info, err := os.Stat(path); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return os.Open(path)
	}
	called := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		defer close(called)
		late()
	})
	f, err := os.Open(path)
	if !timer.Stop() {
		<-called
	}
	return f, err
}

// namedMost bounds a file that a flag names and that is held in memory, in bytes: a device may
// have no end.
const namedMost = 16 << 20

// readNamed reads a file that a flag names, as openNamed opens it.
func readNamed(path string) ([]byte, error) {
	f, err := openNamed(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	text, err := io.ReadAll(io.LimitReader(f, namedMost+1))
	if err == nil && len(text) > namedMost {
		err = fmt.Errorf("%s is longer than %s; give another file", path, bytesText(namedMost))
	}
	return text, err
}

// loadPair is tls.LoadX509KeyPair of files that flags name.
func loadPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readNamed(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key := cert
	if keyFile != certFile { // a pipe can be read only once
		if key, err = readNamed(keyFile); err != nil {
			return tls.Certificate{}, err
		}
	}
	return tls.X509KeyPair(cert, key)
}
