package admission

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/pod"
)

// The lists of testdata are those of what Microsoft's shim reads: a user who
// comes from there must find each honoured, or be told by name.
func lines(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for l := range strings.Lines(string(data)) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			out = append(out, l)
		}
	}
	return out
}

// request is a create in the making.
type request struct {
	spec   *specs.Spec
	rootfs []layers.Mount
	stdio  pod.StdioConfig
}

// newRequest is a plain container in the given mode, on a machine that has all
// that a mode can need.
func newRequest(mode oci.Modes) *request {
	r := &request{
		spec: &specs.Spec{
			Version: "1.1.0", Process: &specs.Process{Args: []string{"cmd"}, Cwd: `C:\`}, Root: &specs.Root{},
			Windows: &specs.Windows{}, Annotations: map[string]string{},
		},
		rootfs: []layers.Mount{{Type: "windows-layer", Source: `C:\s\9`, Options: []string{`parentLayerPaths=["C:\\s\\1"]`}}},
	}
	if mode&oci.ModeUVM != 0 {
		r.spec.Windows.HyperV = &specs.WindowsHyperV{}
	}
	return r
}

func (r *request) admit(t *testing.T) (pod.CreateTask, error) {
	t.Helper()
	bundle := t.TempDir()
	data, err := json.Marshal(r.spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	facts, ok := host.Preset("server2025")
	if !ok {
		t.Fatal("no such host")
	}
	facts.CPUs, facts.MemoryMB = 64, 1<<20
	reader := &Reader{
		Probe: func() (host.Facts, error) { return facts, nil },
		Image: func([]string) (host.Image, error) {
			return host.Image{OS: facts.Version, UVM: facts.Version, UVMSource: "the image"}, nil
		},
		NodeConfig: filepath.Join(bundle, "none.toml"), Log: slog.New(slog.DiscardHandler),
	}
	task, err := reader.Admit(Request{ID: "c1", Namespace: "default", Bundle: bundle, Rootfs: r.rootfs, Stdio: r.stdio})
	if task.Plan != nil && task.Plan.Mode == isolation.ModeHostProcess {
		return task, nil // what a job of the host carries out is the pod's to show
	}
	return task, err
}

// differ reports what a change makes of a create: another task, the same, or
// an error.
func differ(t *testing.T, mode oci.Modes, prepare, change func(*request)) (string, error) {
	t.Helper()
	plain := newRequest(mode)
	if prepare != nil {
		prepare(plain)
	}
	before, err := plain.admit(t)
	if err != nil {
		t.Fatalf("without the change: %v", err)
	}
	changed := newRequest(mode)
	if prepare != nil {
		prepare(changed)
	}
	change(changed)
	after, err := changed.admit(t)
	before.Bundle, after.Bundle = "", ""
	return cmp.Diff(before, after, cmpopts.IgnoreFields(isolation.Plan{}, "Reasons", "Overruled"),
		cmpopts.IgnoreFields(isolation.UVM{}, "BootFilesRoot")), err // explain shows it; nothing boots from it
}

// Every annotation that runhcs knows is honoured, which shows in the task that
// is made, or refused by name with the reason that docs/annotations.md gives.
// One that is neither is dropped silently, and its user finds out in production.
func TestEveryAnnotationOfRunhcs(t *testing.T) {
	for _, key := range lines(t, "runhcs-annotations.txt") {
		t.Run(key, func(t *testing.T) {
			row, ok := oci.Lookup(strings.TrimSuffix(key, "<GUID>") + "3f2504e0-4f89-11d3-9a0c-0305e82c3301")
			if r, plain := oci.Lookup(key); plain {
				row, ok = r, true
			}
			if !ok {
				t.Fatal("isol does not know it")
			}
			if row.Status != oci.StatusHonoured {
				if row.Why == "" || !strings.Contains(string(oci.Markdown()), row.Why) {
					t.Errorf("%v, and no reason is documented", row.Status)
				}
			}
			exercise(t, &row)
		})
	}
}

// exercise sets an annotation and looks at what comes of it.
func exercise(t *testing.T, row *oci.Annotation) {
	t.Helper()
	key := row.Key
	if row.Prefix {
		key += "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
	}
	how := special[row.Key]
	mode := how.mode
	for _, m := range []oci.Modes{oci.ModeHyperVWindows, oci.ModeProcess, oci.ModeHostProcess, oci.ModeHyperVLinux} {
		if mode == 0 && row.Modes&m != 0 {
			mode = m
		}
	}
	value := how.value
	if value == "" {
		value = sample(row)
	}
	diff, err := differ(t, mode, how.prepare, func(r *request) { r.spec.Annotations[key] = value })
	switch {
	case how.refused != "":
		if err == nil || !strings.Contains(err.Error(), how.refused) {
			t.Errorf("= %s: %v, want a refusal about %q", value, err, how.refused)
		}
	case row.Status == oci.StatusRefused:
		if !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), row.Why) {
			t.Errorf("= %s: %v, want a refusal by name with its reason", value, err)
		}
	case err != nil:
		t.Errorf("= %s: %v", value, err)
	case row.Status == oci.StatusIgnored && diff != "":
		t.Errorf("= %s is said to be ignored and changes the task:\n%s", value, diff)
	case row.Status == oci.StatusHonoured && diff == "":
		t.Errorf("= %s is said to be honoured and changes nothing", value)
	}
}

// sample is a value of the row that is not what holds without it.
func sample(a *oci.Annotation) string {
	switch a.Type {
	case oci.TypeBool:
		if a.Default == "true" {
			return "false"
		}
		return "true"
	case oci.TypeExactBool:
		return "true"
	case oci.TypeUint:
		n := max(a.Min, a.Step, 1)
		for fmt.Sprint(n) == a.Default {
			n += max(a.Step, 1)
		}
		return fmt.Sprint(n)
	case oci.TypePath:
		return `C:\x`
	case oci.TypeEnum, oci.TypeCSV:
		for _, v := range a.Allowed {
			if v != a.Default {
				return v
			}
		}
		return `C:\x`
	case oci.TypeGUID:
		return "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
	case oci.TypeUintCSV:
		return "1,2"
	case oci.TypeBase64:
		return base64.StdEncoding.EncodeToString([]byte("{}"))
	case oci.TypeRegistry:
		return `[{"Key":{"Hive":"Software","Name":"A"},"Name":"v","Type":"String","StringValue":"x"}]`
	case oci.TypeServiceEntry:
		return `{"AllowWildcardBinds":true}`
	}
	return "x"
}

const vm = "io.microsoft.virtualmachine."

func annotate(pairs ...string) func(*request) {
	return func(r *request) {
		for i := 0; i < len(pairs); i += 2 {
			r.spec.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

func gmsa(r *request) { r.spec.Windows.CredentialSpec = `{"CmsPlugins":["ActiveDirectory"]}` }

// numa are the annotations of a topology of two nodes that is whole but for one.
func numa(without string) func(*request) {
	all := map[string]string{
		vm + "computetopology.memory.allowovercommit": "false", vm + "computetopology.memory.sizeinmb": "2048", vm + "computetopology.processor.count": "4",
		vm + "computetopology.numa.mapped-physical-nodes": "0,1", vm + "computetopology.numa.count-of-processors": "2,2", vm + "computetopology.numa.count-of-memory-blocks": "1024,1024",
	}
	if strings.Contains(without, "max-") {
		all = map[string]string{
			vm + "computetopology.memory.allowovercommit":                 "false",
			vm + "computetopology.processor.numa.max-processors-per-node": "4", vm + "computetopology.processor.numa.max-size-per-node": "4096",
		}
	}
	return func(r *request) {
		for k, v := range all {
			r.spec.Annotations[k] = v
		}
	}
}

// special says how to show what an annotation does where setting it alone on a
// plain container shows nothing.
var special = map[string]struct {
	mode    oci.Modes
	value   string
	prepare func(*request)
	refused string // honoured by refusing
}{
	"io.kubernetes.cri.container-type":                            {mode: oci.ModeProcess, refused: "io.kubernetes.cri.sandbox-id"},
	"io.kubernetes.cri.sandbox-id":                                {mode: oci.ModeProcess, refused: "io.kubernetes.cri.container-type"},
	"io.microsoft.disable-unsafe-operations":                      {mode: oci.ModeProcess, prepare: gmsa, refused: "forbids group managed service accounts"},
	"io.microsoft.container.wcow.gmsa.disable":                    {mode: oci.ModeProcess, prepare: gmsa, refused: "forbids group managed service accounts"},
	"io.microsoft.wcow.processdumptype":                           {value: "mini", prepare: annotate("io.microsoft.container.processdumplocation", `C:\d`)},
	"io.microsoft.wcow.processdumpcount":                          {prepare: annotate("io.microsoft.container.processdumplocation", `C:\d`)},
	"io.microsoft.container.memory.sizeinmb":                      {value: "512"},
	"io.microsoft.container.processor.limit":                      {mode: oci.ModeProcess},
	"microsoft.com/hostprocess-container":                         {mode: oci.ModeProcess},
	"microsoft.com/hostprocess-inherit-user":                      {mode: oci.ModeProcess, prepare: annotate("microsoft.com/hostprocess-container", "true")},
	"microsoft.com/hostprocess-rootfs-location":                   {mode: oci.ModeProcess, prepare: annotate("microsoft.com/hostprocess-container", "true")},
	"microsoft.com/disable-hostprocess-container":                 {mode: oci.ModeProcess, prepare: annotate("microsoft.com/hostprocess-container", "true"), refused: "microsoft.com/disable-hostprocess-container"},
	vm + "computetopology.memory.sizeinmb":                        {value: "2048"},
	vm + "fileshares.disablewritable":                             {prepare: func(r *request) { r.mount(`C:\data`, `C:\data`, "") }, refused: "forbids writable shares"},
	vm + "console.pipe":                                           {value: `\\.\pipe\console`},
	vm + "computetopology.processor.numa.max-processors-per-node": {value: "8", prepare: numa("max-")},
	vm + "computetopology.processor.numa.max-size-per-node":       {value: "8192", prepare: numa("max-")},
	vm + "computetopology.numa.preferred-physical-nodes":          {prepare: numa("")},
	vm + "computetopology.numa.mapped-physical-nodes":             {value: "1,0", prepare: numa("")},
	vm + "computetopology.numa.count-of-processors":               {value: "1,3", prepare: numa("")},
	vm + "computetopology.numa.count-of-memory-blocks":            {value: "512,1536", prepare: numa("")},
}

func (r *request) mount(source, destination, typ string, options ...string) {
	r.spec.Mounts = append(r.spec.Mounts, specs.Mount{Source: source, Destination: destination, Type: typ, Options: options})
}

// Every field that runhcs reads or refuses is in isol's list, and what the
// list says of it is what happens.
func TestEveryFieldOfRunhcs(t *testing.T) {
	known := map[string]oci.Field{}
	for _, f := range oci.Fields() {
		known[f.Path] = f
	}
	paths := lines(t, "runhcs-fields.txt")
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			f, ok := known[path]
			if !ok {
				t.Fatal("isol's list has no such field")
			}
			if f.Status != oci.StatusHonoured && f.Why == "" {
				t.Error("no reason is given")
			}
			show(t, f)
		})
	}
	for path := range known {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is in isol's list and not in runhcs-fields.txt", path)
		}
	}
	for path := range fieldCases {
		if !slices.Contains(paths, path) {
			t.Errorf("%s has a case and no field", path)
		}
	}
}

func show(t *testing.T, f oci.Field) {
	t.Helper()
	c, ok := fieldCases[f.Path]
	if !ok {
		t.Fatal("no case shows what it does")
	}
	for _, mode := range []oci.Modes{oci.ModeProcess, oci.ModeHyperVWindows} {
		if f.Modes&mode == 0 {
			if f.Status == oci.StatusHonoured && c.elsewhere != "" {
				if _, err := differ(t, mode, nil, c.change); err == nil || !strings.Contains(err.Error(), c.elsewhere) {
					t.Errorf("%v: %v, want a refusal about %q", mode, err, c.elsewhere)
				}
			}
			continue
		}
		diff, err := differ(t, mode, c.prepare, c.change)
		switch {
		case f.Status == oci.StatusRefused || c.says != "":
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: %v, want a refusal about %q", mode, err, c.says)
			}
		case err != nil:
			t.Errorf("%v: %v", mode, err)
		case f.Status == oci.StatusIgnored && diff != "":
			t.Errorf("%v: it is said to be ignored and changes the task:\n%s", mode, diff)
		case f.Status == oci.StatusHonoured && diff == "":
			t.Errorf("%v: it is said to be honoured and changes nothing", mode)
		}
	}
	if f.Modes&(oci.ModeProcess|oci.ModeHyperVWindows) == 0 {
		if _, err := differ(t, oci.ModeHyperVWindows, nil, c.change); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want a refusal about %q", err, c.says)
		}
	}
}
