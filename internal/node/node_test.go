package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

const full = `isolation = "auto"

[hyperv]
memory_mb = 2048
processors = 4
overhead_mb = 300
allow_newer_image = true

[policy]
require_hyperv = true
require_hyperv_namespaces = ["tenant-*"]
require_hyperv_annotations = ["example.com/untrusted=true", "example.com/any"]
forbid_host_process = true
forbid_pipes = true
forbid_writable_mounts = true
forbid_devices = true
allow_host_paths = ['C:\data', '\\server\share']
`

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if c, err := Read(path); err != nil || !cmp.Equal(c, Config{}) {
		t.Errorf("absent file: %+v, %v; want the zero Config", c, err)
	}
	if err := os.WriteFile(path, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Path: path, Isolation: "auto",
		HyperV: HyperV{MemoryMB: 2048, Processors: 4, OverheadMB: 300, AllowNewerImage: true},
		Policy: Policy{
			RequireHyperV: true, RequireHyperVNamespaces: []string{"tenant-*"},
			RequireHyperVAnnotations: []string{"example.com/untrusted=true", "example.com/any"},
			ForbidHostProcess:        true, ForbidPipes: true, ForbidWritableMounts: true, ForbidDevices: true,
			AllowHostPaths: []string{`C:\data`, `\\server\share`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Read(t.TempDir()); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a directory: %v, want FailedPrecondition: a file that can't be read is not a file without rules", err)
	}
}

// A rule that is misspelt or means nothing must stop creates, not be skipped.
func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key", "[policy]\n\nforbid_pipe = true\n", `line 3: unknown key "policy.forbid_pipe"`},
		{"unknown table", "[polcy]\nforbid_pipes = true\n", `line 1: unknown key "polcy"`},
		{"wrong type", "[policy]\nforbid_pipes = \"yes\"\n", "line 2, column 16"},
		{"not TOML", "isolation\n", "line 1"},
		{"number below zero", "[hyperv]\nmemory_mb = -1\n", "line 2"},
		{"isolation", `isolation = "xenon"`, `isolation = "xenon": it is process, hyperv or auto`},
		{"namespace pattern", "[policy]\nrequire_hyperv_namespaces = [\"[\"]\n", `"[" is not a pattern`},
		{"empty namespace", "[policy]\nrequire_hyperv_namespaces = [\"\"]\n", `"" is not a pattern`},
		{"annotation without key", "[policy]\nrequire_hyperv_annotations = [\"=x\"]\n", `"=x" is neither key nor key=value`},
		{"relative path", "[policy]\nallow_host_paths = ['data']\n", `"data" is not an absolute path`},
		{"path with ..", "[policy]\nallow_host_paths = ['C:\\a\\..']\n", `is not an absolute path`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("N", []byte(tc.text))
			if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "node config N") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v\nwant FailedPrecondition with the file and %q", err, tc.want)
			}
		})
	}
}

func TestDefaultPath(t *testing.T) {
	env := func(v string) func(string) string {
		return func(k string) string {
			if k != "ProgramData" {
				t.Errorf("asks for %s", k)
			}
			return v
		}
	}
	if got := DefaultPath(env(`D:\pd`)); got != `D:\pd\isol\config.toml` {
		t.Error(got)
	}
	if got := DefaultPath(env("")); got != `C:\ProgramData\isol\config.toml` {
		t.Error(got)
	}
}

func TestHyperVRule(t *testing.T) {
	ns := Policy{RequireHyperVNamespaces: []string{"tenant-*", "k8s.io"}}
	ann := Policy{RequireHyperVAnnotations: []string{"a=1", "b"}}
	for _, tc := range []struct {
		name        string
		policy      Policy
		namespace   string
		annotations map[string]string
		want        string
	}{
		{"none", Policy{}, "k8s.io", nil, ""},
		{"all", Policy{RequireHyperV: true}, "", nil, "require_hyperv"},
		{"pattern", ns, "tenant-7", nil, `require_hyperv_namespaces "tenant-*"`},
		{"name", ns, "k8s.io", nil, `require_hyperv_namespaces "k8s.io"`},
		{"another namespace", ns, "default", nil, ""},
		{"no namespace", Policy{RequireHyperVNamespaces: []string{"*"}}, "", nil, ""},
		{"value", ann, "", map[string]string{"a": "1"}, `require_hyperv_annotations "a=1"`},
		{"another value", ann, "", map[string]string{"a": "2"}, ""},
		{"key with any value", ann, "", map[string]string{"b": "x"}, `require_hyperv_annotations "b"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := (Config{Policy: tc.policy}).HyperVRule(tc.namespace, tc.annotations); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestAllowsHostPath(t *testing.T) {
	p := Policy{AllowHostPaths: []string{`C:\data\`, `\\server\share`, `D:\`}}
	for path, want := range map[string]bool{
		`C:\data`: true, `c:/Data/x`: true, `\\?\C:\data\x`: true, `\\SERVER\share\a`: true, `D:\x`: true, `d:`: true,
		`C:\`: false, `C:\dat`: false, `C:\data2`: false, `C:\data\..\x`: false, `C:\data\x:s`: false, `C:\data \x`: false,
		`\\server\share2`: false, `\\.\C:\data`: false, ``: false, `data`: false,
	} {
		if got := p.AllowsHostPath(path); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
	if !(Policy{}).AllowsHostPath(`E:\anything`) {
		t.Error("no list allows every path")
	}
}

func TestDeny(t *testing.T) {
	err := Config{Path: "N"}.Deny("pipe p (mounts[0])", "forbid_pipes")
	const want = "node policy forbids: pipe p (mounts[0]) (rule policy.forbid_pipes of N; nothing in the request overrules it)"
	if !fault.Is(err, fault.PermissionDenied) || err.Error() != want {
		t.Errorf("%v: %v", fault.KindOf(err), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("[policy]\nallow_host_paths = ['\\\\?\\']\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("N", text)
		if err == nil {
			c.HyperVRule("ns", map[string]string{"a": "b"}) // patterns that Parse took must be usable
			c.Policy.AllowsHostPath(`C:\x`)
		} else if !strings.HasPrefix(err.Error(), "node config N: ") {
			t.Errorf("error without the file's name: %v", err)
		}
	})
}
