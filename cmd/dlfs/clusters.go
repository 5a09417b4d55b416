package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"
)

// clusterFlags are of the commands that print jobs for many machines: "dlfs setup
// slurm" and "dlfs setup kubernetes".
type clusterFlags struct {
	List  string   `arg:"" help:"List to fetch: a file or a URL."`
	Dir   string   `arg:"" help:"Output directory, on a filesystem that all machines have; with --peers, on a disk of each."`
	Flags []string `arg:"" optional:"" help:"Flags for dlfs, after --."`

	Shards int    `default:"64" help:"Parts the list is divided into, about eight for each machine."`
	AtOnce int    `default:"8" help:"Parts that are fetched at the same time."`
	Peers  int    `placeholder:"N" help:"Print another job: N machines fetch the whole list, each to a disk of its own, and share what they fetch."`
	Name   string `placeholder:"NAME" help:"Name of the job; dlfs- and the last part of DIR if not given."`
}

// check refuses what would only fail in the cluster, minutes or hours later. command is
// the one of dlfs that the flags after -- are for; they are parsed as its command line
// would be. It also fills in --name, and lowers --at-once to the number of shards.
func (c *clusterFlags) check(std stdio, command string) error {
	if c.List == "-" {
		return usageError("standard input is not there on other machines; give the list as a file or a URL")
	}
	// A newline would end the line of the script, and make a command of what follows.
	for _, s := range append([]string{c.List, c.Dir, c.Name}, c.Flags...) {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return usageError("%q has a control character, which a job cannot hold; remove it", s)
		}
	}
	if c.Shards < 1 || c.AtOnce < 1 {
		return usageError("--shards and --at-once must be at least 1")
	}
	if c.Peers < 0 {
		return usageError("--peers must be at least 1")
	}
	c.AtOnce = min(c.AtOnce, c.Shards)
	if c.Name == "" {
		c.Name = strings.TrimRight("dlfs-"+jobName(path.Base(path.Clean(c.Dir))), "-")
	}
	return checkCommand(std, command, c.List, c.Dir, c.Flags)
}

// jobName turns a name into one that schedulers take: a label of RFC 1123.
func jobName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLower(r) || unicode.IsDigit(r)) {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return strings.Trim(s[:min(len(s), 40)], "-")
}

// validJobName matches what both schedulers take as a name of a job: a label of RFC
// 1123, of at most 50 bytes, so that Kubernetes can add a suffix.
var validJobName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$`)

// slurmCmd prints a script for Slurm. The help of each field is what a user reads.
type slurmCmd struct {
	clusterFlags

	PeerKey string `placeholder:"FILE" help:"With --peers, the secret of the group, in a file that is there on every node."`
}

// Run prints the script of a job array whose tasks fetch a shard each, or with --peers of one job
// whose machines share what they fetch. What the user has to look at is said on standard error,
// so that standard output is the script alone.
func (c *slurmCmd) Run(std stdio) error {
	if err := c.check(std, "fetch"); err != nil {
		return err
	}
	if !validJobName.MatchString(c.Name) {
		return usageError("--name %s must have small letters, digits and hyphens alone", c.Name)
	}
	if (c.Peers > 0) != (c.PeerKey != "") {
		return usageError("--peers and --peer-key go together; make a key with \"head -c 32 /dev/urandom > FILE; chmod 600 FILE\"")
	}
	// The job runs in another directory than this command, so paths are made absolute.
	self, err := os.Executable()
	if err != nil {
		return err
	}
	list, err := absolute(c.List)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	flags := ""
	for _, f := range c.Flags {
		flags += " " + shellWord(f)
	}
	key, err := filepath.Abs(c.PeerKey)
	if err != nil {
		return err
	}
	file, there := "slurm.sh", fmt.Sprintf("the list and %s must be there on every node", printable(dir))
	if c.Peers > 0 {
		file, there = "slurm-peers.sh", fmt.Sprintf("the list and %s must be there on every node", printable(key))
	}
	err = c.print(std.out, file, map[string]any{
		"Peers": c.Peers, "Key": shellWord(key),
		"What": shown(list), "Name": c.Name, "Last": c.Shards - 1, "Shards": c.Shards, "AtOnce": c.AtOnce,
		"Dlfs": shellWord(self), "List": shellWord(list), "Dir": shellWord(dir), "Flags": flags,
	})
	if err == nil {
		fmt.Fprintf(std.err, "dlfs: save the script, look at its times and memory, and give it to sbatch; %s, %s\n", printable(self), there)
	}
	return err
}

// print writes a template of the directory dist to w, filled with values. The templates
// are part of the binary, so an error is one of writing.
func (c *clusterFlags) print(w io.Writer, file string, values any) error {
	text, err := template.New(file).Funcs(template.FuncMap{"json": jsonText}).ParseFS(dist, "dist/"+file)
	if err != nil {
		return err
	}
	return text.Execute(w, values)
}

// jsonText returns v as JSON. Every JSON text is YAML, too (YAML 1.2 section 1.3), so
// that no text of the user can break a manifest.
func jsonText(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

// shellWord quotes a text as one word of a POSIX shell. Inside single quotes nothing
// but the quote itself has a meaning.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// kubernetesCmd prints manifests for Kubernetes. The help of each field is what a user reads.
type kubernetesCmd struct {
	clusterFlags

	Image string   `default:"dlfs:latest" help:"Image that has dlfs in its PATH."`
	Claim string   `placeholder:"NAME" help:"Claim of the volume that is mounted at DIR, which many nodes can write to; --name if not given."`
	Only  []string `enum:"job,init,sidecar" default:"job,init,sidecar" help:"What to print: an Indexed Job that fetches shards, a pod that fetches before a program begins, or a pod that mounts beside one (${enum})."`
}

// secretMost is the most that a Secret of Kubernetes can hold, in bytes.
const secretMost = 1 << 20

// Run prints manifests: those of --only, or the one of machines that share what they fetch.
func (c *kubernetesCmd) Run(std stdio) error {
	if err := c.check(std, "fetch"); err != nil {
		return err
	}
	if !path.IsAbs(c.Dir) {
		return usageError("DIR %s must be an absolute path, which the volume has in the pods", c.Dir)
	}
	for _, name := range []string{c.Name, cmp.Or(c.Claim, c.Name)} {
		if !validJobName.MatchString(name) {
			return usageError("%s is no name for Kubernetes; use small letters, digits and hyphens, 50 at most", name)
		}
	}
	if info, err := os.Stat(c.List); err == nil && !isURL(c.List) && info.Size() > secretMost {
		return usageError("list %s has %s, and a Secret can hold %s; put it where it has a URL, or on the volume and compress it", c.List, bytesText(info.Size()), bytesText(secretMost))
	}
	values := c.values()
	only := c.Only
	if c.Peers > 0 {
		only = []string{"peers"}
	}
	for i, kind := range only {
		if i > 0 {
			fmt.Fprintln(std.out, "---")
		}
		if err := c.print(std.out, "kubernetes-"+kind+".yaml", values); err != nil {
			return err
		}
	}
	fmt.Fprintln(std.err, "dlfs: take what you need of it, and give that to \"kubectl apply -f\"; put dlfs into an image, and name that with --image")
	return nil
}

// values returns what the templates are filled with. A list in a file travels as a Secret, because
// its URLs may be secrets. Kubernetes replaces "$(NAME)" in commands, so that "$(" is doubled in
// what the user gave.
func (c *kubernetesCmd) values() map[string]any {
	list, secret := c.List, ""
	if !isURL(list) {
		list, secret = "/list/list.txt", c.Name+"-list"
	}
	dir := path.Clean(c.Dir)
	command := func(words ...string) []string {
		words = append(words, c.Flags...)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "$(", "$$(")
		}
		return words
	}
	fetch := command("dlfs", "fetch", "--state", "/state", list, dir)
	names := fmt.Sprintf("%s-[0-%d].%s:3537", c.Name, c.Peers-1, c.Name)
	shared := command("dlfs", "fetch", "--peers", names, "--peer-key", "/key/peer.key", list, dir)
	// Kubernetes sets JOB_COMPLETION_INDEX in the pods of an Indexed Job. This reference is not
	// doubled, since Kubernetes is to replace it.
	shard := slices.Insert(slices.Clone(fetch), 2, "--shard", fmt.Sprintf("$(JOB_COMPLETION_INDEX)/%d", c.Shards))
	return map[string]any{
		"Name": c.Name, "Image": c.Image, "Claim": cmp.Or(c.Claim, c.Name), "Dir": dir, "Secret": secret, "File": shellWord(c.List),
		"Shards": c.Shards, "AtOnce": c.AtOnce, "Fetch": shard, "FetchAll": fetch, "Peers": c.Peers, "FetchShared": shared, "Mount": command("dlfs", "mount", "--allow-other", list, dir),
	}
}
