package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
)

const examples = "../../docs/examples/"

func isolctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(append([]string{"isolctl"}, args...), &stdout, &stderr)
	return stdout.String(), err
}

// A wrong command line must not print a plan of something else.
func TestWrongCommandLines(t *testing.T) {
	notAPlan := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(notAPlan, []byte(`{"mode":"process","role":"standalone"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := examples + "plain.json"
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"no argument", []string{"explain"}, "takes one argument"},
		{"two arguments", []string{"explain", plain, plain}, "takes one argument"},
		{"no such spec", []string{"explain", "absent.json"}, "absent.json"},
		{"bundle without a spec", []string{"explain", t.TempDir()}, "config.json"},
		{"unknown flag", []string{"explain", "--hots", "win11", plain}, "hots"},
		{"unknown host", []string{"explain", "--host", "server2030", plain}, "server2025"},
		{"build that is none", []string{"explain", "--image-build", "ltsc2022", plain}, `--image-build: "ltsc2022" is not a Windows version`},
		{"VM build that is none", []string{"explain", "--uvm-build", "0", plain}, `--uvm-build: "0" is not a Windows version`},
		{"format", []string{"explain", "--format", "yaml", plain}, `"yaml" is not one of text, json`},
		{"no such options", []string{"explain", "--options", "absent.toml", plain}, "absent.toml"},
		{"options with a typo", []string{"explain", "--options", examples + "policy.toml", plain}, "unknown option"},
		{"no such node config", []string{"explain", "--config", "absent.toml", plain}, "node config"},
		{"no such pod", []string{"explain", "--pod", "absent.json", plain}, "--pod"},
		{"pod that is no plan", []string{"explain", "--pod", examples + "node.toml", plain}, "--pod node.toml"},
		{"pod that is no sandbox", []string{"explain", "--pod", notAPlan, plain}, "it is not the plan of a sandbox"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := isolctl(t, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q; printed:\n%s", err, tc.want, out)
			}
		})
	}
}

// The error is the shim's own, kind included: scripts may ask for it.
func TestRefusalKeepsItsKind(t *testing.T) {
	_, err := isolctl(t, "explain", "--host", "server2022", "--image-build", "17763", examples+"plain.json")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.FailedPrecondition {
		t.Errorf("%v", err)
	}
}

func TestExplainJSON(t *testing.T) {
	out, err := isolctl(t, "explain", "--format", "json", "--host", "server2022", "--image-build", "20348", "--id", "c7", examples+"hyperv.json")
	if err != nil {
		t.Fatal(err)
	}
	var p isolation.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	if p.Mode != isolation.ModeHyperV || p.UVM == nil || p.UVM.ID != "c7@vm" || len(p.Reasons) == 0 {
		t.Errorf("%s", out)
	}
}

// explain --documents of each example: what is built, and where there is
// nothing to build the words for it.
func TestDocuments(t *testing.T) {
	pod := filepath.Join(t.TempDir(), "pod.json")
	out, err := isolctl(t, "explain", "--format", "json", "--documents", "--image-build", "26100", "--host", "server2025", "--id", "web",
		"--options", examples+"handler-hyperv.toml", examples+"pod.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pod, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		want []string
	}{
		{"process", []string{examples + "plain.json"}, []string{"document: container container, for HcsCreateComputeSystem", `"ShouldTerminateOnLastHandleClosed": true`, "document: process, for HcsCreateProcess", `"CommandLine": "cmd /c \"echo hello\""`}},
		{"hyperv", []string{examples + "hyperv.json"}, []string{"document: utility VM container@vm", `"VirtualMachine": {`, "for the guest of the utility VM"}},
		{"pod container", []string{"--pod", pod, examples + "pod-container.json"}, []string{`"HostPath": "<mount 0 in the guest>"`}},
		{"pod", []string{"--options", examples + "handler-hyperv.toml", examples + "pod.json"}, []string{"none: the sandbox of a Hyper-V pod is its utility VM"}},
		{"hostprocess", []string{examples + "hostprocess.json"}, []string{"none: a HostProcess container is a job object"}},
		// what isol does not run yet is explained all the same, and ends with the shim's refusal
		{"linux", []string{examples + "linux.json"}, []string{"none: isol does not build documents for Linux guests yet", "does not run Linux containers"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := isolctl(t, append([]string{"explain", "--documents", "--host", "server2025", "--image-build", "26100"}, tc.args...)...)
			refused := strings.Contains(strings.Join(tc.want, ""), "does not run")
			if (err != nil) != refused {
				t.Fatal(err)
			}
			if err != nil {
				out += err.Error()
			}
			for _, w := range tc.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in:\n%s", w, out)
				}
			}
		})
	}
}

func TestMatrixJSON(t *testing.T) {
	out, err := isolctl(t, "matrix", "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	var cells []isolation.Cell
	if err := json.Unmarshal([]byte(out), &cells); err != nil {
		t.Fatal(err)
	}
	if want := 3 * len(isolation.MatrixHosts()) * len(isolation.MatrixImages()); len(cells) != want {
		t.Errorf("%d cells, want %d", len(cells), want)
	}
}

// isolctl and the install script must write the same runtime entries, and the
// options in them must be options of isol.
func TestConfigContainerd(t *testing.T) {
	out, err := isolctl(t, "config", "containerd")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../../deploy/install.ps1")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.ReplaceAll(string(script), "\r\n", "\n"), strings.TrimSpace(out)) {
		t.Errorf("deploy/install.ps1 has other runtime entries than:\n%s", out)
	}
}

// The layers that the spec names are read where they exist.
func TestImageFromLayers(t *testing.T) {
	out, err := isolctl(t, "explain", "--host", "server2022", examples+"plain.json")
	if err != nil || !strings.Contains(out, "image       unknown") {
		t.Errorf("%v\n%s", err, out)
	}
}
