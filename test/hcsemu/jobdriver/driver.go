// Package jobdriver is the host's job objects, accounts and folders of an
// emulated machine, for tests of HostProcess containers.
//
// Processes run in the emulator's runner; users, volume folders, bindings and
// job objects show in its ledger and record, and its fault plan works on them.
// Driver.mu guards what is linked and which files are missing, object.mu
// whether it is closed.
package jobdriver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/test/hcsemu"
)

// Driver implements job.System on a client of the emulator.
type Driver struct {
	client *hcsemu.Client
	facts  job.Facts

	mu      sync.Mutex
	missing []string          // paths that do not exist, in small letters. Guarded by mu.
	links   map[string]string // Guarded by mu.
}

var _ job.System = (*Driver)(nil)

// New returns the driver of one client. Silos says whether the machine makes
// silos; missing are the paths that it does not have: it has all others.
func New(c *hcsemu.Client, silos bool, missing ...string) *Driver {
	d := &Driver{client: c, links: map[string]string{}, facts: job.Facts{
		Silos: silos, SystemFolder: `C:\Windows\System32`, WindowsFolder: `C:\Windows`, Processors: 4,
	}}
	for _, m := range missing {
		d.missing = append(d.missing, strings.ToLower(m))
	}
	return d
}

// Links returns the links that were made, by their paths.
func (d *Driver) Links() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]string{}
	for k, v := range d.links {
		out[k] = v
	}
	return out
}

// The calls of the system take no context: they end when the system lets them,
// or with the client's session.
func background() context.Context { return context.Background() }

// Facts implements job.System, as do the methods below.
func (d *Driver) Facts() (job.Facts, error) { return d.facts, nil }

// CreateJob makes a job object.
func (d *Driver) CreateJob(name string) (job.Object, error) {
	j, err := d.client.CreateJob(background(), name)
	if err != nil {
		return nil, failed("CreateJobObjectW", name, err)
	}
	return &object{driver: d, job: j, emptied: make(chan struct{}, 1)}, nil
}

// TerminateJob ends what another session's process left.
func (d *Driver) TerminateJob(name string, limit time.Duration) error {
	j := d.client.Emulator().Job(name)
	if j == nil {
		return nil
	}
	j.EndProcesses()
	for end := time.Now().Add(limit); len(j.Silo.Processes()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return &job.CallError{Call: "TerminateJobObject", Subject: name, Err: context.DeadlineExceeded}
		}
	}
	return nil
}

// IsGroup asks the account database.
func (d *Driver) IsGroup(name string) (bool, error) {
	err := d.client.NetLocalGroupGetInfo(background(), name)
	if code(err) == hcsemu.EGroupNotFound {
		return false, nil
	}
	return err == nil, failed("NetLocalGroupGetInfo", name, err)
}

// AddUser makes a user in a group, or none.
func (d *Driver) AddUser(name, password, group string) error {
	if err := d.client.NetUserAdd(background(), name, password); err != nil {
		return failed("NetUserAdd", name, err)
	}
	if err := d.client.NetLocalGroupAddMembers(background(), group, name); err != nil {
		return errors.Join(failed("NetLocalGroupAddMembers", group, err), d.RemoveUser(name))
	}
	return nil
}

// RemoveUser removes a user.
func (d *Driver) RemoveUser(name string) error {
	err := d.client.NetUserDel(background(), name)
	if code(err) == hcsemu.EUserNotFound {
		return nil
	}
	return failed("NetUserDel", name, err)
}

// Logon checks the account.
func (d *Driver) Logon(a job.Account) (job.Token, error) {
	kind := uint32(2) // LOGON32_LOGON_INTERACTIVE
	if a.Service {
		kind = 5 // LOGON32_LOGON_SERVICE
	}
	if err := d.client.LogonUser(background(), a.Domain, a.Name, a.Password, kind); err != nil {
		return nil, failed("LogonUserW", a.Domain+`\`+a.Name, err)
	}
	return &token{name: a.Name}, nil
}

// OwnToken is the shim's.
func (d *Driver) OwnToken() (job.Token, error) { return &token{name: "shim"}, nil }

// MountFolder mounts a volume.
func (d *Driver) MountFolder(folder, volume string) error {
	return failed("SetVolumeMountPointW", folder, d.client.SetVolumeMountPoint(background(), folder+`\`, volume))
}

// UnmountFolder undoes MountFolder.
func (d *Driver) UnmountFolder(folder string) error {
	err := d.client.DeleteVolumeMountPoint(background(), folder+`\`)
	if code(err) == hcsemu.EInvalidArg {
		return nil
	}
	return failed("DeleteVolumeMountPointW", folder, err)
}

// Exists says whether a path is not among the missing.
func (d *Driver) Exists(path string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !slices.Contains(d.missing, strings.ToLower(path)), nil
}

// IsFile takes what lies in the system folder for a program: the runner says
// whether it can run.
func (d *Driver) IsFile(path string) bool {
	return strings.HasPrefix(path, d.facts.SystemFolder+`\`)
}

// MakeFolder makes nothing.
func (d *Driver) MakeFolder(string) error { return nil }

// Link remembers a link.
func (d *Driver) Link(target, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.links[path] = target
	return nil
}

// token is a user of the emulated machine.
type token struct{ name string }

// Environment is that of a service account.
func (t *token) Environment() ([]string, error) {
	return []string{"PATH=C:\\Windows\\System32", "USERNAME=" + t.name}, nil
}

// Close gives nothing up.
func (t *token) Close() error { return nil }

func code(err error) hcsemu.HRESULT {
	var c hcsemu.HRESULT
	if !errors.As(err, &c) {
		return 0
	}
	return c
}

// failed gives an error of the emulator the form of the system's.
func failed(call, subject string, err error) error {
	if err == nil {
		return nil
	}
	e := &job.CallError{Call: call, Subject: subject, Err: err}
	if c := code(err); c&0xFFFF0000 == 0x80070000 {
		e.Code = uint32(c & 0xFFFF)
	}
	return e
}
