package journal

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

// A journal is a file that others may have written: replay must not stop other
// containers, unmount the system's folders or delete other files for it. Each
// refusal names what it refuses.
func TestCheck(t *testing.T) {
	const vm = testID + "@vm"
	scratch := func(name, system string) Record { return Record{Kind: KindVMScratch, Name: name, System: system} }
	access := func(name, system string) Record { return Record{Kind: KindVMAccess, Name: name, System: system} }
	for name, tc := range map[string]struct {
		id string
		r  Record
		ok bool
	}{
		"own system":               {testID, recSystem, true},
		"own VM":                   {testID, Record{Kind: KindComputeSystem, Name: vm}, true},
		"other system":             {testID, Record{Kind: KindComputeSystem, Name: "web-1"}, false},
		"system of a system":       {testID, Record{Kind: KindComputeSystem, Name: testID, System: vm}, false},
		"no task":                  {"", Record{Kind: KindComputeSystem, Name: "web-1"}, false},
		"no name":                  {testID, Record{Kind: KindComputeSystem}, false},
		"line break":               {testID, Record{Kind: KindLayerMount, Name: "C:\\a\nb"}, false},
		"NUL in the system":        {testID, access(`C:\d.vhdx`, vm+"\x00"), false},
		"own user":                 {testID, Record{Kind: KindUser, Name: "isol-0123456789abcde"}, true},
		"user of the id's name":    {testID, Record{Kind: KindUser, Name: testID}, false},
		"job":                      {testID, Record{Kind: KindJob, Name: testID}, true},
		"job of another":           {testID, Record{Kind: KindJob, Name: "web-1"}, false},
		"folder":                   {testID, Record{Kind: KindVolumeFolder, Name: `C:\hpc\` + testID}, true},
		"folder of another":        {testID, Record{Kind: KindVolumeFolder, Name: `C:\hpc\web-1`}, false},
		"folder of a drive":        {testID, Record{Kind: KindVolumeFolder, Name: `C:\` + testID}, false},
		"folder, relative":         {testID, Record{Kind: KindVolumeFolder, Name: `hpc\` + testID}, false},
		"folder with a stream":     {testID, Record{Kind: KindVolumeFolder, Name: `C:\hpc:x\` + testID}, false},
		"Administrator":            {testID, Record{Kind: KindUser, Name: "Administrator"}, false},
		"namespace":                {testID, recNS, true},
		"namespace in braces":      {testID, Record{Kind: KindNamespace, Name: "{" + testGUID + "}"}, true},
		"namespace, no GUID":       {testID, Record{Kind: KindNamespace, Name: "host"}, false},
		"namespace, bad GUID":      {testID, Record{Kind: KindNamespace, Name: strings.Replace(testGUID, "5c", "zz", 1)}, false},
		"mount":                    {testID, recMount, true},
		"mount on a share":         {testID, Record{Kind: KindLayerMount, Name: `\\srv\data\s\3`}, true},
		"relative mount":           {testID, Record{Kind: KindLayerMount, Name: `s\3`}, false},
		"mount relative to a disk": {testID, Record{Kind: KindLayerMount, Name: `C:s\3`}, false},
		"mount with dot dot":       {testID, Record{Kind: KindLayerMount, Name: `C:\s\..\3`}, false},
		"a whole volume":           {testID, Record{Kind: KindLayerMount, Name: `C:\`}, false},
		"C:\\Windows":              {testID, Record{Kind: KindLayerMount, Name: `C:\Windows\`}, false},
		"VM's scratch":             {testID, recScratch, true},
		"VM's scratch, / and case": {testID, scratch(`c:/s/3/VM/Sandbox.vhdx`, vm), true},
		"the container's scratch":  {testID, scratch(`C:\s\3\sandbox.vhdx`, vm), false},
		"any other file":           {testID, scratch(`C:\Windows\System32\ntoskrnl.exe`, vm), false},
		"a stream of a file":       {testID, scratch(`C:\Windows:x\vm\sandbox.vhdx`, vm), false},
		"a folder that ends in .":  {testID, scratch(`C:\s.\vm\sandbox.vhdx`, vm), false},
		"a device":                 {testID, scratch(`\\.\C:\s\vm\sandbox.vhdx`, vm), false},
		"up and down again":        {testID, scratch(`C:\s\..\x\vm\sandbox.vhdx`, vm), false},
		"another VM's scratch":     {testID, scratch(`C:\s\3\vm\sandbox.vhdx`, "web-1@vm"), false},
		"no VM's scratch":          {testID, scratch(`C:\s\3\vm\sandbox.vhdx`, ""), false},
		"access to a disk":         {testID, access(`D:\data.vhdx`, vm), true},
		"access to a physical one": {testID, access(`\\.\PhysicalDrive3`, vm), true},
		"access of another VM":     {testID, access(`D:\data.vhdx`, "web-1@vm"), false},
		"access of no VM":          {testID, access(`D:\data.vhdx`, ""), false},
		"access, relative":         {testID, access(`data.vhdx`, vm), false},
		"unknown kind":             {testID, Record{Kind: "volume", Name: `C:\`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(tc.id, tc.r)
			if (err == nil) != tc.ok || err != nil && !fault.Is(err, fault.InvalidArgument) {
				t.Error(err)
			}
			if err != nil && (!strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), string(tc.r.Kind))) {
				t.Errorf("the refusal does not name what it refuses: %v", err)
			}
		})
	}
}

// Every kind has a sentence that says what is allowed.
func TestKindsAreWhole(t *testing.T) {
	for _, k := range Kinds() {
		if kinds[k].allowed == "" || kinds[k].made == nil {
			t.Errorf("the row of %s is not whole", k)
		}
	}
}

// A journal that came from elsewhere must not make this machine stop its own
// containers.
func TestReplayRefusesWhatIsNotTheTasks(t *testing.T) {
	for name, tc := range map[string]struct {
		id, origin string
		want       string
	}{
		"of another machine": {testID, "NODE8", `written on "NODE7", and this is "NODE8"`},
		"of another task":    {"web-1", "NODE7", `it is of task "web-0", and this is "web-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			j, _ := newJournal(t, recSystem)
			var undone []Record
			u := undoers(&undone, nil)
			u.Origin = tc.origin
			_, err := Replay(t.Context(), j.path, tc.id, u)
			if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), tc.want) || len(undone) > 0 {
				t.Errorf("undid %v, %v", undone, err)
			}
			if c, err := Read(j.path); err != nil || len(c.Entries) != 1 {
				t.Errorf("the journal was changed: %+v, %v", c, err)
			}
		})
	}
}

// Whoever may write a file into a bundle, and is no administrator, must not
// have isol undo things for him.
func TestReplayRefusesAnotherUsersJournal(t *testing.T) {
	j, _ := newJournal(t, recSystem)
	if err := os.Chown(j.path, 65534, -1); err != nil {
		t.Skipf("only root may give a file away: %v", err)
	}
	if os.Getuid() == 65534 {
		t.Skip("this is that user")
	}
	var undone []Record
	_, err := Replay(t.Context(), j.path, testID, undoers(&undone, nil))
	if !fault.Is(err, fault.PermissionDenied) || !strings.Contains(err.Error(), "uid 65534") || len(undone) > 0 {
		t.Errorf("undid %v, %v", undone, err)
	}
}

// Two deletes at once, and prune beside them, must not disturb each other:
// all is undone, and none of them fails.
func TestReplaysAtOnce(t *testing.T) {
	for range 50 {
		j := deadJournal(t, recNS, recMount, recSystem)
		u := Undoers{Undo: map[Kind]func(context.Context, Record) error{}}
		for _, k := range Kinds() {
			u.Undo[k] = func(context.Context, Record) error { return nil }
		}
		errs := make(chan error)
		for range 4 {
			go func() {
				_, err := Replay(t.Context(), j.path, testID, u)
				errs <- err
			}()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(j.path); err == nil {
			t.Fatal("the journal is left")
		}
	}
}

// What a file may hold that no isol wrote: a replay of it never undoes what
// isol would not have made for the task, and never panics.
func FuzzReplay(f *testing.F) {
	line := func(payload any) []byte {
		b, err := encode(payload)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	h := line(headerLine{Journal: Version, ID: testID})
	e := line(entryLine{Seq: 1, Acquire: &recMount})
	f.Add(append(append([]byte{}, h...), e...))
	f.Add(append(append(append([]byte{}, h...), e...), line(entryLine{Strike: 1})...))
	f.Add(append(append([]byte{}, h...), e[:20]...))
	f.Add(append(append([]byte{}, h...), line(entryLine{Seq: 1, Acquire: &Record{Kind: KindComputeSystem, Name: "other"}})...))
	f.Add(line(headerLine{Journal: Version + 1, ID: testID}))
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		replayed(t, data)
		// Most of what a fuzzer makes has a wrong checksum: the same with right ones.
		replayed(t, resum(data))
	})
}

// resum gives each line of a file its checksum.
func resum(data []byte) []byte {
	var out []byte
	for l := range strings.Lines(string(data)) {
		_, body, ok := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		if !ok {
			body = l
		}
		out = append(out, sealed([]byte(body))...)
	}
	return out
}

func replayed(t *testing.T, data []byte) {
	c, err := parse(data)
	if err == nil && c.whole > int64(len(data)) {
		t.Fatalf("%+v", c)
	}
	if err != nil && fault.KindOf(err) == fault.Unknown {
		t.Fatalf("error without a kind: %v", err)
	}
	path := filepath.Join(t.TempDir(), FileName)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	u := Undoers{Undo: map[Kind]func(context.Context, Record) error{}}
	for _, k := range Kinds() {
		u.Undo[k] = func(_ context.Context, r Record) error { return check(testID, r) }
	}
	first, err := Replay(t.Context(), path, testID, u)
	for _, r := range first.Undone {
		if err := check(testID, r); err != nil {
			t.Fatalf("undone: %v", err)
		}
	}
	if err != nil && fault.KindOf(err) == fault.Unknown {
		t.Fatalf("error without a kind: %v", err)
	}
	second, _ := Replay(t.Context(), path, testID, u)
	if d := cmp.Diff([]Record(nil), second.Undone); d != "" {
		t.Fatalf("undone twice: %s", d)
	}
}
