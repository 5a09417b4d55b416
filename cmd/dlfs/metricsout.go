package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// metricsFlags say where metrics are shown, beside the control socket, which always
// answers with them.
type metricsFlags struct {
	MetricsListen string `placeholder:"ADDR" help:"Serve metrics for Prometheus at http://ADDR/metrics, such as 127.0.0.1:9469; there is no login."`
	MetricsFile   string `placeholder:"FILE" help:"Write metrics to FILE every 15 seconds and at the end, for node_exporter's textfile collector; the name must end with .prom."`
}

// metricsEvery is how often the file of metrics is written.
const metricsEvery = 15 * time.Second

// validate refuses a file that node_exporter would not read: it reads regular files
// whose name ends with .prom.
func (f *metricsFlags) validate() error {
	if f.MetricsFile != "" && filepath.Ext(f.MetricsFile) != ".prom" {
		return usageError("--metrics-file %s does not end with .prom, and node_exporter would not read it", f.MetricsFile)
	}
	if _, err := metricsPlace(f.MetricsFile); errors.Is(err, errNotReplaced) {
		return usageError("--metrics-file %s %w", f.MetricsFile, err)
	}
	return nil
}

// errNotReplaced says why no file of metrics is written.
var errNotReplaced = errors.New("is no regular file, and node_exporter would not read it")

// metricsPlace returns the file that a file of metrics replaces: where path is a link, that
// to which it leads. What is no regular file is not replaced.
func metricsPlace(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errNotReplaced
	}
	return filepath.EvalSymlinks(path)
}

// listen takes the address of --metrics-listen; the listener is nil if there is none.
func (f *metricsFlags) listen() (net.Listener, error) {
	if f.MetricsListen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", f.MetricsListen)
	if err != nil {
		err = fmt.Errorf("--metrics-listen: %w", err)
		if errno := syscall.Errno(0); !errors.As(err, &errno) { // not the system's: no such address
			return nil, &exitError{exitUsage, err}
		}
		return nil, err
	}
	return l, nil
}

// showMetrics serves metrics at l, if that is not nil, and writes them to the file of
// --metrics-file, until the returned function is called, and then once more.
func (e *engine) showMetrics(f *metricsFlags, l net.Listener) (stop func()) {
	var done sync.WaitGroup
	ended := make(chan struct{})
	var server http.Server
	if l != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", metricsHandler(e))
		server = http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute,
			ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug)}
		// Serve returns http.ErrServerClosed after Close. Any other error ends the metrics and
		// nothing else, and the monitor sees it, since it gets no answer.
		done.Go(func() { server.Serve(l) }) // until Close; stop waits
	}
	if f.MetricsFile != "" {
		done.Go(func() { e.writeMetrics(f.MetricsFile, ended) }) // until ended; stop waits
	}
	return func() {
		close(ended)
		server.Close()
		done.Wait()
	}
}

// writeMetrics writes metrics to a file, beside it and then in its place, now and then
// until ended, and then once more. The textfile collector has the files of several
// processes in one place, so a label tells the directory; metrics of the process itself
// would be taken for the collector's own.
func (e *engine) writeMetrics(path string, ended <-chan struct{}) {
	r := prometheus.NewRegistry()
	prometheus.WrapRegistererWith(prometheus.Labels{"dir": e.store.Path()}, r).MustRegister(&meters{engine: e})
	write := func() {
		place, err := metricsPlace(path)
		if err == nil {
			err = writeSink(place, 0o666, func(w io.Writer) error { return writeText(w, r) })
		}
		if err != nil {
			e.log.Warn("metrics are not written", "file", path, "err", err)
		}
	}
	t := time.NewTicker(metricsEvery)
	defer t.Stop()
	for {
		write()
		select {
		case <-t.C:
		case <-ended:
			write()
			return
		}
	}
}

// writeText writes all metrics of r in the text format of Prometheus.
func writeText(w io.Writer, r *prometheus.Registry) error {
	families, err := r.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return err
		}
	}
	return nil
}
