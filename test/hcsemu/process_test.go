package hcsemu

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// What users run in tests on Linux behaves as on Windows: output, exit codes, streams.
func TestScriptedPrograms(t *testing.T) {
	b := newBench(t, Config{})
	h := b.start("c")
	for _, tt := range []struct {
		command, in, out, err string
		code                  uint32
	}{
		{command: "cmd /c echo hi there", out: "hi there\r\n"},
		{command: "cmd /c exit 7", code: 7},
		{command: `C:\Windows\System32\cmd.exe /c exit -1`, code: 0xFFFFFFFF},
		{command: "exit 3", code: 3},
		{command: "cmd /c nosuch", err: "'nosuch' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n", code: 1},
		{command: "more", in: "abc\n", out: "abc\n"},
		{command: "cmd", in: "echo a\nexit 4\n", out: "C:\\>a\r\nC:\\>", code: 4},
		{command: "cmd /c stderr oops", err: "oops\r\n"},
		{command: "flood 40000", out: strings.Repeat("0123456789abcde\n", 2500)},
		{command: "ping -n 1 localhost", out: "Reply from 127.0.0.1: bytes=32 time<1ms TTL=128\r\n"},
		{command: "ping -n x localhost", out: "Bad value for option -n, valid range is from 1 to 4294967295.\r\n", code: 1},
		{command: "hostname", out: "web-0\r\n"},
		{command: "whoami", out: "user manager\\containeruser\r\n"},
		{command: "pause", in: "\n", out: "Press any key to continue . . . "},
		{command: "exit abc", code: 1},
		{command: "flood abc", code: 1},
	} {
		t.Run(tt.command, func(t *testing.T) {
			p := b.run(h, tt.command)
			ended := b.watch(p.Handle)
			// either fails where the program has ended without a look at its input
			_, _ = io.WriteString(p.Stdio.In, tt.in)
			_ = b.ModifyProcess(t.Context(), p.Handle, `{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}`)
			out, err := io.ReadAll(p.Stdio.Out)
			b.ok(err)
			errs, err := io.ReadAll(p.Stdio.Err)
			b.ok(err)
			if d := cmp.Diff([]string{tt.out, tt.err}, []string{string(out), string(errs)}); d != "" {
				t.Errorf("output (-want +got):\n%s", d)
			}
			if code := b.exitCode(ended); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			b.ok(b.CloseProcess(p.Handle))
		})
	}
}

func TestEnvironmentAndDirectoryReachTheProcess(t *testing.T) {
	b := newBench(t, Config{})
	h := b.start("c")
	for command, want := range map[string]string{"set": "A=1\r\nB=2\r\n", "cd": "C:\\app\r\n"} {
		p, err := b.CreateProcess(t.Context(), CreateProcess{System: h, Parameters: encode(schema.ProcessParameters{
			CommandLine: command, WorkingDirectory: `C:\app`, Environment: map[string]string{"B": "2", "A": "1"}, CreateStdOutPipe: true,
		})})
		b.ok(err)
		out, err := io.ReadAll(p.Stdio.Out)
		b.ok(err)
		if string(out) != want {
			t.Errorf("%s printed %q, want %q", command, out, want)
		}
		if p.Stdio.In != nil || p.Stdio.Err != nil {
			t.Errorf("%s has pipes that were not asked for", command)
		}
	}
}

// A command that cannot run names its reason: the shim turns it into a sentence.
func TestProcessesThatCannotStart(t *testing.T) {
	b := newBench(t, Config{})
	h := b.start("c")
	for _, tt := range []struct {
		name   string
		params string
		want   HRESULT
	}{
		{"no such program", params("nosuch.exe -x"), EFileNotFound},
		{"no command", params(""), EInvalidArg},
		{"no such user", `{"CommandLine":"whoami","User":"alice"}`, ENoSuchUser},
		{"relative directory", `{"CommandLine":"cd","WorkingDirectory":"app"}`, EDirectory},
		{"Linux arguments", `{"CommandLine":"cd","CommandArgs":["a"]}`, EInvalidArg},
		{"half a console size", `{"CommandLine":"cd","ConsoleSize":[25]}`, EInvalidArg},
		{"unknown field", `{"CommandLine":"cd","Commandline":"x"}`, EInvalidJSON},
		{"no JSON", `{`, EInvalidJSON},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.CreateProcess(t.Context(), CreateProcess{System: h, Parameters: tt.params})
			b.code("create", err, tt.want)
			if ResultDocument(err) == "" {
				t.Error("the failure has no result document")
			}
		})
	}
	_, err := b.CreateProcess(t.Context(), CreateProcess{System: 99, Parameters: params("exit 0")})
	b.code("no such handle", err, EHandle)
	if l := b.e.Ledger(); strings.Contains(l.String(), "process") {
		t.Errorf("a process that did not start is in the ledger:\n%s", l)
	}
}

func TestControlEvents(t *testing.T) {
	b := newBench(t, Config{})
	h := b.start("c")
	ctx := t.Context()
	p := b.run(h, "trap")
	ended := b.watch(p.Handle)
	line(t, p.Stdio.Out)
	b.ok(b.SignalProcess(ctx, p.Handle, `{"Signal":"CtrlBreak"}`))
	if got := line(t, p.Stdio.Out); got != "CtrlBreak" {
		t.Errorf("the program saw %q", got)
	}
	b.code("no signal", b.SignalProcess(ctx, p.Handle, ""), EInvalidArg)
	b.code("unknown signal", b.SignalProcess(ctx, p.Handle, `{"Signal":"SIGTERM"}`), EInvalidJSON)
	b.ok(b.SignalProcess(ctx, p.Handle, `{"Signal":"CtrlShutdown"}`))
	if code := b.exitCode(ended); code != 42 {
		t.Errorf("exit code %d, want the handler's 42", code)
	}
	// after the end
	b.code("signal", b.SignalProcess(ctx, p.Handle, `{"Signal":"CtrlC"}`), EElementNotFound)
	b.code("kill", b.TerminateProcess(ctx, p.Handle, ""), EProcessAlreadyStopped)
	b.code("resize", b.ModifyProcess(ctx, p.Handle, `{"Operation":"ConsoleSize","ConsoleSize":{"Height":1,"Width":1}}`), EElementNotFound)
	_, err := b.OpenProcess(ctx, h, p.PID)
	b.code("open", err, EElementNotFound)
}

// kill -9 ends even a program that ignores everything, over a second handle as the shim does it.
func TestKillOverASecondHandle(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.start("c")
	p := b.run(h, "ignore")
	ended := b.watch(p.Handle)
	line(t, p.Stdio.Out)
	b.ok(b.SignalProcess(ctx, p.Handle, `{"Signal":"CtrlC"}`))

	second, err := b.OpenSystem(ctx, "c")
	b.ok(err)
	victim, err := b.OpenProcess(ctx, second, p.PID)
	b.ok(err)
	also := b.watch(victim)
	b.ok(b.TerminateProcess(ctx, victim, ""))
	for _, events := range []<-chan Event{ended, also} {
		if code := b.exitCode(events); code != exitTerminated {
			t.Errorf("exit code %d, want %d", code, exitTerminated)
		}
	}
	b.ok(b.CloseProcess(victim))
	b.ok(b.CloseSystem(second))
	b.ok(b.CloseProcess(p.Handle))
	b.ok(b.CloseSystem(h))
	b.cleanEnd()
}

func TestConsole(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.start("c")
	p, err := b.CreateProcess(ctx, CreateProcess{System: h, Parameters: `{"CommandLine":"size","EmulateConsole":true,"ConsoleSize":[30,100],"CreateStdInPipe":true,"CreateStdOutPipe":true}`})
	b.ok(err)
	if got := line(t, p.Stdio.Out); got != "30x100" {
		t.Errorf("size at the start %s", got)
	}
	b.ok(b.ModifyProcess(ctx, p.Handle, `{"Operation":"ConsoleSize","ConsoleSize":{"Height":40,"Width":120}}`))
	if got := line(t, p.Stdio.Out); got != "40x120" {
		t.Errorf("size after the change %s", got)
	}
	b.code("no size", b.ModifyProcess(ctx, p.Handle, `{"Operation":"ConsoleSize"}`), EInvalidArg)
	b.code("nothing", b.ModifyProcess(ctx, p.Handle, ``), EInvalidArg)
	b.code("output", b.ModifyProcess(ctx, p.Handle, `{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdOut"}}`), ENotSupported)
	q := b.run(h, "more")
	b.code("no console", b.ModifyProcess(ctx, q.Handle, `{"Operation":"ConsoleSize","ConsoleSize":{"Height":40,"Width":120}}`), EInvalidState)
}

// Closing the caller's end of stdin does not end the input, CloseHandle does.
func TestStdinEndsOnlyWhenToldTo(t *testing.T) {
	b := newBench(t, Config{})
	h := b.start("c")
	p := b.run(h, "more")
	ended := b.watch(p.Handle)
	_, err := io.WriteString(p.Stdio.In, "x\n")
	b.ok(err)
	b.ok(p.Stdio.In.Close())
	if got := line(t, p.Stdio.Out); got != "x" {
		t.Errorf("read %q", got)
	}
	select {
	case ev := <-ended:
		t.Fatalf("the process ended with its stdin handle: %s", ev.Data)
	default:
	}
	b.ok(b.ModifyProcess(t.Context(), p.Handle, `{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}`))
	if code := b.exitCode(ended); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestProcessInfoAndProperties(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.start("c")
	p := b.run(h, "pause")
	info, err := b.ProcessInfo(ctx, p.Handle)
	b.ok(err)
	if info.PID != p.PID || info.Stdio != (Stdio{}) {
		t.Errorf("pipes have one taker, but %+v was given out again", info)
	}
	props, err := b.ProcessProperties(ctx, p.Handle, "")
	b.ok(err)
	var status schema.ProcessStatus
	b.ok(json.Unmarshal([]byte(props), &status))
	if status.Exited || status.ProcessID != p.PID {
		t.Errorf("status %s of a running process", props)
	}
	_, err = b.ProcessInfo(ctx, h)
	b.code("info of a system", err, EHandle)
	_, err = b.ProcessProperties(ctx, 77, "")
	b.code("properties of nothing", err, EHandle)
	b.code("start of a process", b.StartSystem(ctx, p.Handle, ""), EHandle)
}

// The shim's Stats and Pids come from these.
func TestSystemProperties(t *testing.T) {
	b := newBench(t, Config{})
	ctx := t.Context()
	h := b.start("c")
	p := b.run(h, "pause")
	answer, err := b.SystemProperties(ctx, h, `{"PropertyTypes":["Statistics","ProcessList","TerminateOnLastHandleClosed"]}`)
	b.ok(err)
	b.ok(schema.Validate[schema.Properties]([]byte(answer), 20348))
	var props schema.Properties
	b.ok(json.Unmarshal([]byte(answer), &props))
	if len(props.ProcessList) != 1 || props.ProcessList[0].ProcessID != p.PID || props.ProcessList[0].ImageName != "pause" {
		t.Errorf("process list %+v", props.ProcessList)
	}
	if props.Statistics.Memory.MemoryUsageCommitBytes == 0 || props.Statistics.ContainerStartTime.IsZero() {
		t.Errorf("statistics %+v", props.Statistics)
	}
	basic, err := b.SystemProperties(ctx, h, "")
	b.ok(err)
	b.ok(json.Unmarshal([]byte(basic), &props))
	if props.ID != "c" || props.SystemType != "Container" || props.RuntimeOSType != "Windows" || props.Owner != "test" || props.State != "Running" {
		t.Errorf("basic properties %s", basic)
	}
	for query, want := range map[string]HRESULT{
		`{"PropertyTypes":["Memory"]}`:             ENotSupported,
		`{"PropertyTypes":["SharedMemoryRegion"]}`: ENotSupported,
		`{"PropertyTypes":["Nonsense"]}`:           EInvalidJSON,
		`{"Queries":{"Basic":{}}}`:                 ENotSupported,
	} {
		_, err := b.SystemProperties(ctx, h, query)
		b.code(query, err, want)
	}
}

func TestEnumerate(t *testing.T) {
	b := newBench(t, Config{})
	b.create("b")
	other := b.prepare(`C:\snapshots\10`)
	_, err := b.CreateSystem(t.Context(), CreateSystem{ID: "a", Document: b.containerDoc(func(d *schema.ComputeSystem) {
		d.Container.Storage.Path, d.Owner = other, "someone"
	})})
	b.ok(err)
	for query, want := range map[string][]string{
		"": {"a", "b"}, `{"Ids":["b"]}`: {"b"}, `{"Owners":["someone"]}`: {"a"}, `{"Types":["VirtualMachine"]}`: nil,
	} {
		answer, err := b.EnumerateSystems(t.Context(), query)
		b.ok(err)
		var list []schema.SystemSummary
		b.ok(json.Unmarshal([]byte(answer), &list))
		var ids []string
		for _, s := range list {
			ids = append(ids, s.ID)
		}
		if d := cmp.Diff(want, ids); d != "" {
			t.Errorf("query %s (-want +got):\n%s", query, d)
		}
	}
	_, err = b.EnumerateSystems(t.Context(), `{"Id":"a"}`)
	b.code("unknown field", err, EInvalidJSON)
}

func FuzzSplitCommandLine(f *testing.F) {
	f.Add(`cmd /c "echo a b" c`)
	f.Add(`"C:\Program Files\x.exe" ""`)
	f.Fuzz(func(t *testing.T, line string) {
		for _, arg := range splitCommandLine(line) {
			if strings.Contains(arg, `"`) {
				t.Errorf("%q: argument %q keeps a quote", line, arg)
			}
		}
	})
}
