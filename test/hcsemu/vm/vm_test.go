package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/uvm"
	"github.com/isolrun/isol/test/hcsemu"
)

// asWorker makes this test program the worker process.
const asWorker = "ISOL_TEST_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) == "" {
		os.Exit(m.Run())
	}
	if err := Work(context.Background(), os.Args[2], Pool(os.Args[3])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// patience bounds a failing test; a passing one does not wait.
const patience = 20 * time.Second

// folderSockets are the emulated hvsockets of the host in Go: what
// test/hcsemu/dll/src/hvsock.c does for Windows programs.
type folderSockets struct{ folder, vm string }

func (s folderSockets) Listen(service string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	file := filepath.Join(s.folder, "host-"+bare(s.vm)+"-"+bare(service)+".port")
	return portListener{l, file}, errors.Join(err, os.WriteFile(file, []byte(port+"\n"), 0o644))
}

type portListener struct {
	net.Listener
	file string
}

func (l portListener) Close() error {
	return errors.Join(l.Listener.Close(), ignoreGone(os.Remove(l.file)))
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// bench is an emulated machine whose virtual machines have guests in
// goroutines of this program and worker processes of their own.
type bench struct {
	t        *testing.T
	runner   *Runner
	pool     Pool
	emulator *hcsemu.Emulator
	cfg      uvm.Config
	guests   sync.WaitGroup
	unplug   context.CancelFunc // ends the guests as the end of their prefix does
}

func newBench(t *testing.T, guests int) *bench {
	t.Helper()
	t.Setenv(asWorker, "1")
	root := t.TempDir()
	b := &bench{t: t, pool: Pool(filepath.Join(root, "pool"))}
	base, scratch, sockets := filepath.Join(root, "base"), filepath.Join(root, "scratch"), filepath.Join(root, "hvsock")
	for _, dir := range []string{filepath.Join(base, "UtilityVM", "Files"), filepath.Join(base, "Files"), scratch, sockets} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(base, "UtilityVM", "SystemTemplate.vhdx"), filepath.Join(scratch, "sandbox.vhdx")} {
		if err := os.WriteFile(f, []byte("disk"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.pool.Open(); err != nil {
		t.Fatal(err)
	}
	b.runner = NewRunner(Config{
		Host: hcsemu.NewScripted(), Worker: os.Args[0], Pool: b.pool, Build: 20348, HostDrive: root, Sockets: sockets,
	})
	b.emulator = hcsemu.New(hcsemu.Config{Build: 20348, Hypervisor: true, Runner: b.runner})
	client := b.emulator.Connect(hcsemu.Caller{PID: 100, Exe: "shim.exe"})
	b.cfg = uvm.Config{
		Owner:   "shim.exe",
		Plan:    &isolation.UVM{ID: "pod@vm", MemoryMB: 1024, Processor: isolation.Processor{Count: 2}, AllowOvercommit: true},
		Layers:  layers.Layers{Parents: []string{base}, Scratch: scratch},
		Host:    hcsemu.HostOn(client),
		Sockets: func(id string) (gcs.Listener, error) { return folderSockets{sockets, id}, nil },
		NameToGUID: func(name string) (string, error) {
			g, err := client.NameToGUID(context.Background(), name)
			return string(g), err
		},
		Deadlines: uvm.DefaultDeadlines(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.unplug = cancel
	for i := range guests {
		b.guests.Go(func() {
			name := strconv.Itoa(i)
			err := RunGuest(ctx, GuestConfig{Name: name, Pool: b.pool, Runner: hcsemu.NewScripted()})
			if err != nil && ctx.Err() == nil {
				t.Errorf("guest %s: %v", name, err)
			}
		})
	}
	t.Cleanup(func() {
		b.emulator.Close()
		cancel()
		b.guests.Wait()
	})
	return b
}

func (b *bench) boot() *uvm.UVM {
	b.t.Helper()
	u, err := uvm.Boot(b.t.Context(), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { u.Close() })
	return u
}

// run boots a machine with a container.
func (b *bench) run() (*uvm.UVM, hcs.Compute) {
	b.t.Helper()
	u := b.boot()
	c, err := b.create(u)
	if err == nil {
		err = c.Start(b.t.Context())
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return u, c
}

// create makes a container in a machine.
func (b *bench) create(u *uvm.UVM) (hcs.Compute, error) {
	b.t.Helper()
	mounted, _, err := u.Mount(b.t.Context(), b.cfg.Layers)
	if err != nil {
		b.t.Fatal(err)
	}
	doc := schema.ComputeSystem{SchemaVersion: schema.V21(), Container: &schema.Container{Storage: &schema.Storage{Path: mounted.Path}}}
	for _, l := range mounted.Layers {
		doc.Container.Storage.Layers = append(doc.Container.Storage.Layers, schema.Layer{ID: l.ID, Path: l.Path})
	}
	return u.Create(b.t.Context(), "web", &doc)
}

// ended waits for the first machine's end and returns its status.
func (b *bench) ended() Status {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for ; ; time.Sleep(look) {
		all := b.runner.Status()
		if len(all) == 1 && !all[0].Running {
			return all[0]
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("machines: %+v", all)
		}
	}
}

func (b *bench) do(verb Verb) {
	b.t.Helper()
	if _, err := b.runner.Do(b.t.Context(), string(verb), b.cfg.Plan.ID); err != nil {
		b.t.Fatal(err)
	}
}

func wait(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal(what + " did not come")
	}
}

// The whole way: worker process, guest, bridge, devices, stdio, and an end that
// leaves nothing.
func TestMachine(t *testing.T) {
	b := newBench(t, 1)
	u, c := b.run()
	p, err := c.CreateProcess(t.Context(), &schema.ProcessParameters{CommandLine: "cmd /c echo from the guest", CreateStdOutPipe: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(p.Stdout())
	if err != nil || !strings.Contains(string(out), "from the guest") {
		t.Errorf("output %q, %v", out, err)
	}
	wait(t, "the process's end", p.Done())
	left, err := b.runner.Do(t.Context(), string(Left), "pod@vm")
	want := []string{"container web", `mounted disk c:\mounts\scsi\m1`}
	if err != nil || len(left.([]string)) != 3 {
		t.Errorf("left while it runs: %v, %v; want %v and its layers", left, err, want)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if s := b.ended(); s.Crashed || s.Ended != Off || len(s.Left) != 3 {
		t.Errorf("a machine that was closed over its container: %+v", s)
	}
	b.guests.Wait()
	if b.pool.Waiting("0") || b.pool.Taken("0") {
		t.Error("the guest is in the pool after its machine's end")
	}
	if l := b.emulator.Ledger().Leaks(); len(l) != 0 {
		t.Errorf("the ledger is not empty:\n%v", l)
	}
}

// Whatever breaks the chain of service, worker and guest ends the machine, and
// the host learns that it was not asked for.
func TestMachineDies(t *testing.T) {
	for name, kill := range map[string]func(*bench){
		"guest crashes": func(b *bench) { b.do(Crash) },
		"worker is killed": func(b *bench) {
			p, err := os.FindProcess(int(b.runner.Status()[0].WorkerPID))
			if err == nil {
				err = p.Kill()
			}
			if err != nil {
				b.t.Fatal(err)
			}
		},
		"guest's kernel goes": func(b *bench) { b.unplug() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			u, c := b.run()
			kill(b)
			wait(t, "the machine's end", u.Done())
			if u.Exit() == nil {
				t.Error("the VM's exit is no error")
			}
			wait(t, "the container's end", c.Done())
			if s := b.ended(); !s.Crashed || s.Ended != "" {
				t.Errorf("status %+v", s)
			}
			b.guests.Wait()
		})
	}
}

// A bridge that breaks must look broken to the host; the machine lives on.
func TestBridgeBreaks(t *testing.T) {
	for _, verb := range []Verb{CloseBridge, Garbage} {
		t.Run(string(verb), func(t *testing.T) {
			b := newBench(t, 1)
			_, c := b.run()
			b.do(verb)
			wait(t, "the container's end", c.Done())
			if c.Exit() == nil {
				t.Error("the container's exit is no error")
			}
		})
	}
}

// A guest that hangs answers nothing until it is resumed, and can be turned off.
func TestHang(t *testing.T) {
	b := newBench(t, 1)
	u, c := b.run()
	b.do(Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Properties(ctx, schema.PropertyQuery{}); err == nil {
		t.Error("a hung guest answers")
	}
	b.do(Resume)
	if _, err := c.Properties(t.Context(), schema.PropertyQuery{}); err != nil {
		t.Errorf("after the hang: %v", err)
	}
	b.do(Hang)
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if s := b.ended(); s.Crashed {
		t.Errorf("status %+v", s)
	}
	b.guests.Wait()
}

// The host may ask for an end in order.
func TestShutDown(t *testing.T) {
	b := newBench(t, 1)
	u, _ := b.run()
	b.do(ShutDown)
	wait(t, "the machine's end", u.Done())
	if s := b.ended(); s.Crashed || s.Ended != ShutDown {
		t.Errorf("status %+v", s)
	}
}

// A machine that waits for a guest can be ended, and takes none later.
func TestNoGuest(t *testing.T) {
	b := newBench(t, 0)
	m, err := b.runner.NewMachine(t.Context(), hcsemu.MachineSpec{ID: "a", RuntimeID: "b5c1a7e2-5d0b-4f6e-9a37-0c2b8f1d4e60", Document: &schema.VirtualMachine{}})
	if err != nil {
		t.Fatal(err)
	}
	m.Terminate()
	wait(t, "the machine's end", m.Done())
	if m.Crashed() {
		t.Error("a machine that was turned off is said to have crashed")
	}
	m.Close()
}

func TestDoRefuses(t *testing.T) {
	b := newBench(t, 1)
	b.boot()
	for name, test := range map[string]struct {
		verb, id string
		want     hcsemu.HRESULT
	}{
		"unknown machine": {"crash", "other", hcsemu.ESystemNotFound},
		"unknown verb":    {"reboot", "pod@vm", hcsemu.EInvalidArg},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := b.runner.Do(t.Context(), test.verb, test.id); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// Two machines that start at once must not get the same guest.
func TestPoolGivesEachGuestOnce(t *testing.T) {
	pool := Pool(t.TempDir())
	if err := pool.Open(); err != nil {
		t.Fatal(err)
	}
	const n = 20
	taken := make(chan string, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			name, address, err := pool.Take(t.Context())
			if err != nil || address != "at "+name {
				t.Errorf("took %q at %q, %v", name, address, err)
			}
			taken <- name
		})
	}
	for i := range n {
		if err := pool.Offer(strconv.Itoa(i), "at "+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	close(taken)
	seen := map[string]bool{}
	for name := range taken {
		if seen[name] {
			t.Errorf("guest %s was taken twice", name)
		}
		seen[name] = true
		if !pool.Taken(name) {
			t.Errorf("guest %s is not taken", name)
		}
		if err := errors.Join(pool.Drop(name), pool.Drop(name)); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*look)
	defer cancel()
	if _, _, err := pool.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an empty pool gave: %v", err)
	}
}

// A guest that looks in the wrong place finds no layer of its containers.
func TestDrivePath(t *testing.T) {
	const drive = `Z:\lab\prefix\drive_c`
	for path, want := range map[string]string{
		`C:\layers\1`:     drive + `\layers\1`,
		`c:\layers\1`:     drive + `\layers\1`,
		`C:/layers/1`:     drive + `/layers/1`,
		`\\?\C:\layers\1`: drive + `\layers\1`,
		`C:\`:             drive + `\`,
		`Z:\tmp\x`:        `Z:\tmp\x`,
		`\\server\share`:  `\\server\share`,
		`C:relative`:      `C:relative`,
		``:                ``,
	} {
		if diff := cmp.Diff(want, drivePath(drive, path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestDialHost(t *testing.T) {
	const vm, service = "{6B5C1A7E-5D0B-4F6E-9A37-0C2B8F1D4E60}", "acef5661-84a1-4e44-856b-6245e69f4620"
	folder := t.TempDir()
	if _, err := DialHost(folder, vm, service); err == nil {
		t.Error("dialled where nobody listens")
	}
	for name, listensFor := range map[string]string{"this VM": vm, "any VM": wildcard} {
		t.Run(name, func(t *testing.T) {
			l, err := folderSockets{folder, listensFor}.Listen(strings.ToUpper(service))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			conn, err := DialHost(folder, vm, service)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		})
	}
	bad := filepath.Join(folder, "host-"+wildcard+"-"+service+".port")
	if err := os.WriteFile(bad, []byte("not a port"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := DialHost(folder, vm, service); err == nil {
		t.Error("dialled what is no port")
	}
}

// Of two workers that want the same guest the slower one is denied it, in
// whatever words Windows finds: it must take the next, not end its machine.
func TestPoolGuestThatIsDenied(t *testing.T) {
	pool := Pool(t.TempDir())
	if err := errors.Join(pool.Open(), pool.Offer("1", "a"), os.MkdirAll(filepath.Join(pool.taken("1"), "in the way"), 0o755)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*look)
	defer cancel()
	if _, _, err := pool.Take(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), pool.taken("1")) {
		t.Errorf("the only guest is denied: %v", err)
	}
	if err := pool.Offer("2", "b"); err != nil {
		t.Fatal(err)
	}
	if name, address, err := pool.Take(t.Context()); name != "2" || address != "b" || err != nil {
		t.Errorf("took %q at %q, %v", name, address, err)
	}
}
