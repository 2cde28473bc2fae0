package jobdriver

import (
	"io"
	"sync"

	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/test/hcsemu"
)

// object is an emulated job object.
type object struct {
	driver  *Driver
	job     *hcsemu.Job
	emptied chan struct{}

	mu     sync.Mutex
	limits job.Limits // Guarded by mu.
	silo   bool       // Guarded by mu.
	closed bool       // Guarded by mu.
}

// Promote implements job.Object, as do the methods below.
func (o *object) Promote() error {
	err := o.driver.client.SetJobInformation(background(), o.job.Name, 35, nil) // JobObjectCreateSilo
	if err == nil {
		o.mu.Lock()
		o.silo = true
		o.mu.Unlock()
	}
	return failed("SetInformationJobObject", o.job.Name, err)
}

// Bind maps a path.
func (o *object) Bind(root, target string, readOnly bool) error {
	o.mu.Lock()
	silo := o.silo
	o.mu.Unlock()
	if !silo {
		return &job.CallError{Call: "BfSetupFilter", Subject: root, Code: 87}
	}
	flags := uint32(4) // BINDFLT_FLAG_USE_CURRENT_SILO_MAPPING
	if readOnly {
		flags |= 1 // BINDFLT_FLAG_READ_ONLY_MAPPING
	}
	return failed("BfSetupFilter", root, o.driver.client.SetupFilter(background(), o.job.Name, flags, root, target, nil))
}

// SetLimits records the limits.
func (o *object) SetLimits(l job.Limits) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limits = l
	settings := hcsemu.Args{"rate": l.Rate, "weight": l.Weight, "memory": l.Memory}
	return failed("SetInformationJobObject", o.job.Name, o.driver.client.SetJobInformation(background(), o.job.Name, 9, settings))
}

// Start runs a process of the emulator's runner.
func (o *object) Start(c job.Command) (job.Child, error) {
	env := map[string]string{}
	for _, entry := range c.Environment {
		for i := 1; i < len(entry); i++ {
			if entry[i] == '=' {
				env[entry[:i]] = entry[i+1:]
				break
			}
		}
	}
	spec := hcsemu.ProcessSpec{
		ApplicationName: c.Program, CommandLine: c.Line, WorkingDirectory: c.Folder, Environment: env,
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
	}
	if c.Console != nil {
		spec.Console, spec.Rows, spec.Columns = true, c.Console.Rows, c.Console.Columns
	}
	p, err := o.job.Start(background(), spec)
	if err != nil {
		return nil, failed("CreateProcessAsUserW", c.Program, err)
	}
	child := &child{process: p}
	go func() {
		<-p.Done()
		select {
		case o.emptied <- struct{}{}:
		default:
		}
	}()
	return child, nil
}

// Processes lists the ids.
func (o *object) Processes() ([]uint32, error) {
	o.mu.Lock()
	closed := o.closed
	o.mu.Unlock()
	if closed {
		return nil, &job.CallError{Call: "QueryInformationJobObject", Subject: o.job.Name, Code: 6} // ERROR_INVALID_HANDLE
	}
	var pids []uint32
	for _, p := range o.job.Silo.Processes() {
		pids = append(pids, p.PID)
	}
	return pids, nil
}

// Details describes the processes.
func (o *object) Details([]uint32) []job.Details {
	var out []job.Details
	for _, p := range o.job.Silo.Processes() {
		out = append(out, job.Details{
			PID: p.PID, Image: p.ImageName, Created: p.Created, Kernel: p.KernelTime, User: p.UserTime,
			Commit: p.CommitBytes, PrivateWorkingSet: p.PrivateWorkingSet, SharedWorkingSet: p.SharedWorkingSet,
		})
	}
	return out
}

// Usage is the runner's.
func (o *object) Usage() (job.Usage, error) {
	u := o.job.Silo.Usage()
	return job.Usage{
		Kernel: u.KernelTime, User: u.UserTime, Commit: u.CommitBytes, CommitPeak: u.PeakCommitBytes, PrivateWorkingSet: u.PrivateWSet,
		Reads: u.ReadCount, ReadBytes: u.ReadBytes, Writes: u.WriteCount, WriteBytes: u.WriteBytes,
	}, nil
}

// signals are the control events by their numbers.
var signals = map[job.ControlEvent]hcsemu.Signal{
	job.EventCtrlC: hcsemu.CtrlC, job.EventCtrlBreak: hcsemu.CtrlBreak, job.EventCtrlClose: hcsemu.CtrlClose,
	job.EventCtrlLogOff: hcsemu.CtrlLogOff, job.EventCtrlShutdown: hcsemu.CtrlShutdown,
}

// Signal delivers an event.
func (o *object) Signal(pid uint32, event job.ControlEvent) (bool, error) {
	return o.job.Signal(pid, signals[event])
}

// Terminate ends the processes.
func (o *object) Terminate(uint32) error {
	o.job.EndProcesses()
	return nil
}

// Emptied tells of ends.
func (o *object) Emptied() <-chan struct{} { return o.emptied }

// Close ends the job.
func (o *object) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.job.Close()
	return nil
}

// child is a process of the runner.
type child struct {
	process hcsemu.RunningProcess
	once    sync.Once
}

// PID implements job.Child, as do the methods below.
func (c *child) PID() uint32           { return c.process.PID() }
func (c *child) Stdin() io.WriteCloser { return c.process.Stdio().In }
func (c *child) Stdout() io.ReadCloser { return c.process.Stdio().Out }
func (c *child) Stderr() io.ReadCloser { return c.process.Stdio().Err }
func (c *child) Done() <-chan struct{} { return c.process.Done() }
func (c *child) ExitCode() uint32      { return c.process.ExitCode() }
func (c *child) Resize(s job.Size) error {
	return failed("ResizePseudoConsole", "", c.process.Resize(s.Rows, s.Columns))
}

// Kill ends the process.
func (c *child) Kill() (bool, error) {
	if err := c.process.Kill(); err != nil {
		return false, nil // it has ended
	}
	return true, nil
}

// Close gives up the streams.
func (c *child) Close() error {
	c.once.Do(func() {
		s := c.process.Stdio()
		for _, stream := range []io.Closer{s.In, s.Out, s.Err} {
			if stream != nil {
				_ = stream.Close() // a pipe of ours
			}
		}
		c.process.Close()
	})
	return nil
}
