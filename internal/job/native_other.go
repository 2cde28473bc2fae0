//go:build !windows

package job

import (
	"errors"
	"time"
)

// Native returns a system whose every call fails: job objects exist on Windows
// only.
func Native() System { return elsewhere{} }

var errNotWindows = errors.New("HostProcess containers exist on Windows only")

type elsewhere struct{}

func failed(call, subject string) error {
	return &CallError{Call: call, Subject: subject, Err: errNotWindows}
}

func (elsewhere) Facts() (Facts, error) { return Facts{}, failed("facts of the host", "") }

func (elsewhere) CreateJob(name string) (Object, error) { return nil, failed("CreateJobObjectW", name) }

func (elsewhere) TerminateJob(name string, _ time.Duration) error {
	return failed("OpenJobObjectW", name)
}

func (elsewhere) IsGroup(name string) (bool, error) {
	return false, failed("NetLocalGroupGetInfo", name)
}

func (elsewhere) AddUser(name, _, _ string) error { return failed("NetUserAdd", name) }

func (elsewhere) RemoveUser(name string) error { return failed("NetUserDel", name) }

func (elsewhere) Logon(a Account) (Token, error) { return nil, failed("LogonUserW", a.Name) }

func (elsewhere) OwnToken() (Token, error) { return nil, failed("OpenProcessToken", "") }

func (elsewhere) MountFolder(folder, _ string) error { return failed("SetVolumeMountPointW", folder) }

func (elsewhere) UnmountFolder(folder string) error {
	return failed("DeleteVolumeMountPointW", folder)
}

func (elsewhere) Exists(path string) (bool, error) { return false, failed("find", path) }

func (elsewhere) IsFile(string) bool { return false }

func (elsewhere) MakeFolder(path string) error { return failed("CreateDirectoryW", path) }

func (elsewhere) Link(_, path string) error { return failed("CreateSymbolicLinkW", path) }
