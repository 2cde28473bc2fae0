package oci

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
)

// TestRead: the errors of a config.json lead to the place that is wrong.
func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, json string
		text       string // after "read spec <file>: "
	}{
		{"good", `{"ociVersion":"1.2.0","unknown":{"is":"allowed"}}`, ""},
		{"empty", "", "line 1, column 1: unexpected end of JSON input"},
		{"cut", "{\n \"process\": {", "line 2, column 13: unexpected end of JSON input"},
		{"syntax", "{\n  \"hostname\": web\n}", "line 2, column 15: invalid character 'w' looking for beginning of value"},
		{"more than one value", "{}\n{}", "line 2, column 1: invalid character '{' after top-level value"},
		{"wrong type", "{\n \"process\": {\"terminal\": \"yes\"}}", "line 2, column 30: process.terminal is a JSON string, which is not a bool"},
		{"too large", `{"windows":{"resources":{"cpu":{"shares":70000}}}}`, "line 1, column 46: windows.resources.cpu.shares is a JSON number 70000, which is not a uint16"},
		{"not an object", `[]`, "line 1, column 1: the document is a JSON array, which is not a specs.Spec"},
		{"byte order mark", "\xef\xbb\xbf{}", "line 1, column 1: invalid character 'ï' looking for beginning of value (save the file as UTF-8 without a byte order mark)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "config.json")
			if err := os.WriteFile(path, []byte(tc.json), 0o600); err != nil {
				t.Fatal(err)
			}
			spec, err := Read(dir)
			if tc.text == "" {
				if err != nil || spec.Version != "1.2.0" {
					t.Errorf("got %+v, %v", spec, err)
				}
				return
			}
			wantError(t, err, fault.InvalidArgument, "read spec "+path+": "+tc.text)
		})
	}
}

// TestReadFileErrors: a missing file is not a wrong one, and a huge one does
// not fill the shim's memory.
func TestReadFileErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(dir)
	if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("missing: %v", err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, bytes.Repeat([]byte(" "), MaxSpecSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ReadFile(huge)
	wantError(t, err, fault.InvalidArgument, "read spec "+huge+": larger than 16 MiB")
	if _, err := ReadFile(dir); !fault.Is(err, fault.Internal) {
		t.Errorf("a folder: %v", err)
	}
	if err := fileError("x", os.ErrPermission); !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("permission: %v", err)
	}
}
