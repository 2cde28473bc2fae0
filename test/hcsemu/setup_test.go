package hcsemu

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/hcs/schema"
)

// patience is how long a test waits for what must come. It bounds a failing
// test; a passing one does not wait.
const patience = 20 * time.Second

const (
	scratchPath = `C:\snapshots\9`
	basePath    = `C:\snapshots\1`
	topPath     = `C:\snapshots\2`
)

// bench is an emulated machine (a test bench) with one client and one prepared root.
type bench struct {
	*Client
	t      *testing.T
	e      *Emulator
	volume string
}

func newBench(t *testing.T, config Config) *bench {
	t.Helper()
	e := New(config)
	t.Cleanup(e.Close)
	b := &bench{t: t, e: e, Client: e.Connect(Caller{PID: 11, Exe: "shim.exe"})}
	b.volume = b.prepare(scratchPath)
	return b
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// code checks that a call failed with the given code (or not at all, for OK).
func (b *bench) code(what string, err error, want HRESULT) {
	b.t.Helper()
	if got := CodeOf(err); got != want {
		b.t.Errorf("%s: code 0x%08x (%v), want 0x%08x", what, uint32(got), err, uint32(want))
	}
}

func parents() []LayerDescriptor {
	return []LayerDescriptor{{ID: nameToGUID("2"), Path: topPath}, {ID: nameToGUID("1"), Path: basePath}}
}

// prepare mounts a scratch over the two layers and returns its volume.
func (b *bench) prepare(path string) string {
	b.t.Helper()
	ctx := b.t.Context()
	b.ok(b.ActivateLayer(ctx, path))
	b.ok(b.PrepareLayer(ctx, path, parents()))
	volume, err := b.LayerMountPath(ctx, path)
	b.ok(err)
	return volume
}

// container is a container on a prepared volume.
func (b *bench) container(volume string) *schema.ComputeSystem {
	return &schema.ComputeSystem{
		Owner: "test", SchemaVersion: schema.V21(), ShouldTerminateOnLastHandleClosed: true,
		Container: &schema.Container{
			GuestOS: &schema.GuestOS{HostName: "web-0"},
			Storage: &schema.Storage{Path: volume, Layers: []schema.Layer{
				{ID: string(nameToGUID("2")), Path: topPath}, {ID: string(nameToGUID("1")), Path: basePath},
			}},
		},
	}
}

// containerDoc is the document of a container on the prepared root, as changed by edits.
func (b *bench) containerDoc(edits ...func(*schema.ComputeSystem)) string {
	doc := b.container(b.volume)
	for _, edit := range edits {
		edit(doc)
	}
	return encode(doc)
}

func machineDoc() *schema.ComputeSystem {
	return &schema.ComputeSystem{
		Owner: "test", SchemaVersion: schema.V21(), ShouldTerminateOnLastHandleClosed: true,
		VirtualMachine: &schema.VirtualMachine{
			Chipset:         &schema.Chipset{UEFI: &schema.UEFI{}},
			ComputeTopology: &schema.Topology{Memory: &schema.VirtualMachineMemory{SizeInMB: 1024}, Processor: &schema.VirtualMachineProcessor{Count: 2}},
			Devices: &schema.Devices{
				SCSI:       map[string]schema.SCSI{"c0": {Attachments: map[string]schema.Attachment{"0": {Type: "VirtualDisk", Path: `C:\sandbox.vhdx`}}}},
				VirtualSMB: &schema.VirtualSMB{Shares: []schema.VirtualSMBShare{{Name: "os", Path: `C:\UtilityVM\Files`}}},
			},
		},
	}
}

func (b *bench) create(id string, edits ...func(*schema.ComputeSystem)) Handle {
	b.t.Helper()
	h, err := b.CreateSystem(b.t.Context(), CreateSystem{ID: id, Document: b.containerDoc(edits...)})
	b.ok(err)
	return h
}

func (b *bench) start(id string) Handle {
	b.t.Helper()
	h := b.create(id)
	b.ok(b.StartSystem(b.t.Context(), h, ""))
	return h
}

// params asks for all three pipes.
func params(command string) string {
	return encode(schema.ProcessParameters{
		CommandLine: command, CreateStdInPipe: true, CreateStdOutPipe: true, CreateStdErrPipe: true,
	})
}

func (b *bench) run(system Handle, command string) ProcessInformation {
	b.t.Helper()
	info, err := b.CreateProcess(b.t.Context(), CreateProcess{System: system, Parameters: params(command)})
	b.ok(err)
	return info
}

// watch returns the events of a handle.
func (b *bench) watch(h Handle) <-chan Event {
	b.t.Helper()
	events := make(chan Event, 16)
	_, err := b.Subscribe(h, func(ev Event) { events <- ev })
	b.ok(err)
	return events
}

// next returns the next event, which must be of type want.
func next(t *testing.T, events <-chan Event, want EventType) Event {
	t.Helper()
	select {
	case ev := <-events:
		if ev.Type != want {
			t.Fatalf("event %v with %s, want %v", ev.Type, ev.Data, want)
		}
		return ev
	case <-time.After(patience):
		t.Fatalf("no event %v came", want)
	}
	return Event{}
}

// exitCode waits for a process's end.
func (b *bench) exitCode(events <-chan Event) uint32 {
	b.t.Helper()
	var status schema.ProcessStatus
	b.ok(json.Unmarshal([]byte(next(b.t, events, EventProcessExited).Data), &status))
	if !status.Exited || status.LastWaitResult != 0 {
		b.t.Fatalf("status %+v of an ended process", status)
	}
	return status.ExitCode
}

// line reads one line of a stream.
func line(t *testing.T, r io.Reader) string {
	t.Helper()
	var s strings.Builder
	one := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, one); err != nil {
			t.Fatalf("stream ended after %q: %v", s.String(), err)
		}
		if one[0] == '\n' {
			return strings.TrimRight(s.String(), "\r")
		}
		s.WriteByte(one[0])
	}
}

// eventually waits until ok says yes; what is asked for comes by another goroutine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

// cleanEnd gives the prepared root back and checks that nothing is left.
func (b *bench) cleanEnd() {
	b.t.Helper()
	ctx := b.t.Context()
	b.ok(b.UnprepareLayer(ctx, scratchPath))
	b.ok(b.DeactivateLayer(ctx, scratchPath))
	if l := b.e.Ledger(); !l.Empty() {
		b.t.Errorf("left in the ledger:\n%s", l.Leaks())
	}
}
