package main

import (
	"io"
	"net"
	"testing"

	"dlfs/cache/hosttest"
)

// What is written to a connection and has not arrived when it ends is lost.
func TestLostBytesAreCounted(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &wire{Listener: l, rate: 100_000}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := w.Accept()
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan int)
	go func() { // ends when the client has closed
		n, _ := server.Write(make([]byte, 64*mib))
		wrote <- n
	}()
	const read = 10_000
	if _, err := io.ReadFull(client, make([]byte, read)); err != nil {
		t.Fatal(err)
	}
	client.Close()
	n := <-wrote
	for range 2 { // the second is an error, and counts nothing
		server.Close()
	}
	if lost := int(w.lost.Load()); lost == 0 || n-lost < read {
		t.Errorf("wrote %d, of which %d are said to be lost", n, lost)
	}
}
