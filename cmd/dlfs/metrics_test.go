package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dlfs/fetch/origintest"
)

// TestMetrics: a run shows its metrics on its socket, at an address and in a file, as
// promtool wants them, and says what it is about.
func TestMetrics(t *testing.T) {
	o := origintest.New()
	release := make(chan struct{})
	o.Put("/f", origintest.File{Content: origintest.Content{Size: 1 << 20}})
	o.Inject(origintest.Status(404).On("/g"))
	held := origintest.HoldAfter(200_000, release).On("/f").Method("GET")
	o.Inject(held)
	base, dir := o.Serve(t), t.TempDir()
	list, out, file, addr := filepath.Join(dir, "list"), filepath.Join(dir, "out"), filepath.Join(dir, "run.prom"), freeAddr(t)
	write(t, list, fmt.Appendf(nil, "f\t%s/f?Expires=4000000000\ng\t%s/g\n", base, base))
	p := startDlfs(t, nil, "fetch", list, out, "--metrics-listen", addr, "--metrics-file", file)
	if err := held.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	awaitKnown(t, out, 1) // the answer has a header, which comes after the fault is met
	a, err := order(t.Context(), out, "GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := io.ReadAll(a.resp.Body)
	a.close()
	if err != nil {
		t.Fatal(err)
	}
	_, shown := scrape(t, "http://"+addr+"/metrics", "")
	if resp, _ := scrape(t, "http://"+addr+"/debug/pprof/", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("profiles at the address: %v", resp.Status)
	}
	host := strings.TrimPrefix(base, "http://")
	for _, text := range []string{string(socket), string(shown)} {
		for _, want := range []string{
			"dlfs_bytes{kind=\"known\"} 1.048576e+06\n", "dlfs_files{state=\"fetching\"} 1\n", "dlfs_flights{class=\"prefetch\"} ",
			"dlfs_requests_total{code=\"404\",host=\"" + host + "\"} ", "dlfs_url_expires_timestamp_seconds 4e+09\n",
			"dlfs_url_expiry_files 1\n", "dlfs_paused{why=\"user\"} 0\n", "go_goroutines ", "process_open_fds ",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		promtool(t, text, "check", "metrics")
	}
	close(release)
	if code := p.wait(); code != exitFailed {
		t.Errorf("exit code %d: %s", code, p.said())
	}
	last, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dlfs_files{dir=\"" + out + "\",state=\"complete\"} 1\n", "dlfs_served_bytes_total{dir=\"" + out + "\",to=\"reader\"} ", "dlfs_received_bytes_total{dir=\"" + out + "\",source=\"origin\"} "} {
		if !strings.Contains(string(last), want) {
			t.Errorf("no %q at the end in\n%s", want, last)
		}
	}
	if strings.Contains(string(last), "\ngo_") || strings.Contains(string(last), "\nprocess_") {
		t.Error("the file has metrics of the process, which are the collector's own")
	}
	promtool(t, string(last), "check", "metrics")
}

// awaitKnown waits until the sizes of n files are known, a minute at most, which is a guard
// against hanging.
func awaitKnown(t *testing.T, dir string, n int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		s, err := askStatus(t.Context(), dir)
		if err == nil && s.FilesKnown == n && s.FilesFailed > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v", s, err)
		}
	}
}

// TestOpenMetrics: who asks for OpenMetrics gets it.
func TestOpenMetrics(t *testing.T) {
	o := origintest.New()
	o.Put("/f", origintest.File{Content: origintest.Content{Size: 1 << 20}})
	release := make(chan struct{})
	held := origintest.HoldAfter(0, release).Method("GET")
	o.Inject(held)
	dir, addr := t.TempDir(), freeAddr(t)
	list, out := filepath.Join(dir, "list"), filepath.Join(dir, "out")
	write(t, list, []byte("f\t"+o.Serve(t)+"/f\n"))
	p := startDlfs(t, nil, "fetch", list, out, "--metrics-listen", addr)
	if err := held.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	resp, text := scrape(t, "http://"+addr+"/metrics", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/openmetrics-text") || !bytes.HasSuffix(text, []byte("\n# EOF\n")) {
		t.Errorf("%s ends with %q", resp.Header.Get("Content-Type"), text[max(0, len(text)-20):])
	}
	// A profile of the process is on the socket.
	profile, err := orderText(t.Context(), out, "GET", "/debug/pprof/goroutine?debug=1")
	if err != nil || !strings.HasPrefix(profile, "goroutine profile: ") {
		t.Errorf("profile: %q, %v", profile, err)
	}
	close(release)
	p.wait()
}

// scrape asks for url once, as a client that accepts such an answer.
func scrape(t *testing.T, url, accept string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, text
}

// TestMetricsRefuse: an address that is taken, one that is none, and a file that no
// collector would read are one line each.
func TestMetricsRefuse(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	write(t, list, []byte("f\thttp://127.0.0.1:1/f\n"))
	taken := strings.TrimPrefix(origintest.New().Serve(t), "http://")
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitFailed, []string{"--metrics-listen", taken}},
		{exitUsage, []string{"--metrics-listen", "nonsense"}},
		{exitUsage, []string{"--metrics-file", filepath.Join(dir, "metrics.txt")}},
		{exitUsage, []string{"--metrics-file", "/dev/stdout"}},
	} {
		out, err := dlfs(t, append([]string{"fetch", list, filepath.Join(dir, "out")}, c.args...)...).CombinedOutput()
		if exitCode(err) != c.code || bytes.Count(out, []byte("\n")) != 1 {
			t.Errorf("%q: %v, %s", c.args, err, out)
		}
	}
}

// promtool has Prometheus' checker read text.
func promtool(t *testing.T, text string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	need(t, err)
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// TestMetricsAreNamedRight: the page names every metric, and the dashboard and the alerts
// name none that there is not.
func TestMetricsAreNamedRight(t *testing.T) {
	ch := make(chan *prometheus.Desc)
	go func() { // ends when all are received
		(&meters{}).Describe(ch)
		close(ch)
	}()
	page := documents(t)["doc/operation.md"]
	known := map[string]bool{}
	for d := range ch {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		known[name] = true
		if !strings.Contains(page, "| `"+name) {
			t.Errorf("doc/operation.md does not explain %s", name)
		}
	}
	for file, text := range map[string]string{"alerts": distText(t, "alerts.yml"), "grafana": distText(t, "grafana.json"), "page": page} {
		for _, name := range regexp.MustCompile(`\bdlfs_\w+`).FindAllString(text, -1) {
			if !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s names %s, which there is not", file, name)
			}
		}
	}
}

func distText(t *testing.T, name string) string {
	t.Helper()
	b, err := dist.ReadFile("dist/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAlerts: Prometheus reads the rules and the queries of the dashboard, and the rules
// fire when they should, and only then.
func TestAlerts(t *testing.T) {
	dir := t.TempDir()
	alerts, _, code := setup(t, "alerts")
	if code != exitOK || alerts != distText(t, "alerts.yml") {
		t.Errorf("setup alerts: exit code %d, %s", code, alerts)
	}
	write(t, filepath.Join(dir, "alerts.yml"), []byte(alerts))
	write(t, filepath.Join(dir, "test.yml"), []byte(alertsTest))
	promtool(t, "", "check", "rules", filepath.Join(dir, "alerts.yml"))
	promtool(t, "", "test", "rules", filepath.Join(dir, "test.yml"))

	board, _, code := setup(t, "grafana")
	if code != exitOK {
		t.Errorf("setup grafana: exit code %d", code)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(board), &dashboard); err != nil {
		t.Fatal(err)
	}
	rules, n := "groups: [{name: dashboard, rules: [\n", 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			q, err := json.Marshal(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
			if err != nil {
				t.Fatal(err)
			}
			rules += fmt.Sprintf("{record: 'query:%d', expr: %s},\n", n, q)
			n++
		}
	}
	if n < 15 {
		t.Errorf("the dashboard has %d queries", n)
	}
	write(t, filepath.Join(dir, "board.yml"), []byte(rules+"]}]\n"))
	promtool(t, "", "check", "rules", filepath.Join(dir, "board.yml"))
}

// alertsTest has one series in which all is well, and one for each alert. Times are in
// minutes.
const alertsTest = `
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'dlfs_files{instance="good", state="fetching"}', values: '3x60'}
      - {series: 'dlfs_files{instance="good", state="failed"}', values: '0x60'}
      - {series: 'dlfs_received_bytes_total{instance="good", source="origin"}', values: '0+1000x60'}
      - {series: 'dlfs_paused{instance="good", why="user"}', values: '0x60'}
      - {series: 'dlfs_paused{instance="good", why="disk"}', values: '0x60'}
      - {series: 'dlfs_hosts_waiting{instance="good"}', values: '0x60'}
      - {series: 'dlfs_url_expires_timestamp_seconds{instance="good"}', values: '1000000x60'}
      - {series: 'dlfs_files{instance="still", state="waiting"}', values: '3x60'}
      - {series: 'dlfs_received_bytes_total{instance="still", source="origin"}', values: '7x60'}
      - {series: 'dlfs_paused{instance="still", why="user"}', values: '0x60'}
      - {series: 'dlfs_paused{instance="still", why="disk"}', values: '0x60'}
      - {series: 'dlfs_hosts_waiting{instance="still"}', values: '0x60'}
      - {series: 'dlfs_files{instance="paused", state="waiting"}', values: '3x60'}
      - {series: 'dlfs_received_bytes_total{instance="paused", source="origin"}', values: '7x60'}
      - {series: 'dlfs_paused{instance="paused", why="user"}', values: '1x60'}
      - {series: 'dlfs_paused{instance="paused", why="disk"}', values: '0x60'}
      - {series: 'dlfs_hosts_waiting{instance="paused"}', values: '0x60'}
      - {series: 'dlfs_paused{instance="full", why="disk"}', values: '1x60'}
      - {series: 'dlfs_url_expires_timestamp_seconds{instance="old"}', values: '4000x60'}
      - {series: 'dlfs_files{instance="dead", state="needs-url"}', values: '2x60'}
      - {series: 'dlfs_files{instance="bad", state="mismatch"}', values: '1x60'}
    alert_rule_test:
      - {eval_time: 50m, alertname: DlfsStandsStill, exp_alerts: [{exp_labels: {severity: warning, instance: still}, exp_annotations: {
          summary: '3 files of still are incomplete, and no byte comes', description: 'A mount with --prefetch=none or opened is not concerned: silence this alert for it.'}}]}
      - {eval_time: 50m, alertname: DlfsDiskFull, exp_alerts: [{exp_labels: {severity: critical, instance: full, why: disk}, exp_annotations: {
          summary: 'Disk of full is full, and nothing more is fetched', description: 'Make room on the disk of the output directory; dlfs goes on by itself.'}}]}
      - {eval_time: 50m, alertname: DlfsUrlsExpireSoon, exp_alerts: [{exp_labels: {severity: warning, instance: old}, exp_annotations: {
          summary: 'URLs of old expire 16m 40s from now', description: 'Give a fresh list with "dlfs reload DIR LIST".'}}]}
      - {eval_time: 50m, alertname: DlfsFilesNeedUrl, exp_alerts: [{exp_labels: {severity: warning, instance: dead, state: needs-url}, exp_annotations: {
          summary: '2 files of dead need a new URL', description: 'Give a fresh list with "dlfs reload DIR LIST".'}}]}
      - {eval_time: 50m, alertname: DlfsFilesFail, exp_alerts: [{exp_labels: {severity: warning, instance: bad, state: mismatch}, exp_annotations: {
          summary: '1 files of bad are mismatch', description: '"dlfs status DIR" tells why.'}}]}
`
