package e2e

import (
	"os"
	"os/exec"
	"testing"

	"github.com/isolrun/isol/test/lab"
)

// Windows' job objects, accounts and processes, as isol's adapter calls them,
// under the suite that the emulated ones of the unit tests pass.
func TestJobObjects(t *testing.T) {
	l := shared.of(t)
	const program = `C:\jobtest.exe`
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", l.Path(program), "github.com/isolrun/isol/internal/job")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { os.Remove(l.Path(program)) })
	p, err := l.StartProcess(t.Context(), lab.Command{
		Args: []string{program, "-test.v", "-test.run=TestNativeSystem"}, Env: []string{"ISOL_JOBTEST_GROUP=lab-agents"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Wait()
	if err != nil || r.ExitCode != 0 {
		t.Errorf("exit %d, %v:\n%s%s", r.ExitCode, err, r.Stdout, r.Stderr)
	}
}
