package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A shim that panics must leave its words where delete finds them.
func TestCrashIsKept(t *testing.T) {
	if dir := os.Getenv("CRASH_TEST_DIR"); dir != "" {
		if _, err := Dir(dir).Watch("default", `a:b\c`); err != nil {
			t.Fatal(err)
		}
		panic("out of luck")
	}
	dir := Dir(filepath.Join(t.TempDir(), "crash"))
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCrashIsKept$")
	cmd.Env = append(os.Environ(), "CRASH_TEST_DIR="+string(dir))
	if err := cmd.Run(); err == nil {
		t.Fatal("the child did not crash")
	}
	if head := dir.Head("default", `a:b\c`); !strings.Contains(head, "out of luck") {
		t.Errorf("head %q", head)
	}
	if got, want := filepath.Base(dir.Path("default", `a:b\c`)), "default-a%3Ab%5Cc.txt"; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
	if err := dir.Forget("default", `a:b\c`); err != nil {
		t.Error(err)
	}
	if dir.Head("default", `a:b\c`) == "" {
		t.Error("Forget removed a crash")
	}
}

// A shim that ends well must leave nothing.
func TestNoCrashLeavesNoFile(t *testing.T) {
	dir := Dir(t.TempDir())
	end, err := dir.Watch("default", "c1")
	if err != nil {
		t.Fatal(err)
	}
	if dir.Head("default", "c1") != "" {
		t.Error("a head of nothing")
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir.Path("default", "c1")); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
	if err := dir.Forget("default", "c1"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(dir.Path("default", "killed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dir.Forget("default", "killed"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir.Path("default", "killed")); !os.IsNotExist(err) {
		t.Errorf("the empty file of a killed shim stays: %v", err)
	}
}

// Crash files must not fill the disk: only the newest stay, and of each no more
// than its limit.
func TestCrashFilesAreBounded(t *testing.T) {
	dir := Dir(t.TempDir())
	for i := range Keep + 5 {
		path := dir.Path("default", fmt.Sprint("old", i))
		if err := os.WriteFile(path, make([]byte, MaxSize+i), 0o600); err != nil {
			t.Fatal(err)
		}
		age := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	end, err := dir.Watch("default", "new")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = end() }()
	for i := range Keep + 5 {
		info, err := os.Stat(dir.Path("default", fmt.Sprint("old", i)))
		if kept := err == nil; kept != (i < Keep) {
			t.Errorf("file %d of age %d h: kept %v", i, i, kept)
		} else if kept && info.Size() > MaxSize {
			t.Errorf("file %d has %d bytes", i, info.Size())
		}
	}
	long := dir.Path("default", "long")
	if err := os.WriteFile(long, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dir.Forget("default", "long"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(long); err != nil || info.Size() != MaxSize {
		t.Errorf("after Forget: %v %v", info, err)
	}
}

// A folder that cannot be made is told, and is no reason to fail.
func TestWatchWithoutAFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if end, err := Dir(file).Watch("default", "c1"); err == nil || end != nil {
		t.Errorf("end %v, error %v", end != nil, err)
	}
}

func TestDefaultDir(t *testing.T) {
	if got := DefaultDir(func(string) string { return "base" }); string(got) != filepath.Join("base", "isol", "crash") {
		t.Errorf("%q", got)
	}
	if got := DefaultDir(func(string) string { return "" }); !strings.HasPrefix(string(got), `C:\ProgramData`) {
		t.Errorf("%q", got)
	}
}
