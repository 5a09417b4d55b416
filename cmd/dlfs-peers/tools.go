package main

import (
	"os"
	"path/filepath"
	"strings"
)

// job is one file to be had.
type job struct {
	url    string
	dir    string // where a tool may leave what it likes
	name   string // of the file, to be materialized in dir/out
	sha256 string // hexadecimal, empty if the user does not know it
	gzip   bool   // the user knows that the origin compresses

	user, password string // empty if there is no login
}

// outDir is the directory that the file is to be in, and path is its place there.
func (j job) outDir() string { return filepath.Join(j.dir, "out") }
func (j job) path() string   { return filepath.Join(j.outDir(), j.name) }

// tool is a program that materializes a job.
type tool struct {
	name string
	path string

	// args returns the arguments, having written what they name.
	args func(job) ([]string, error)
}

// The tools as a careful user runs them: each may try ten times, waits a second
// in between, and gives up a connection that says nothing for ten. An option
// that a tool needs to be right is given where the user can know it.
var known = []tool{
	{name: "dlfs", args: dlfsArgs},
	{name: "aria2c", args: aria2cArgs},
	{name: "curl", args: curlArgs},
	{name: "wget", args: wgetArgs},
	{name: "rclone", args: rcloneArgs},
}

// toolNamed returns the tool of that name, and whether there is one.
func toolNamed(name string) (tool, bool) {
	for _, t := range known {
		if t.name == name {
			return t, true
		}
	}
	return tool{}, false
}

// dlfsArgs, and the functions below, return the arguments that make a tool do a job.
func dlfsArgs(j job) ([]string, error) {
	from := j.url
	if j.user != "" {
		from = strings.Replace(from, "://", "://"+j.user+":"+j.password+"@", 1)
	}
	list := j.name + "\t" + from + "\n"
	if j.sha256 != "" { // an input file of aria2c is a list, too
		list = from + "\n  out=" + j.name + "\n  checksum=sha-256=" + j.sha256 + "\n"
	}
	path := filepath.Join(j.dir, "list.txt")
	if err := os.WriteFile(path, []byte(list), 0o600); err != nil {
		return nil, err
	}
	return []string{"fetch", path, j.outDir(),
		"--tries=10", "--retry-wait=1s", "--timeout=10s", "--connect-timeout=10s", "--progress=none"}, nil
}

func aria2cArgs(j job) ([]string, error) {
	args := []string{"--no-conf", "--quiet", "--console-log-level=error", "--log=-", "--log-level=error",
		"-x4", "-s4", "--min-split-size=1M", "--continue", "--file-allocation=none", "--auto-file-renaming=false",
		"--max-tries=10", "--retry-wait=1", "--timeout=10", "--connect-timeout=10",
		"--dir=" + j.outDir(), "--out=" + j.name}
	if j.sha256 != "" {
		args = append(args, "--checksum=sha-256="+j.sha256)
	}
	if j.gzip {
		args = append(args, "--http-accept-gzip=true")
	}
	if j.user != "" {
		args = append(args, "--http-user="+j.user, "--http-passwd="+j.password)
	}
	return append(args, j.url), nil
}

func curlArgs(j job) ([]string, error) {
	args := []string{"--disable", "--fail", "--location", "--silent", "--show-error",
		"--retry", "10", "--retry-delay", "1", "--retry-all-errors", "--continue-at", "-",
		"--connect-timeout", "10", "--speed-limit", "1", "--speed-time", "10",
		"--cookie", "", "--create-dirs", "--output", j.path()} // which turns cookies on
	if j.gzip {
		args = append(args, "--compressed")
	}
	if j.user != "" {
		args = append(args, "--digest", "--user", j.user+":"+j.password)
	}
	return append(args, j.url), nil
}

func wgetArgs(j job) ([]string, error) {
	if err := os.Mkdir(j.outDir(), 0o700); err != nil {
		return nil, err
	}
	args := []string{"--no-config", "--no-verbose", "--tries=10", "--waitretry=1", "--retry-connrefused",
		"--retry-on-http-error=408,429,500,502,503,504", "--continue", "--timeout=10", "--output-document=" + j.path()}
	if j.gzip {
		args = append(args, "--compression=auto")
	}
	if j.user != "" {
		args = append(args, "--user="+j.user, "--password="+j.password)
	}
	return append(args, j.url), nil
}

func rcloneArgs(j job) ([]string, error) {
	return []string{"copyurl", "--config=", "--retries=10", "--retries-sleep=1s", "--low-level-retries=10",
		"--timeout=10s", "--contimeout=10s", j.url, j.path()}, nil
}
