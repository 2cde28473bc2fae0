package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory that the pod's containers share must be there for the second
// container as for the first, whatever its name means to a shell.
func TestMkdir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a & calc", "%PATH% $(x)")
	for range 2 {
		var out strings.Builder
		if code := run([]string{"mkdir", path}, &out); code != 0 || out.Len() != 0 {
			t.Fatalf("exit %d, printed %q", code, out.String())
		}
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
}

// The shim shows its user what the program printed, so that must say what went
// wrong.
func TestRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"nothing", nil, 2, "usage"},
		{"an unknown verb", []string{"rm", "/"}, 2, "usage"},
		{"no path", []string{"mkdir", ""}, 2, "usage"},
		{"two paths", []string{"mkdir", "/a", "/b"}, 2, "usage"},
		{"a path below a file", []string{"mkdir", filepath.Join(file, "x")}, 1, "file"},
		{"a parent that is not there", []string{"devices", `VMBUS\none`}, 1, "device"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			if code := run(tc.args, &out); code != tc.code || !strings.Contains(out.String(), tc.says) {
				t.Errorf("exit %d, %q; want %d, %q", code, out.String(), tc.code, tc.says)
			}
		})
	}
}
