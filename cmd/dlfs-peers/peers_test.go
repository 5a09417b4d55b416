package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

const size = 1 << 20

// TestMain makes this binary a tool, too, if its first argument is fake.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "fake" {
		os.Exit(fake(os.Args[2], os.Args[3], os.Args[4]))
	}
	goleak.VerifyTestMain(m)
}

// fake gets url as a tool of that behaviour would, and returns its exit code.
func fake(behaviour, url, path string) int {
	if behaviour == "hangs" {
		never := make(chan os.Signal, 1)
		signal.Notify(never, syscall.SIGUSR1) // else a program without cgo ends itself, as nothing could wake it
		<-never
	}
	body, err := get(url)
	if err != nil {
		fmt.Println("one\ntwo\n" + err.Error())
		return 1
	}
	code := 0
	switch behaviour {
	case "is right, and asks twice":
		body, err = get(url)
	case "writes a wrong byte":
		body[len(body)/2]++
	case "writes too little":
		body = body[:len(body)/2]
	case "writes nothing":
		return 0
	case "gives up half-way":
		body, code = body[:len(body)/2], 3
	case "gives up, but leaves a wrong file":
		body[len(body)/2], code = 0, 4
	case "gives up though it is right":
		code = 5
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, body, 0o600)
	}
	if err != nil {
		return 100
	}
	return code
}

func get(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return io.ReadAll(resp.Body)
}

// fakeTool returns this binary as a tool.
func fakeTool(t *testing.T, behaviour string) tool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return tool{name: "fake", path: self, args: func(j job) ([]string, error) {
		return []string{"fake", behaviour, j.url, j.path()}, nil
	}}
}

// judgeFake runs one cell with a fake.
func judgeFake(t *testing.T, r row, behaviour string, limit time.Duration) result {
	t.Helper()
	m := &matrix{size: size, rate: 1 << 30, limit: limit}
	got, err := m.cell(t.Context(), r, fakeTool(t, behaviour), filepath.Join(t.TempDir(), "cell"))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var honest = row{name: "honest", set: func(*stage) {}}

func TestVerdicts(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	tests := []struct {
		behaviour string
		verdict   verdict
		exit      int
	}{
		{"is right", right, 0},
		{"writes a wrong byte", wrongBytes, 0},
		{"writes too little", wrongBytes, 0},
		{"writes nothing", wrongBytes, 0},
		{"gives up half-way", gaveUp, 3},
		{"gives up, but leaves a wrong file", leftWrong, 4},
		{"gives up though it is right", gaveUp, 5},
	}
	for _, tt := range tests {
		got := judgeFake(t, honest, tt.behaviour, time.Minute)
		if got.verdict != tt.verdict || got.exit != tt.exit || !got.met || len(got.log) != 1 || got.ratio != 1 {
			t.Errorf("a tool that %s: got %+v, want %s and exit code %d", tt.behaviour, got, tt.verdict, tt.exit)
		}
	}
}

func TestAToolIsStoppedAtTheLimit(t *testing.T) {
	got := judgeFake(t, honest, "hangs", 200*time.Millisecond)
	if got.verdict != hung || got.exit != -1 || len(got.log) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestWhatTheOriginSentIsCounted(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	got := judgeFake(t, honest, "is right, and asks twice", time.Minute)
	if got.verdict != right || got.ratio != 2 || len(got.log) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestTheLastWordsAreKept(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	r := one("refused", func() *origintest.Fault { return origintest.Status(503) })
	if got := judgeFake(t, r, "is right", time.Minute); got.verdict != gaveUp || got.words != "two / status 503" {
		t.Errorf("got %+v", got)
	}
}

// What is not asked for is not proof of anything.
func TestAFaultThatWasNotMetIsMarked(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	r := one("HEAD refused", func() *origintest.Fault { return origintest.RefuseHead(403) })
	got := judgeFake(t, r, "is right", time.Minute)
	if got.verdict != right || got.met {
		t.Errorf("got %+v", got)
	}
	if got := got.text(false); got != "right 1.00 *" {
		t.Errorf("cell %q", got)
	}
}

func TestEveryVersionIsRightAndAMixtureIsNot(t *testing.T) {
	old, new := origintest.Content{Seed: 1, Size: size}, origintest.Content{Seed: 2, Size: size / 2}
	mixture := append(old.Bytes()[:size/4], new.Bytes()[size/4:]...)
	path := filepath.Join(t.TempDir(), "f")
	for _, tt := range []struct {
		body []byte
		want verdict
	}{{old.Bytes(), right}, {new.Bytes(), right}, {mixture, wrongBytes}} {
		if err := os.WriteFile(path, tt.body, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := judge(0, path, []origintest.Content{old, new})
		if err != nil || got != tt.want {
			t.Errorf("got %s, %v; want %s", got, err, tt.want)
		}
	}
}

// The faults are made anew for each cell, or a tool would be spared what the
// one before it has used up.
func TestRowsAreFresh(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range rows(size) {
		if names[r.name] {
			t.Errorf("two rows are named %q", r.name)
		}
		names[r.name] = true
		a, b := newStage(size, 1<<30), newStage(size, 1<<30)
		r.set(a)
		r.set(b)
		for i := range a.faults {
			if a.faults[i] == b.faults[i] {
				t.Errorf("%s: %v is shared", r.name, a.faults[i])
			}
		}
	}
}

// What a row does in time is over when the tool is.
func TestAnOutageEndsWithItsTool(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	r := outage("dead", (*origintest.Origin).Down, time.Hour)
	if got := judgeFake(t, r, "is right", time.Minute); got.verdict != gaveUp || !got.met {
		t.Errorf("got %+v", got)
	}
}

func TestToolsThatAreNotInstalledAreLeftOut(t *testing.T) {
	t.Setenv("PATH", "")
	var log bytes.Buffer
	got, err := findTools(t.Context(), []string{"dlfs", "curl", "rclone"}, "/bin/dlfs", "", &log)
	if err != nil || len(got) != 1 || got[0].name != "dlfs" || got[0].path != "/bin/dlfs" {
		t.Errorf("got %+v, %v", got, err)
	}
	want := "left out, because it is not installed: curl\nleft out, because it is not installed: rclone\n"
	if log.String() != want {
		t.Errorf("log %q", log.String())
	}
	if _, err := findTools(t.Context(), []string{"curl"}, "", "", io.Discard); err == nil {
		t.Error("no error without any tool")
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-tools", "axel"}, {"-run", "("}, {"-size", "0"}, {"argument"}, {"-nonsense"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

// dlfs itself, on two rows.
func TestDlfs(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	var out, log bytes.Buffer
	args := []string{"-tools", "dlfs", "-size", "1", "-rate", "100", "-run", `^none|^ranges ignored$`}
	if err := run(t.Context(), args, &out, &log); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^\| fault \| dlfs \|
\|---\|---\|
\| none: honest \| right 1\.\d\d \|
\| ranges ignored \| right 1\.\d\d \|
$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got\n%s\n%s", &out, &log)
	}
	if strings.Count(log.String(), "\n") != 2 {
		t.Errorf("log\n%s", &log)
	}
}
