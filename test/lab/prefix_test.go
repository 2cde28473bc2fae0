package lab

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPrefixPath(t *testing.T) {
	p := prefix{dir: "/lab/prefix"}
	for windows, want := range map[string]string{
		`C:\ProgramData\containerd`: "/lab/prefix/drive_c/ProgramData/containerd",
		`c:\x`:                      "/lab/prefix/drive_c/x",
		`C:\`:                       "/lab/prefix/drive_c",
	} {
		if got := p.path(windows); got != want {
			t.Errorf("path(%q) = %q, want %q", windows, got, want)
		}
	}
}

// A lab that writes its registry or a DLL must not change the template, and so
// every other lab.
func TestCloneSharesOnlyWhatIsNotWritten(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write := func(name string) {
		path := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("template"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const dll, registry = "drive_c/windows/system32/ntdll.dll", "system.reg"
	write(dll)
	write(registry)
	home := filepath.Join(src, "drive_c/users/someone/Documents")
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/home/someone", home); err != nil {
		t.Fatal(err)
	}
	if err := clone(src, dst); err != nil {
		t.Fatal(err)
	}
	for name, shared := range map[string]bool{dll: true, registry: false} {
		a, errA := os.Stat(filepath.Join(src, name))
		b, errB := os.Stat(filepath.Join(dst, name))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if os.SameFile(a, b) != shared {
			t.Errorf("%s: shared with the template is %v, want %v", name, !shared, shared)
		}
		if !a.ModTime().Equal(b.ModTime()) {
			t.Errorf("%s: its time changed, wineboot would set the prefix up again", name)
		}
	}
	if st, err := os.Lstat(filepath.Join(dst, "drive_c/users/someone/Documents")); err != nil || !st.IsDir() {
		t.Errorf("the link to the user's home must become a folder: %v, %v", st, err)
	}

	replacement := filepath.Join(t.TempDir(), "new.dll")
	if err := os.WriteFile(replacement, []byte("ours"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(replacement, filepath.Join(dst, dll)); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(src, dll)); err != nil || string(content) != "template" {
		t.Errorf("replacing a DLL of the clone wrote through to the template: %q, %v", content, err)
	}
}

// What a test that dies leaves running is what the next one trips over.
func TestGuardEndsWhatIsLeft(t *testing.T) {
	if !supported {
		t.Skip("needs /proc")
	}
	dir := t.TempDir()
	other := exec.Command("sleep", "1000")
	other.Env = []string{"WINEPREFIX=" + dir + "/another/prefix"}
	mine := exec.Command("sleep", "1000")
	mine.Env = []string{"WINEPREFIX=" + dir + "/lab/prefix"}
	for _, cmd := range []*exec.Cmd{other, mine} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	defer other.Wait()
	defer other.Process.Kill()
	lab := filepath.Join(dir, "lab")
	if err := os.MkdirAll(filepath.Join(lab, "prefix"), 0o755); err != nil {
		t.Fatal(err)
	}
	g, err := startGuard(tools{wineserver: "/bin/false"}, lab)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mine.Wait() }() // so that no zombie counts as running
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the prefix's process was not killed")
	}
	if isDir(lab) {
		t.Error("the lab's folder is left")
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process of another prefix was ended: %v", err)
	}
}

// Programs that print a screen need to know its size.
func TestTerminal(t *testing.T) {
	if !supported {
		t.Skip("needs a pseudo terminal")
	}
	cmd := exec.Command("sh", "-c", "stty size; read line; echo got $line")
	var out buffer
	input, typed := io.Pipe()
	term, err := newTerminal(cmd, Command{Terminal: true, Rows: 30, Columns: 100, Stdin: input}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term.started()
	if _, err := typed.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	typed.Close()
	term.close()
	for _, want := range []string{"30 100", "got hello"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q lacks %q", out.String(), want)
		}
	}
}

// The text that says "ready" may come in two pieces.
func TestLogFileSeesTextAcrossWrites(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l, err := openLog(name, "successfully booted")
	if err != nil {
		t.Fatal(err)
	}
	defer l.file.Close()
	for i, piece := range []string{strings.Repeat("x", 100), " success", "fully boo", "ted in 0.3s", " and on"} {
		select {
		case <-l.seen:
			if i < 4 {
				t.Fatalf("seen before piece %d", i)
			}
		default:
		}
		if _, err := io.WriteString(l, piece); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-l.seen:
	default:
		t.Error("not seen")
	}
	content, err := os.ReadFile(name)
	if err != nil || !bytes.HasSuffix(content, []byte("booted in 0.3s and on")) {
		t.Errorf("log holds %q, %v", content, err)
	}
	if got := tail(name, 1); !strings.HasSuffix(got, "and on") {
		t.Errorf("tail %q", got)
	}
}

func TestScriptQuotes(t *testing.T) {
	if got, want := quote(`it's`), `'it'\''s'`; got != want {
		t.Errorf("quote: %s, want %s", got, want)
	}
}
