package job

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

var (
	inSilo   = layoutOf("web", &isolation.HostProcess{RootfsFolder: `C:\hpc`}, true)
	inFolder = layoutOf("web", &isolation.HostProcess{RootfsFolder: `C:\hpc\`}, false)
)

// Manifests name C:\hpc, or the variable: both must lead to the image's files on
// every host.
func TestLayout(t *testing.T) {
	if inSilo.root != `C:\hpc` || inSilo.folder != "" || inFolder.root != `C:\hpc\web` || inFolder.folder != `C:\hpc\web` {
		t.Errorf("silo %+v, folder %+v", inSilo, inFolder)
	}
	for _, tc := range []struct{ name, cwd, silo, folder string }{
		{"none", "", `C:\hpc\`, `C:\hpc\web\`},
		{"the host's", `C:\Windows`, `C:\Windows`, `C:\hpc\web\Windows`},
		{"the root by its usual name", `C:\hpc`, `C:\hpc`, `C:\hpc\web\hpc`},
		{"the root, cmd", `%CONTAINER_SANDBOX_MOUNT_POINT%\app`, `C:\hpc\app`, `C:\hpc\web\app`},
		{"the root, PowerShell", `$env:CONTAINER_SANDBOX_MOUNT_POINT\app`, `C:\hpc\app`, `C:\hpc\web\app`},
		{"the root, Kubernetes", `$CONTAINER_SANDBOX_MOUNT_POINT/app`, `C:\hpc\app`, `C:\hpc\web\app`},
		{"of Linux", "/app", `C:\hpc\app`, `C:\hpc\web\app`},
		{"a drive alone", "C:", `C:`, `C:\hpc\web\`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := inSilo.workFolder(tc.cwd); got != tc.silo {
				t.Errorf("silo: %s, want %s", got, tc.silo)
			}
			if got := inFolder.workFolder(tc.cwd); got != tc.folder {
				t.Errorf("folder: %s, want %s", got, tc.folder)
			}
		})
	}
}

// A variable that is lost or doubled breaks programs far from the cause.
func TestEnvironment(t *testing.T) {
	user := []string{"=C:=C:\\Windows", "Path=C:\\Windows;", "USERNAME=SYSTEM", "EMPTY=", "nonsense"}
	spec := map[string]string{"username": "me", "DATA": `%CONTAINER_SANDBOX_MOUNT_POINT%\data`, "CONTAINER_SANDBOX_MOUNT_POINT": "forged"}
	want := []string{
		`=C:=C:\Windows`, `CONTAINER_SANDBOX_MOUNT_POINT=C:\hpc\`, `DATA=C:\hpc\data`, "EMPTY=",
		`Path=C:\Windows;C:\hpc\;` + morePath, "username=me",
	}
	got := environment(user, spec, inSilo)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if path := valueOf(environment(nil, nil, inFolder), "path"); path != `C:\hpc\web\;`+morePath {
		t.Errorf("PATH of a user without one: %s", path)
	}
	if path := valueOf(environment(user, map[string]string{"PATH": `D:\bin`}, inSilo), "PATH"); !strings.HasPrefix(path, `D:\bin;C:\hpc\`) {
		t.Errorf("the image's PATH is not the one: %s", path)
	}
}

// What runs, and with which arguments, must be what the reference runs.
func TestResolve(t *testing.T) {
	files := []string{
		`C:\hpc\web\app.exe`, `C:\hpc\web\my tool.exe`, `C:\hpc\web\agnhost`, `C:\Windows\System32\cmd.exe`, `C:\Windows\System32\more.com`,
		`D:\bin\app.exe`, `C:\hpc\web\sub dir\program name.exe`, `C:\Windows\notepad.exe`,
	}
	isFile := func(p string) bool {
		return slices.ContainsFunc(files, func(f string) bool { return strings.EqualFold(f, p) })
	}
	facts := Facts{SystemFolder: `C:\Windows\System32`, WindowsFolder: `C:\Windows`}
	for _, tc := range []struct {
		name, line    string
		program, want string // program empty: not found
		kind          fault.Kind
	}{
		{"by name", "app -x", `C:\hpc\web\app.exe`, "app -x", 0},
		{"with extension", "app.exe -x", `C:\hpc\web\app.exe`, "app.exe -x", 0},
		{"without extension on disk", "agnhost serve", `C:\hpc\web\agnhost`, "agnhost serve", 0},
		{"system folder", "cmd /c echo a  b", `C:\Windows\System32\cmd.exe`, "cmd /c echo a  b", 0},
		{"com", "more", `C:\Windows\System32\more.com`, "more", 0},
		{"windows folder", "notepad", `C:\Windows\notepad.exe`, "notepad", 0},
		{"full path", `D:\bin\app.exe -x`, `D:\bin\app.exe`, `D:\bin\app.exe -x`, 0},
		{"slashes", `D:/bin/app -x`, `D:\bin\app.exe`, `D:/bin/app -x`, 0},
		{"quoted", `"my tool" -x`, `C:\hpc\web\my tool.exe`, `"my tool" -x`, 0},
		{"spaces without quotes", `my tool -x`, `C:\hpc\web\my tool.exe`, `"my tool" -x`, 0},
		{"spaces in a path", `C:\hpc\web\sub dir\program name -x`, `C:\hpc\web\sub dir\program name.exe`, `"C:\hpc\web\sub dir\program name" -x`, 0},
		{"the variable", `%CONTAINER_SANDBOX_MOUNT_POINT%\app.exe -x`, `C:\hpc\web\app.exe`, `C:\hpc\web\app.exe -x`, 0},
		{"relative with a folder", `sub\app`, "", "", fault.NotFound},
		{"nothing", "nosuch thing", "", "", fault.NotFound},
		{"no closing quote", `"app`, "", "", fault.InvalidArgument},
		{"empty", "  ", "", "", fault.InvalidArgument},
		{"rooted without drive", `\app.exe`, "", "", fault.NotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := resolve(tc.line, `C:\hpc\web`, `D:\bin;relative;`, inFolder, facts, isFile)
			if tc.program == "" {
				if fault.KindOf(err) != tc.kind {
					t.Errorf("%+v, error %v, want %v", got, err, tc.kind)
				}
				return
			}
			if err != nil || got.program != tc.program || got.line != tc.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for line, want := range map[string]string{
		`app -x`: "cmd /c app -x", `cmd /c dir`: "cmd /c dir", `C:\Windows\System32\CMD.exe /c dir`: `C:\Windows\System32\CMD.exe /c dir`,
		`%CONTAINER_SANDBOX_MOUNT_POINT%\app`: `cmd /c C:\hpc\app`,
	} {
		got, err := resolve(line, `C:\hpc`, "", inSilo, facts, func(string) bool { return false })
		if err != nil || got.line != want || got.program != `C:\Windows\System32\cmd.exe` {
			t.Errorf("in a silo %q runs %+v, %v, want %q", line, got, err, want)
		}
	}
}

// Running as somebody else than was asked for is a hole; a refusal must say who
// could be asked for.
func TestUser(t *testing.T) {
	isGroup := func(name string) (bool, error) {
		if name == "broken" {
			return false, errors.New("the account database is away")
		}
		return strings.EqualFold(name, "Administrators"), nil
	}
	service := func(name string) user {
		return user{kind: accountService, account: Account{Domain: "NT AUTHORITY", Name: name, Service: true}}
	}
	group := user{kind: accountGroup, group: "Administrators", account: Account{Domain: ".", Name: temporaryUser("web")}}
	for _, tc := range []struct {
		name, user string
		inherit    bool
		want       user
		refused    string
	}{
		{name: "system", user: `NT AUTHORITY\SYSTEM`, want: service("SYSTEM")},
		{name: "local service, as Kubernetes spells it", user: `nt authority\Local service`, want: service("Local service")},
		{name: "network service", user: `NT AUTHORITY\NetworkService`, want: service("NetworkService")},
		{name: "no service account", user: `NT AUTHORITY\Nobody`, refused: "no service account"},
		{name: "inherited", user: `NT AUTHORITY\SYSTEM`, inherit: true, want: user{}},
		{name: "nobody", refused: "names nobody"},
		{name: "group", user: "Administrators", want: group},
		{name: "group of BUILTIN", user: `BUILTIN\Administrators`, want: group},
		{name: "local user", user: "agent", want: user{kind: accountNamed, account: Account{Domain: ".", Name: "agent"}}},
		{name: "user of a domain", user: `CORP\agent`, want: user{kind: accountNamed, account: Account{Domain: "CORP", Name: "agent"}}},
		{name: "user principal name", user: "agent@corp.test", want: user{kind: accountNamed, account: Account{Name: "agent@corp.test"}}},
		{name: "two backslashes", user: `a\b\c`, refused: "DOMAIN"},
		{name: "no name", user: `CORP\`, refused: "no name"},
		{name: "database away", user: "broken", refused: "away"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := userOf("web", tc.user, tc.inherit, isGroup)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("%+v, error %v, want one with %q", got, err, tc.refused)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("%+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
	if a, b := temporaryUser("web"), temporaryUser("Web"); a == b || len(a) != maxUserName || !strings.HasPrefix(a, TemporaryPrefix) {
		t.Errorf("temporary users %s, %s", a, b)
	}
}

// A limit that is converted wrong starves the container or frees it.
func TestLimits(t *testing.T) {
	mb := func(n uint64) isolation.Container { return isolation.Container{MemoryMB: n} }
	cpu := func(p isolation.Processor) isolation.Container { return isolation.Container{Processor: p} }
	for _, tc := range []struct {
		name string
		c    isolation.Container
		want Limits
	}{
		{"none", isolation.Container{}, Limits{}},
		{"memory", mb(64), Limits{Memory: 64 << 20}},
		{"one of four processors", cpu(isolation.Processor{Count: 1}), Limits{Rate: 2500}},
		{"more processors than there are", cpu(isolation.Processor{Count: 9}), Limits{Rate: 10000}},
		{"limit", cpu(isolation.Processor{Limit: 1}), Limits{Rate: 1}},
		{"least weight", cpu(isolation.Processor{Weight: 1}), Limits{Weight: 1}},
		{"half the weight", cpu(isolation.Processor{Weight: 5000}), Limits{Weight: 5}},
		{"most weight", cpu(isolation.Processor{Weight: 10000}), Limits{Weight: 9}},
		{"affinity", isolation.Container{Affinity: []isolation.AffinityMask{{Mask: 3}}}, Limits{Affinity: []isolation.AffinityMask{{Mask: 3}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, limitsOf(&tc.c, 4)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if l := processorLimits(isolation.Processor{Count: 1}, 100_000); l.Rate != 1 {
		t.Errorf("a small share became %d", l.Rate)
	}
	if _, err := changedLimits(&schema.ModificationRequest{ResourcePath: schema.PathContainerPipes, RequestType: schema.RequestAdd}, 4); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("a mapped pipe: %v", err)
	}
}
