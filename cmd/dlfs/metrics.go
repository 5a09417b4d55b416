package main

import (
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dlfs/fetch"
)

// meters turn the figures of an engine into metrics at each question
// (prometheus.Collector). Nothing is counted for the metrics alone: the engine counts,
// and meters read. Labels have few values, whose number does not grow with the list.
type meters struct {
	engine *engine
	expiry memo[edition, urlsDie] // to look at a million files takes a while
}

// describe returns the description of a metric, whose name gets the prefix dlfs_.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dlfs_"+name, help, labels, nil)
}

// The metrics. doc/operation.md has a row for each.
var (
	buildInfo      = describe("build_info", "Version of the program; the value is 1.", "version", "goversion")
	filesInState   = describe("files", "Files of the list, by state.", "state")
	bytesOf        = describe("bytes", "Bytes of the files: known is the sum of the sizes that are known, present what of that is materialized.", "kind")
	receivedBytes  = describe("received_bytes_total", "Body bytes received, by where they came from.", "source")
	servedBytes    = describe("served_bytes_total", "Bytes of files handed on, by who they were for.", "to")
	requestsMade   = describe("requests_total", "Requests made, by host and status; the status is 0 where no answer came.", "host", "code")
	readWait       = describe("read_wait_seconds", "How long reads waited that had to wait for their bytes.")
	probe          = describe("probe_seconds", "How long it took to ask an origin for the size and version of a file.")
	flightsOf      = describe("flights", "Requests under way for parts of files, by what they are made for.", "class")
	expiringFiles  = describe("url_expiry_files", "Incomplete files whose URL tells when it expires.")
	firstExpiry    = describe("url_expires_timestamp_seconds", "When the first URL of an incomplete file expires; absent if none tells.")
	secondsToFirst = describe("url_expires_in_seconds", "Seconds until then; negative afterwards.")
	pausedWhy      = describe("paused", "1 if prefetch stands still for this reason: user is dlfs pause, disk a full disk.", "why")
	hostsWaiting   = describe("hosts_waiting", "Hosts that are left alone, as they asked with Retry-After.")
	limitOf        = describe("limit_bytes_per_second", "Limit of what is received; 0 is none.")
	boundBytes     = describe("bound_bytes", "With --max-size: the bound, and what is used of it.", "kind")
	evictedBytes   = describe("evicted_bytes_total", "Bytes taken off the disk to make room.")
	refetchedBytes = describe("refetched_bytes_total", "Bytes received that had been evicted before.")
	readBytes      = describe("read_bytes_total", "With --max-size: bytes that readers asked for, by whether they were present.", "found")
	freeBytes      = describe("disk_free_bytes", "Bytes free on the disk of the output directory.")
)

// Describe sends the description of every metric, as prometheus.Collector asks for.
func (m *meters) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{buildInfo, filesInState, bytesOf, receivedBytes, servedBytes, requestsMade, readWait, probe, flightsOf,
		expiringFiles, firstExpiry, secondsToFirst, pausedWhy, hostsWaiting, limitOf, boundBytes, evictedBytes, refetchedBytes, readBytes, freeBytes} {
		ch <- d
	}
}

// Collect sends every metric as it is now. Prometheus calls it for each scrape, perhaps for
// several at once. Metrics of other machines and of --max-size are absent where there are none.
func (m *meters) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { send(d, prometheus.GaugeValue, v, labels...) }
	e := m.engine
	t, fs := e.set.Totals(), e.set.Figures()
	gauge(buildInfo, 1, version(), runtime.Version())
	for state, n := range e.set.States() {
		gauge(filesInState, float64(n), state)
	}
	gauge(bytesOf, float64(t.TotalBytes), "known")
	gauge(bytesOf, float64(t.PresentBytes), "present")
	send(receivedBytes, prometheus.CounterValue, float64(t.OriginBytes), "origin")
	send(servedBytes, prometheus.CounterValue, float64(fs.Read), "reader")
	// A label whose value is always zero would only cost the monitor memory.
	if e.group != nil {
		send(receivedBytes, prometheus.CounterValue, float64(t.PeerBytes), "peer")
		send(servedBytes, prometheus.CounterValue, float64(t.ServedBytes), "peer")
	}
	for _, r := range e.client.Requests() {
		send(requestsMade, prometheus.CounterValue, float64(r.N), r.Host, strconv.Itoa(r.Code))
	}
	ch <- histogram(readWait, fs.ReadWait)
	ch <- histogram(probe, fs.Probe)
	for class, n := range fs.Flights {
		gauge(flightsOf, float64(n), class)
	}
	x := m.expires()
	gauge(expiringFiles, float64(x.n))
	// Without a URL that tells its expiry there is no time that would be true.
	if x.n > 0 {
		gauge(firstExpiry, float64(x.first.Unix()))
		gauge(secondsToFirst, time.Until(x.first).Seconds())
	}
	gauge(pausedWhy, truth(t.Paused), "user")
	gauge(pausedWhy, truth(!e.store.FullSince().IsZero()), "disk")
	gauge(hostsWaiting, float64(len(e.client.Pauses())))
	gauge(limitOf, float64(e.limit.Get()))
	if b := e.set.Bound(); b != nil {
		gauge(boundBytes, float64(b.Max), "max")
		gauge(boundBytes, float64(b.Used), "used")
		send(evictedBytes, prometheus.CounterValue, float64(b.Evicted))
		send(refetchedBytes, prometheus.CounterValue, float64(b.Refetched))
		send(readBytes, prometheus.CounterValue, float64(b.Hit), "present")
		send(readBytes, prometheus.CounterValue, float64(b.Read-b.Hit), "missing")
	}
	if free, err := e.store.Free(); err == nil {
		gauge(freeBytes, float64(free))
	}
}

// expires returns when the first URL expires. It looks at all files, unless that was
// done less than expiryFor ago for the same list.
func (m *meters) expires() urlsDie {
	x, _ := m.expiry.get(edition(m.engine.set.Replaced()), expiryFor, func() (x urlsDie, err error) {
		x.first, x.n = m.engine.set.Expiry()
		return x, nil // always
	})
	return x
}

// histogram returns a histogram of Prometheus of the durations. Its bounds and its sum
// are in seconds.
func histogram(d *prometheus.Desc, ds fetch.Durations) prometheus.Metric {
	buckets := make(map[float64]uint64, len(ds.Upto))
	for bound, n := range ds.Upto {
		buckets[bound.Seconds()] = n
	}
	return prometheus.MustNewConstHistogram(d, ds.Count, ds.Sum.Seconds(), buckets)
}

// truth returns a bool as Prometheus has it: 1 for true, 0 for false.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// metricsHandler answers with the metrics of e and those of the process, in the text
// format of Prometheus, or as OpenMetrics if the request accepts that. It may be called
// concurrently.
func metricsHandler(e *engine) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&meters{engine: e}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn)})
}
