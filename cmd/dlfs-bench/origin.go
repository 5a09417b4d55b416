package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"dlfs/fetch/origintest"
)

// originSpec is an origin of files made from seeds, which takes no disk and
// little memory however large the files are.
type originSpec struct {
	Addr      string // 127.0.0.1:0 if empty
	Loads     []load
	FirstByte time.Duration // before each answer
	Rate      int           // bytes a second of each connection, 0 for no limit
}

// originCounts is what an origin was asked and what it sent.
type originCounts struct {
	Requests  int
	BodyBytes int64 // that arrived at the client's machine
}

// playOrigin is the role "origin": it serves what its orders say until standard input
// ends. It writes its URL, and then, for each load that it reads from standard input,
// the counts of that load, or of everything for a load without files.
func playOrigin(in *bufio.Reader, out io.Writer) error {
	var spec originSpec
	if err := receive(in, &spec); err != nil {
		return err
	}
	o := origintest.New()
	if spec.FirstByte > 0 {
		o.Inject(origintest.FirstByteAfter(spec.FirstByte))
	}
	for _, l := range spec.Loads {
		for i := range l.Count {
			o.Put(l.url("", i), origintest.File{Content: l.content(i)})
		}
	}
	listener, err := net.Listen("tcp", spec.Addr)
	if err != nil {
		return err
	}
	w := &wire{Listener: listener, rate: spec.Rate}
	server := &http.Server{Handler: withFolders(o, spec)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(w) }() // waited for below
	err = send(out, "http://"+listener.Addr().String())
	for err == nil {
		var l load
		if err = receive(in, &l); err != nil {
			break
		}
		c := o.Counts()
		sum := originCounts{c.Requests, c.BodyBytes - w.lost.Load()}
		if l.Count > 0 {
			sum = l.of(c)
		}
		err = send(out, sum)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, server.Close(), notClosed(<-served))
}

// of returns the counts of the paths of one load. Its bytes are those that were written
// to connections; some of them may never have arrived.
func (l load) of(c origintest.Counts) (sum originCounts) {
	for path, n := range c.Paths {
		if strings.HasPrefix(path, "/"+l.folder()+"/") {
			sum.Requests += n.Requests
			sum.BodyBytes += n.BodyBytes
		}
	}
	return sum
}

// withFolders has o list each load as nginx does, for clients that go by such pages.
func withFolders(o http.Handler, spec originSpec) http.Handler {
	pages := http.NewServeMux()
	pages.Handle("/", o)
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for _, l := range spec.Loads {
			fmt.Fprintf(w, "<a href=\"%s/\">%s/</a>\n", l.folder(), l.folder())
		}
	})
	for _, l := range spec.Loads {
		pages.HandleFunc("GET /"+l.folder()+"/{$}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			for i := range l.Count {
				fmt.Fprintf(w, "<a href=\"%d\">%d</a>\n", i, i)
			}
		})
	}
	return pages
}

// notClosed returns err, or nil if err only says that the server was closed.
func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// virtual is a running origin, in a process of its own.
type virtual struct {
	url string
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// origin starts an origin for the row; into is nil, or puts its command into a
// network namespace.
func (s *stage) origin(ctx context.Context, spec originSpec, into shape) (*virtual, error) {
	if spec.Addr == "" {
		spec.Addr = "127.0.0.1:0"
	}
	cmd, err := roleCommand(ctx, "origin")
	if err != nil {
		return nil, err
	}
	into.apply(cmd)
	said := new(tail)
	cmd.Stderr = said
	v := &virtual{cmd: cmd}
	if v.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	v.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.atEnd(func() error { return errors.Join(v.in.Close(), cmd.Wait()) })
	if err := errors.Join(send(v.in, spec), receive(v.out, &v.url)); err != nil {
		return nil, fmt.Errorf("the origin: %w: %s", err, said)
	}
	return v, nil
}

// counts returns what the origin was asked so far.
func (v *virtual) counts() (originCounts, error) { return v.countsOf(load{}) }

// countsOf returns what it was asked of one load.
func (v *virtual) countsOf(l load) (c originCounts, err error) {
	err = errors.Join(send(v.in, l), receive(v.out, &c))
	return c, err
}
