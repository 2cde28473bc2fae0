package main

import (
	"os"
	"strings"
	"testing"

	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

const deployed = "../../deploy/kubernetes/runtimeclasses.yaml"

// What kubectl applies from deploy/ and what isolctl prints must be one thing.
func TestConfigRuntimeClass(t *testing.T) {
	got, err := isolctl(t, "config", "runtimeclass")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(deployed, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(deployed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-is +is printed; run with -update):\n%s", deployed, diff)
	}
}

// handlers are the runtime entries that isolctl prints and install.ps1 writes.
func handlers(t *testing.T) map[string]handler {
	t.Helper()
	var config struct {
		Plugins map[string]struct {
			Containerd struct {
				Runtimes map[string]handler `toml:"runtimes"`
			} `toml:"containerd"`
		} `toml:"plugins"`
	}
	if err := toml.Unmarshal([]byte(containerdEntries), &config); err != nil {
		t.Fatal(err)
	}
	return config.Plugins["io.containerd.cri.v1.runtime"].Containerd.Runtimes
}

type handler struct {
	Type    string         `toml:"runtime_type"`
	Options map[string]any `toml:"options"`
}

// A RuntimeClass whose handler containerd does not have gives pods that never
// start; a handler whose options isol refuses, too. And the mode must be the one
// that its name promises.
func TestHandlersOfRuntimeClasses(t *testing.T) {
	have := handlers(t)
	modes := map[string]isolation.Mode{"isol-process": isolation.ModeProcess, "isol-hyperv": isolation.ModeHyperV}
	for _, class := range runtimeClasses() {
		t.Run(class.name, func(t *testing.T) {
			h, ok := have[class.handler]
			if !ok || h.Type != "io.containerd.isol.v1" {
				t.Fatalf("containerd's config has no runtime %s of isol: %+v", class.handler, have)
			}
			// containerd hands the section on as TOML.
			body, err := toml.Marshal(h.Options)
			if err != nil {
				t.Fatal(err)
			}
			value, err := proto.Marshal(&runtimeoptions.Options{ConfigBody: body})
			if err != nil {
				t.Fatal(err)
			}
			o, err := options.Decode("runtimeoptions.v1.Options", value)
			if err != nil {
				t.Fatal(err)
			}
			if got := sandboxMode(t, o); got != modes[class.name] {
				t.Errorf("a pod of handler %s gets %v", class.handler, got)
			}
		})
	}
}

// sandboxMode decides a pod's sandbox under a handler's options.
func sandboxMode(t *testing.T, o options.Options) isolation.Mode {
	t.Helper()
	spec, err := oci.ReadFile(examples + "pod.json")
	if err != nil {
		t.Fatal(err)
	}
	request, err := oci.Parse(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := host.Load(defaultHost)
	if err != nil {
		t.Fatal(err)
	}
	p, err := isolation.Decide(isolation.Input{ID: "web", Request: request, Options: o, Node: node.Config{}, Host: facts})
	if err != nil {
		t.Fatal(err)
	}
	return p.Mode
}

func TestRuntimeClassFlags(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want []string // lines
		not  string
	}{
		{"handler is the name", []string{"--name", "gpu"}, []string{"  name: gpu", "handler: gpu"}, "overhead"},
		{"overhead is the handler's", []string{"--name", "big", "--handler", "isol-hyperv"}, []string{"  name: big", "handler: isol-hyperv", "    memory: 512Mi", "    cpu: 100m"}, ""},
		{"overhead given", []string{"--name", "isol-hyperv", "--memory", "1Gi", "--cpu", "0.5"}, []string{"    memory: 1Gi", "    cpu: 0.5"}, "512Mi"},
		{"build", []string{"--name", "isol-process", "--build", "10.0.20348.2700"}, []string{"    node.kubernetes.io/windows-build: 10.0.20348"}, "2700"},
		{"build of both", []string{"--build", "26100"}, []string{"  name: isol-process", "  name: isol-hyperv", "    node.kubernetes.io/windows-build: 10.0.26100"}, ""},
		{"names that YAML reads as something else", []string{"--name", "2022", "--handler", "yes"}, []string{`  name: "2022"`, `handler: "yes"`}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := isolctl(t, append([]string{"config", "runtimeclass"}, tc.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tc.want {
				if !strings.Contains("\n"+out, "\n"+line+"\n") {
					t.Errorf("no line %q in:\n%s", line, out)
				}
			}
			if tc.not != "" && strings.Contains(out, tc.not) {
				t.Errorf("%q in:\n%s", tc.not, out)
			}
		})
	}
}

// What Kubernetes would refuse, or YAML would read otherwise, is not printed.
func TestRuntimeClassRefusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"name", []string{"--name", "Isol"}, `--name: Kubernetes does not take "Isol"`},
		{"name that is YAML", []string{"--name", "a: b"}, "--name: Kubernetes does not take"},
		{"name too long", []string{"--name", strings.Repeat("a", 254)}, "at most 253"},
		{"handler", []string{"--name", "a", "--handler", "a.b"}, `--handler: Kubernetes does not take "a.b"`},
		{"memory", []string{"--name", "a", "--memory", "512MB"}, "a quantity such as 512Mi"},
		{"cpu", []string{"--name", "a", "--cpu", "-1"}, "a quantity such as 100m"},
		{"build", []string{"--build", "ltsc2022"}, "--build"},
		{"handler of nothing", []string{"--handler", "a"}, "give its name by --name"},
		{"argument", []string{"isol-hyperv"}, "give the name by --name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := isolctl(t, append([]string{"config", "runtimeclass"}, tc.args...)...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || out != "" {
				t.Errorf("error %v, want one with %q; printed:\n%s", err, tc.want, out)
			}
		})
	}
}

// The manifest runs a script of the image, and kustomize gives the image its
// name: one that differs is a DaemonSet whose pods can't start.
func TestInstallerFitsItsImage(t *testing.T) {
	const root = "../../"
	read := func(name string) string {
		text, err := os.ReadFile(root + "deploy/kubernetes/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	image, manifest, kustomization := read("Dockerfile"), read("installer.yaml"), read("kustomization.yaml")
	for _, f := range []string{"deploy/install.ps1", "deploy/kubernetes/node.ps1"} {
		if _, err := os.Stat(root + f); err != nil || !strings.Contains(image, f) {
			t.Errorf("the image lacks %s: %v", f, err)
		}
	}
	if !strings.Contains(image, " /isol/\n") || !strings.Contains(manifest, `$env:CONTAINER_SANDBOX_MOUNT_POINT\isol\node.ps1`) {
		t.Error("installer.yaml runs another script than the image has")
	}
	if n := strings.Count(manifest, "image: isol-installer\n"); n != 2 || !strings.Contains(kustomization, "- name: isol-installer\n") {
		t.Errorf("kustomization.yaml does not name the %d images of installer.yaml", n)
	}
	for _, f := range []string{"runtimeclasses.yaml", "installer.yaml"} {
		if !strings.Contains(kustomization, "- "+f+"\n") {
			t.Errorf("kustomization.yaml lacks %s", f)
		}
	}
}

// The other way to make pods changes who makes them and nothing else: a handler
// whose options were lost on the way would run pods in another isolation.
func TestEntriesOfTheSandboxAPI(t *testing.T) {
	text, err := entriesFor(shimSandboxer)
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		Type      string         `toml:"runtime_type"`
		Sandboxer string         `toml:"sandboxer"`
		NoPause   bool           `toml:"disable_pause_image_pull"`
		Pod       []string       `toml:"pod_annotations"`
		Container []string       `toml:"container_annotations"`
		Options   map[string]any `toml:"options"`
	}
	read := func(text string) map[string]entry {
		var config struct {
			Plugins map[string]struct {
				Containerd struct {
					Runtimes map[string]entry `toml:"runtimes"`
				} `toml:"containerd"`
			} `toml:"plugins"`
		}
		if err := toml.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		return config.Plugins["io.containerd.cri.v1.runtime"].Containerd.Runtimes
	}
	want := read(containerdEntries)
	for name, e := range want {
		e.Sandboxer, e.NoPause = "shim", true
		want[name] = e
	}
	if d := cmp.Diff(want, read(text)); d != "" || len(want) == 0 {
		t.Errorf("(-want +got): %s", d)
	}
	if _, err := entriesFor("pause"); err == nil || !strings.Contains(err.Error(), "podsandbox or shim") {
		t.Errorf("another sandboxer: %v", err)
	}
}
