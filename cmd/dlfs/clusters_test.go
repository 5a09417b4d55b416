package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// slurmJob is the script of "dlfs setup slurm" with other programs for dlfs and scontrol.
type slurmJob struct {
	t      *testing.T
	dir    string
	script string
}

func newSlurmJob(t *testing.T, dlfs string, args ...string) *slurmJob {
	t.Helper()
	out, errs, code := setup(t, append([]string{"slurm"}, args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	j := &slurmJob{t: t, dir: t.TempDir()}
	j.script = filepath.Join(j.dir, "job.sh")
	var script strings.Builder
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "dlfs=") {
			line = "dlfs=" + shellWord(filepath.Join(j.dir, "dlfs")) + "\n"
		}
		script.WriteString(line)
	}
	write(t, j.script, []byte(script.String()))
	for name, text := range map[string]string{
		"dlfs":     "#!/bin/bash\n" + dlfs,
		"srun":     "#!/bin/bash\nwhile [ \"${1#--}\" != \"$1\" ]; do shift; done\nexec \"$@\"\n",
		"scontrol": "#!/bin/bash\necho scontrol \"$@\"\n",
	} {
		write(t, filepath.Join(j.dir, name), []byte(text))
		if err := os.Chmod(filepath.Join(j.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// command runs the script as task 3 of the array.
func (j *slurmJob) command(restarts int) *exec.Cmd {
	cmd := exec.CommandContext(j.t.Context(), "bash", j.script)
	cmd.Env = append(os.Environ(), "PATH="+j.dir+":"+os.Getenv("PATH"), "TMPDIR="+j.dir, "SLURM_ARRAY_TASK_ID=3", "SLURM_ARRAY_JOB_ID=77",
		fmt.Sprintf("SLURM_RESTART_COUNT=%d", restarts))
	return cmd
}

// TestSetupSlurm: the script gives dlfs what was asked for, and does for each exit code
// what belongs to it.
func TestSetupSlurm(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, `it's "my" $(list) \.txt`)
	write(t, list, nil)
	out := filepath.Join(dir, "my 'data' $HOME")
	for _, tt := range []struct {
		code, restarts int
		want           string
		stays          bool // the state
	}{
		{0, 0, "", false},
		{1, 0, "scontrol requeue 77_3", true},
		{7, 4, "scontrol requeue 77_3", true},
		{137, 0, "scontrol requeue 77_3", true},
		{7, 5, "is not complete after 5 more runs: exit code 7", true},
		{2, 0, "submit the job again", true},
		{9, 0, "make room and submit the job again", true},
		{24, 0, "put a fresh list at " + list + " and submit the job again", true},
		{32, 0, "ask the publisher which is right", true},
	} {
		j := newSlurmJob(t, fmt.Sprintf("printf '<%%s>' \"$@\"\nwhile [ \"$1\" != --state ]; do shift; done\nmkdir -p \"$2\"\nexit %d\n", tt.code),
			list, out, "--shards", "12", "--name", "job", "--", "--jobs", "3", "--user-agent=a 'b' $c")
		said, err := j.command(tt.restarts).CombinedOutput()
		if got := exitCode(err); got != tt.code {
			t.Errorf("exit code %d, want %d: %s", got, tt.code, said)
		}
		state := filepath.Join(j.dir, fmt.Sprintf("job-%d-3", os.Getuid()))
		words := fmt.Sprintf("<fetch><--progress><line><--stats><1m><--shard><3/12><--state><%s><--jobs><3><--user-agent=a 'b' $c><%s><%s>", state, list, out)
		if !strings.Contains(string(said), words) || !strings.Contains(string(said), tt.want) {
			t.Errorf("code %d: said %s, want %s and %q", tt.code, said, words, tt.want)
		}
		if again := strings.Contains(string(said), "scontrol"); again != strings.HasPrefix(tt.want, "scontrol") {
			t.Errorf("code %d: the task is run again: %v", tt.code, again)
		}
		if _, err := os.Stat(state); (err == nil) != tt.stays {
			t.Errorf("code %d: state: %v", tt.code, err)
		}
	}
}

// TestSetupSlurmPeers: the script has every node fetch all, and does for each exit code what
// belongs to it.
func TestSetupSlurmPeers(t *testing.T) {
	dir := t.TempDir()
	list, key := filepath.Join(dir, "my list"), filepath.Join(dir, "the 'key'")
	write(t, list, nil)
	for _, tt := range []struct {
		code, restarts int
		want           string
	}{
		{0, 0, ""},
		{1, 0, "scontrol requeue 77"},
		{7, 4, "scontrol requeue 77"},
		{143, 0, "scontrol requeue 77"},
		{7, 5, "not every node is complete after 5 more runs: exit code 7"},
		{2, 0, "submit the job again"},
		{9, 0, "make room and submit the job again"},
		{24, 0, "put a fresh list at " + list + " and submit the job again"},
		{32, 0, "ask the publisher which is right"},
	} {
		j := newSlurmJob(t, fmt.Sprintf("printf '<%%s>' \"$@\"\nexit %d\n", tt.code), list, "/local/$HOME", "--peers", "3", "--peer-key", key, "--", "--jobs", "3")
		cmd := j.command(tt.restarts)
		cmd.Env = append(cmd.Env, "SLURM_JOB_ID=77")
		said, err := cmd.CombinedOutput()
		if got := exitCode(err); got != tt.code {
			t.Errorf("exit code %d, want %d: %s", got, tt.code, said)
		}
		words := fmt.Sprintf("<fetch><--progress><line><--stats><1m><--peers><slurm><--peer-key><%s><--jobs><3><%s></local/$HOME>", key, list)
		if !strings.Contains(string(said), words) || !strings.Contains(string(said), tt.want) {
			t.Errorf("code %d: said %s, want %s and %q", tt.code, said, words, tt.want)
		}
		if again := strings.Contains(string(said), "scontrol"); again != strings.HasPrefix(tt.want, "scontrol") {
			t.Errorf("code %d: the job is run again: %v", tt.code, again)
		}
	}
}

// TestSlurmJobIsTold: a task whose time is over passes that on, and waits for dlfs.
func TestSlurmJobIsTold(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "list.txt"), nil)
	j := newSlurmJob(t, "trap 'echo told; exit 7' TERM\necho up\nwhile :; do sleep 0.05; done\n", filepath.Join(dir, "list.txt"), dir)
	cmd := j.command(0)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		if said = append(said, lines.Text()); lines.Text() == "up" {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code := exitCode(cmd.Wait()); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if got := strings.Join(said, "|"); got != "up|told|shard 3 is run again: exit code 7|scontrol requeue 77_3" {
		t.Errorf("said %s", got)
	}
}

// TestSetupRefuses says before a job is queued what would only fail in the cluster.
func TestSetupRefuses(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.txt")
	write(t, list, nil)
	long := filepath.Join(dir, "long.txt")
	write(t, long, make([]byte, secretMost+1))
	for want, args := range map[string][]string{
		"standard input is not there":           {"slurm", "-", dir},
		"list: stat":                            {"slurm", list + "2", dir},
		"is not a regular file":                 {"slurm", dir, dir},
		"unknown flag --no-such":                {"slurm", list, dir, "--", "--no-such"},
		"has a control character":               {"slurm", list, dir + "\n#SBATCH --array=0"},
		"must have small letters":               {"slurm", list, dir, "--name", "a b"},
		"must be at least 1":                    {"slurm", list, dir, "--shards", "0"},
		"--peers and --peer-key go together":    {"slurm", list, dir, "--peers", "3"},
		"--peers must be at least 1":            {"slurm", list, dir, "--peers=-1"},
		"must be an absolute path":              {"kubernetes", list, "data"},
		"is no name for Kubernetes":             {"kubernetes", list, "/data", "--claim", "A_b"},
		"and a Secret can hold 1.0 MiB; put it": {"kubernetes", long, "/data"},
	} {
		if _, errs, code := setup(t, args...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d: %s, want %q", args, code, errs, want)
		}
	}
	if out, _, code := setup(t, "kubernetes", list, "/data/Größe_7", "--only", "init"); code != exitOK || !strings.Contains(out, "\n  name: dlfs-gr--e-7-init\n") || strings.Contains(out, "---") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
