package uvm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// hostService is the hvsocket address by which a guest knows its host
// (runhcs: gcs/prot WindowsGcsHvHostID).
const hostService = "894cc2d6-9d79-424f-93fe-42969ae6d8d1"

// boot is a VM on its way up: what the phases behind have made.
type boot struct {
	cfg      Config
	files    BootFiles
	scratch  string
	system   hcs.System
	sockets  gcs.Listener
	listener net.Listener
	guest    *gcs.Guest
	undo     []func(context.Context) error
	kept     []func(context.Context) error // those of undo that are the VM's to do at its end, after it
	strike   func() error                  // the system's record
	document *schema.ComputeSystem
	phases   *hcs.PhaseRecord
}

// part is a part of a phase of booting.
type part struct {
	phase hcs.Phase
	name  string
	do    func(context.Context) error
}

// parts lists all that booting does, in its order.
func (b *boot) parts() []part {
	return []part{
		{hcs.PhaseDocument, "files", b.makeFiles},
		{hcs.PhaseDocument, "grant", b.grant},
		{hcs.PhaseDocument, "document", b.makeDocument},
		{hcs.PhaseCreate, "create", b.create},
		{hcs.PhaseStart, "listen", b.listen},
		{hcs.PhaseStart, "start", b.start},
		{hcs.PhaseConnect, "connect", b.connect},
	}
}

// Boot boots a VM. When it fails, nothing of the VM is left; what could not be
// undone is part of the error.
func Boot(ctx context.Context, cfg Config) (*UVM, error) {
	cfg.Deadlines = cfg.Deadlines.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Journal == nil {
		cfg.Journal = unwritten{}
	}
	if cfg.Copy == nil {
		cfg.Copy = copyFile
	}
	b := &boot{cfg: cfg, phases: &hcs.PhaseRecord{Log: cfg.Log.With("vm", cfg.Plan.ID)}}
	for _, p := range b.parts() {
		if err := b.phases.Run(ctx, p.phase, p.name, p.do); err != nil {
			err = &fault.Error{Op: "boot utility VM", Subject: cfg.Plan.ID + ", phase " + p.title(), Err: b.explain(err)}
			return nil, errors.Join(err, b.unwind())
		}
	}
	return newUVM(b), nil
}

// title names the part for errors: by its phase, and apart from it where that
// does not say it.
func (p part) title() string {
	if string(p.phase) == p.name {
		return p.name
	}
	return string(p.phase) + ", " + p.name
}

// explain puts the end of the VM before an error that it caused.
func (b *boot) explain(err error) error {
	if b.system == nil {
		return err
	}
	wait := time.Duration(0)
	if errors.Is(err, hcs.ErrDisconnected) || errors.Is(err, hcs.ErrAlreadyStopped) {
		wait = b.cfg.Deadlines.Reason // the bridge mostly dies because the VM does: HCS knows why
	}
	if !waitFor(b.system.Done(), wait) {
		return err
	}
	ending := b.system.Ending()
	exit := exitError(b.cfg.Plan.ID, new(policy).reason(stateRunning, ending.How), ending.Err, nil)
	return fmt.Errorf("%w: %w", exit, err)
}

// unwind undoes the phases behind, the last first, each on its own deadline.
func (b *boot) unwind() error {
	var errs []error
	for len(b.undo) > 0 {
		last := len(b.undo) - 1
		ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Deadlines.Undo)
		errs = append(errs, b.undo[last](ctx))
		cancel()
		b.undo = b.undo[:last]
	}
	return errors.Join(errs...)
}

func (b *boot) onUndo(f func(context.Context) error) { b.undo = append(b.undo, f) }

func (b *boot) makeFiles(context.Context) (err error) {
	parents := b.cfg.Layers.Parents
	if image := b.cfg.Plan.Image; image != "" {
		parents = []string{image}
	}
	if b.files, err = FindBootFiles(parents); err != nil {
		return err
	}
	b.scratch = scratchPath(b.cfg.Layers.Scratch)
	if exists(b.scratch) {
		return nil // the client's: it stays
	}
	strike, err := b.cfg.Journal.VMScratch(b.cfg.Plan.ID, b.scratch)
	if err != nil {
		return err
	}
	b.keep(func(context.Context) error { return b.cfg.struck(RemoveScratch(b.scratch), strike) })
	return makeScratch(b.files.ScratchTemplate, b.scratch, b.cfg.Copy)
}

func (b *boot) grant(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Deadlines.Grant)
	defer cancel()
	strike, err := b.cfg.Journal.VMAccess(b.cfg.Plan.ID, b.scratch)
	if err != nil {
		return err
	}
	// a grant whose call failed may have been made all the same: it is always revoked
	b.keep(func(ctx context.Context) error {
		return b.cfg.struck(RevokeAccess(ctx, b.cfg.Host, b.cfg.Plan.ID, b.scratch), strike)
	})
	return b.cfg.Host.GrantVMAccess(ctx, b.cfg.Plan.ID, b.scratch)
}

// keep is onUndo for what the VM holds as long as it lives.
func (b *boot) keep(f func(context.Context) error) {
	b.onUndo(f)
	b.kept = append(b.kept, f)
}

func (b *boot) makeDocument(context.Context) (err error) {
	b.document, err = doc.UVM(b.cfg.Plan, doc.UVMFacts{Owner: b.cfg.Owner, OSFiles: b.files.OSFiles, Scratch: b.scratch})
	return err
}

func (b *boot) create(ctx context.Context) (err error) {
	if b.strike, err = b.cfg.Journal.VM(b.cfg.Plan.ID); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Deadlines.Create)
	defer cancel()
	if b.system, err = b.cfg.Host.Create(ctx, b.cfg.Plan.ID, b.document); err != nil {
		// By contract there is none. One that was given up may still come, and
		// is ended then by whoever gave it up; its record stays for the case
		// that the process dies before.
		if fault.Is(err, fault.DeadlineExceeded) || fault.Is(err, fault.Canceled) {
			return err
		}
		return errors.Join(err, b.cfg.struck(nil, b.strike))
	}
	b.onUndo(func(ctx context.Context) error { return b.cfg.struck(end(ctx, b.system), b.strike) })
	return nil
}

// end terminates a system, waits for its end and closes it.
func end(ctx context.Context, s hcs.System) error {
	err := s.Terminate(ctx)
	if errors.Is(err, hcs.ErrAlreadyStopped) {
		err = nil
	}
	if err == nil {
		select {
		case <-s.Done():
		case <-ctx.Done():
			err = fault.New(fault.DeadlineExceeded, "%s was terminated and has not ended: %w", s.ID(), context.Cause(ctx))
		}
	}
	// The last handle takes the VM with it even if terminating failed.
	return errors.Join(err, s.Close())
}

// listen comes before start: a guest that finds nobody listening gives up.
func (b *boot) listen(context.Context) (err error) {
	if b.sockets, err = b.cfg.Sockets(b.system.RuntimeID()); err != nil {
		return err
	}
	if b.listener, err = b.sockets.Listen(gcs.BridgeService); err != nil {
		return err
	}
	b.onUndo(func(context.Context) error { return closed(b.listener.Close()) })
	return nil
}

// closed takes "already closed" for closed.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (b *boot) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Deadlines.Start)
	defer cancel()
	return b.system.Start(ctx)
}

func (b *boot) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Deadlines.Connect)
	defer cancel()
	conn, err := b.accept(ctx)
	if err != nil {
		return err
	}
	// Calls outlast the time in which watch asks HCS why the bridge broke.
	config := gcs.Config{VM: b.cfg.Plan.ID, Conn: conn, Stdio: b.sockets, Log: b.cfg.Log, Timeout: b.cfg.Deadlines.Call, Linger: b.cfg.Deadlines.Reason * 3 / 2, Calls: b.cfg.Calls}
	if config.TimeZone, err = b.timeZone(); err != nil {
		return errors.Join(err, conn.Close())
	}
	if b.guest, err = gcs.Connect(ctx, config); err != nil {
		return err
	}
	b.onUndo(func(context.Context) error { return b.guest.Close() })
	// The guest must know both ends' addresses before containers may use
	// hvsockets (runhcs: uvm.configureHvSocketForGCS).
	return b.guest.Modify(ctx, &gcs.Modification{
		ResourceType: gcs.ResourceHvSocket, RequestType: gcs.RequestUpdate,
		Settings: gcs.HvSocketAddress{LocalAddress: b.system.RuntimeID(), ParentAddress: hostService},
	})
}

// timeZone is what the guest is told: the host's, or UTC where the plan says so.
func (b *boot) timeZone() (*gcs.TimeZoneInformation, error) {
	if b.cfg.Plan.NoTimeZone {
		return &gcs.TimeZoneInformation{StandardName: "Coordinated Universal Time", DaylightName: "Coordinated Universal Time"}, nil
	}
	if b.cfg.TimeZone == nil {
		return nil, nil
	}
	z, err := b.cfg.TimeZone()
	if err != nil {
		return nil, fault.Wrap(err, "read the host's time zone", "")
	}
	return z, nil
}

// accept waits for the guest to dial, for the VM's end, or for ctx.
func (b *boot) accept(ctx context.Context) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	accepted := make(chan result, 1)
	go func() {
		conn, err := b.listener.Accept()
		accepted <- result{conn, err}
	}()
	defer hcs.Waiting(ctx)()
	var reason error
	select {
	case r := <-accepted:
		// One guest is all there is: nobody else may take the bridge.
		return r.conn, errors.Join(r.err, closed(b.listener.Close()))
	case <-b.system.Done():
		reason = fault.New(fault.Unavailable, "the virtual machine ended before its guest connected")
	case <-ctx.Done():
		reason = &hcs.Error{Op: "wait for the guest", ID: b.cfg.Plan.ID, Err: fmt.Errorf("%w: the guest has not connected: %w", hcs.ErrTimeout, context.Cause(ctx))}
		if errors.Is(ctx.Err(), context.Canceled) {
			reason = context.Cause(ctx)
		}
	}
	err := closed(b.listener.Close())
	if r := <-accepted; r.conn != nil {
		err = errors.Join(err, r.conn.Close())
	}
	return nil, errors.Join(reason, err)
}
