// Package kubernetes decodes the manifests of "dlfs setup kubernetes" as the API server
// does where it is strict: a field that is unknown or given twice is an error.
package kubernetes

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// build returns the program, built from the module above.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "dlfs")
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/dlfs")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// manifests runs "dlfs setup kubernetes" and returns its documents by their kind.
func manifests(t *testing.T, bin string, args ...string) (job *batchv1.Job, pods []*corev1.Pod) {
	t.Helper()
	cmd := exec.Command(bin, append([]string{"setup", "kubernetes"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, errs.String())
	}
	for doc := range strings.SplitSeq(string(out), "\n---\n") {
		if strings.Contains(doc, "\nkind: Job\n") {
			job = new(batchv1.Job)
			strictly(t, doc, job)
			continue
		}
		pod := new(corev1.Pod)
		strictly(t, doc, pod)
		pods = append(pods, pod)
	}
	return job, pods
}

func strictly(t *testing.T, doc string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
		t.Fatalf("%v in:\n%s", err, doc)
	}
}

func TestManifests(t *testing.T) {
	bin := build(t)
	dir := t.TempDir()
	const odd = `a'b "c" $(HOME) #.txt`
	list := filepath.Join(dir, odd)
	if err := os.WriteFile(list, []byte("a\thttp://127.0.0.1:1/a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{list, "/data"},
		{"https://example.org/list?sig=a&b=$(c)", "/data/my set", "--shards", "3", "--at-once", "9", "--claim", "lake", "--image", "r.example:5000/dlfs@sha256:0"},
		{list, "/data", "--name", "x", "--", "--jobs", "3", "--user-agent=a: b {c} $(d)"},
	} {
		job, pods := manifests(t, bin, args...)
		if job == nil || len(pods) != 2 {
			t.Fatalf("%v: job %v, %d pods", args, job, len(pods))
		}
		checkJob(t, job)
		checkInit(t, pods[0])
		checkSidecar(t, pods[1])
		for _, spec := range []corev1.PodSpec{job.Spec.Template.Spec, pods[0].Spec, pods[1].Spec} {
			checkVolumes(t, spec)
		}
		words := job.Spec.Template.Spec.Containers[0].Command
		if url := strings.HasPrefix(args[0], "https:"); url && !slices.Contains(words, `https://example.org/list?sig=a&b=$$(c)`) || !url && !slices.Contains(words, "/list/list.txt") {
			t.Errorf("command %q has not the list of %q", words, args)
		}
		if len(args) > 4 && args[3] == "x" && !slices.Contains(words, "--user-agent=a: b {c} $$(d)") {
			t.Errorf("command %q has not the flags of %q", words, args)
		}
	}
}

// TestPeers: a Service that names the pods of a Job, and the Job whose pods share files.
func TestPeers(t *testing.T) {
	bin := build(t)
	list := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(list, []byte("a\thttp://127.0.0.1:1/a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{list, "https://example.org/list"} {
		out, err := exec.Command(bin, "setup", "kubernetes", list, "/data/my set", "--peers", "12", "--name", "set", "--", "--user-agent=a $(b)").Output()
		if err != nil {
			t.Fatal(err)
		}
		first, second, _ := strings.Cut(string(out), "\n---\n")
		service, job := new(corev1.Service), new(batchv1.Job)
		strictly(t, first, service)
		strictly(t, second, job)
		pod := job.Spec.Template
		if service.Spec.ClusterIP != corev1.ClusterIPNone || !service.Spec.PublishNotReadyAddresses || pod.Spec.Subdomain != service.Name {
			t.Error("the pods have no names while their program has not begun")
		}
		for key, value := range service.Spec.Selector {
			if pod.Labels[key] != value {
				t.Errorf("the pods have not the label %s=%s of the service", key, value)
			}
		}
		if *job.Spec.CompletionMode != batchv1.IndexedCompletion || *job.Spec.Completions != 12 || *job.Spec.Parallelism != 12 || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
			t.Errorf("the job is not one of 12 pods at once: %+v", job.Spec)
		}
		init := pod.Spec.InitContainers[0]
		for _, word := range []string{"set-[0-11].set:3537", "/key/peer.key", "/data/my set", "--user-agent=a $$(b)"} {
			if !slices.Contains(init.Command, word) {
				t.Errorf("command %q has no %q", init.Command, word)
			}
		}
		stops := job.Spec.PodFailurePolicy.Rules[1]
		if *stops.OnExitCodes.ContainerName != init.Name || stops.Action != batchv1.PodFailurePolicyActionFailJob || !slices.Equal(stops.OnExitCodes.Values, []int32{2, 9, 24, 32}) {
			t.Errorf("exit codes: %+v", stops)
		}
		checkUnprivileged(t, pod.Spec.SecurityContext, init)
		checkVolumes(t, pod.Spec)
	}
}

// checkJob: the rules of batch/v1 for an Indexed Job, and what each exit code does.
func checkJob(t *testing.T, job *batchv1.Job) {
	t.Helper()
	spec := job.Spec
	if spec.CompletionMode == nil || *spec.CompletionMode != batchv1.IndexedCompletion || spec.BackoffLimitPerIndex == nil {
		t.Error("the job is not indexed, or its indexes are not run again")
	}
	if spec.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Error("a podFailurePolicy needs restartPolicy Never")
	}
	if *spec.Parallelism > *spec.Completions {
		t.Errorf("%d of %d shards at once", *spec.Parallelism, *spec.Completions)
	}
	action := map[int32]batchv1.PodFailurePolicyAction{}
	for _, rule := range spec.PodFailurePolicy.Rules {
		if rule.OnExitCodes == nil {
			continue
		}
		if *rule.OnExitCodes.ContainerName != spec.Template.Spec.Containers[0].Name {
			t.Errorf("a rule is of the container %s", *rule.OnExitCodes.ContainerName)
		}
		for _, code := range rule.OnExitCodes.Values {
			action[code] = rule.Action
		}
	}
	for code, want := range map[int32]batchv1.PodFailurePolicyAction{1: "", 7: "", 2: "FailJob", 9: "FailJob", 24: "FailIndex", 32: "FailIndex"} {
		if action[code] != want {
			t.Errorf("exit code %d: action %q, want %q", code, action[code], want)
		}
	}
	words := spec.Template.Spec.Containers[0].Command
	if i := slices.Index(words, "--shard"); i < 0 || !strings.HasPrefix(words[i+1], "$(JOB_COMPLETION_INDEX)/") {
		t.Errorf("command %q has no shard", words)
	}
	checkUnprivileged(t, spec.Template.Spec.SecurityContext, spec.Template.Spec.Containers[0])
}

func checkInit(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	init := pod.Spec.InitContainers[0]
	if init.RestartPolicy != nil || init.Command[1] != "fetch" || !slices.Contains(init.Command, "--state") {
		t.Errorf("init container: %q", init.Command)
	}
	checkUnprivileged(t, pod.Spec.SecurityContext, init)
}

// checkUnprivileged: what the level "restricted" of the pod security standards asks for.
func checkUnprivileged(t *testing.T, pod *corev1.PodSecurityContext, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	if !*pod.RunAsNonRoot || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("container %s is not restricted", c.Name)
	}
	if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		t.Errorf("container %s has no resources", c.Name)
	}
}

func checkSidecar(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	side, program := pod.Spec.InitContainers[0], pod.Spec.Containers[0]
	if side.RestartPolicy == nil || *side.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Error("it is no sidecar")
	}
	if side.StartupProbe == nil || side.LivenessProbe == nil || side.StartupProbe.Exec == nil || side.LivenessProbe.Exec == nil {
		t.Error("it has no probes")
	}
	if !*side.SecurityContext.Privileged || *side.VolumeMounts[0].MountPropagation != corev1.MountPropagationBidirectional ||
		*program.VolumeMounts[0].MountPropagation != corev1.MountPropagationHostToContainer {
		t.Error("the program does not see the mount")
	}
}

// checkVolumes: every volume that is mounted is there, and the other way round.
func checkVolumes(t *testing.T, spec corev1.PodSpec) {
	t.Helper()
	used := map[string]bool{}
	for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
		for _, m := range c.VolumeMounts {
			used[m.Name] = true
			if !strings.HasPrefix(m.MountPath, "/") {
				t.Errorf("%s is mounted at %s", m.Name, m.MountPath)
			}
		}
	}
	for _, v := range spec.Volumes {
		if !used[v.Name] {
			t.Errorf("volume %s is not mounted", v.Name)
		}
		delete(used, v.Name)
	}
	if len(used) > 0 {
		t.Errorf("no volumes %v", used)
	}
}
