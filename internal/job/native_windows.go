package job

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// Native returns the system of this machine. Nothing is loaded before its first
// call.
func Native() System { return &native{} }

// native calls Windows. Its ports are made with the first job.
type native struct {
	once  sync.Once
	ports *ports
	err   error
}

// failed gives an error of Windows its call and code.
func failed(call, subject string, err error) error {
	if err == nil {
		return nil
	}
	e := &CallError{Call: call, Subject: subject, Err: err}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		e.Code = uint32(errno)
		if e.Code&0xFFFF0000 == 0x80070000 { // HRESULT_FROM_WIN32
			e.Code &= 0xFFFF
		}
	}
	return e
}

func wide(s string) (*uint16, error) { return windows.UTF16PtrFromString(s) }

// onText calls f with text as Windows has it.
func onText(call, text string, f func(*uint16) error) error {
	p, err := wide(text)
	if err != nil {
		return &CallError{Call: call, Subject: text, Code: codeInvalidParameter, Err: err}
	}
	return failed(call, text, f(p))
}

// Facts implements System. Whether jobs become silos is tried with one: the
// bind filter's library alone does not say so.
func (*native) Facts() (Facts, error) {
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return Facts{}, failed("GetSystemDirectoryW", "", err)
	}
	folder, err := windows.GetWindowsDirectory()
	if err != nil {
		return Facts{}, failed("GetWindowsDirectoryW", "", err)
	}
	const allGroups = 0xFFFF // ALL_PROCESSOR_GROUPS
	f := Facts{SystemFolder: system, WindowsFolder: folder, Processors: windows.GetActiveProcessorCount(allGroups)}
	if modbindfltapi.Load() == nil {
		f.Silos, err = becomesSilo()
	}
	return f, err
}

func becomesSilo() (bool, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return false, failed("CreateJobObjectW", "", err)
	}
	defer windows.CloseHandle(job)
	err = promote(job)
	// A Windows that does not know the class says so in one of these ways.
	for _, unknown := range []error{windows.ERROR_INVALID_PARAMETER, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED, windows.ERROR_CALL_NOT_IMPLEMENTED} {
		if errors.Is(err, unknown) {
			return false, nil
		}
	}
	return err == nil, failed("SetInformationJobObject", "a new silo", err)
}

// CreateJob implements System.
func (n *native) CreateJob(name string) (Object, error) {
	n.once.Do(func() { n.ports, n.err = newPorts() })
	if n.err != nil {
		return nil, n.err
	}
	return newObject(n.ports, name)
}

// TerminateJob implements System.
func (*native) TerminateJob(name string, limit time.Duration) error {
	const allAccess = 0x1F003F // JOB_OBJECT_ALL_ACCESS
	wname, err := wide(name)
	if err != nil {
		return failed("OpenJobObjectW", name, err)
	}
	job, err := openJobObject(allAccess, false, wname)
	if errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return nil
	}
	if err != nil {
		return failed("OpenJobObjectW", name, err)
	}
	defer windows.CloseHandle(job)
	if err := windows.TerminateJobObject(job, terminated); err != nil {
		return failed("TerminateJobObject", name, err)
	}
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		pids, err := processesOf(job)
		if err != nil || len(pids) == 0 {
			return failed("QueryInformationJobObject", name, err)
		}
		if time.Now().After(end) {
			return &CallError{Call: "TerminateJobObject", Subject: name, Err: os.ErrDeadlineExceeded}
		}
	}
}

// Exists implements System.
func (*native) Exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, failed("GetFileAttributesExW", path, err)
}

// IsFile implements System.
func (*native) IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// MakeFolder implements System. Of a volume's path only what is below the
// volume is made: os.MkdirAll does not know where that begins.
func (*native) MakeFolder(path string) error {
	if !strings.HasPrefix(path, `\\?\`) {
		return failed("CreateDirectoryW", path, os.MkdirAll(path, 0o700))
	}
	rest, below := path, ""
	if i := strings.IndexByte(path[len(`\\?\`):], '\\'); i >= 0 {
		rest, below = path[:len(`\\?\`)+i], path[len(`\\?\`)+i+1:]
	}
	for part := range strings.SplitSeq(below, `\`) {
		if part == "" {
			continue
		}
		rest += `\` + part
		if err := os.Mkdir(rest, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return failed("CreateDirectoryW", rest, err)
		}
	}
	return nil
}

// Link implements System.
func (n *native) Link(target, path string) error {
	if i := strings.LastIndexByte(path, '\\'); i > 0 {
		if err := n.MakeFolder(path[:i]); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(path); err == nil {
		// A link of an earlier run, or an empty folder that the image has for
		// the mount. What holds something does not go.
		if err := os.Remove(path); err != nil {
			return &CallError{Call: "CreateSymbolicLinkW", Subject: path, Code: codeAlreadyExists, Err: err}
		}
	}
	return failed("CreateSymbolicLinkW", path, os.Symlink(target, path))
}

// MountFolder implements System.
func (n *native) MountFolder(folder, volume string) error {
	_, err := os.Lstat(folder)
	made := errors.Is(err, fs.ErrNotExist)
	if err := n.MakeFolder(folder); err != nil {
		return err
	}
	wvolume, err := wide(volume)
	if err == nil {
		err = onText("SetVolumeMountPointW", folder+`\`, func(p *uint16) error { return windows.SetVolumeMountPoint(p, wvolume) })
	}
	if err != nil && made {
		err = errors.Join(err, os.Remove(folder))
	}
	return err
}

// notMounted are the answers for a folder that is no mount point.
var notMounted = []error{
	windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND, windows.ERROR_INVALID_PARAMETER, windows.ERROR_NOT_A_REPARSE_POINT,
}

// UnmountFolder implements System. The folder goes too, unless there is
// something in it, which is then not the container's.
func (*native) UnmountFolder(folder string) error {
	err := onText("DeleteVolumeMountPointW", folder+`\`, windows.DeleteVolumeMountPoint)
	for _, none := range notMounted {
		if errors.Is(err, none) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	err = os.Remove(filepath.Clean(folder))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, windows.ERROR_DIR_NOT_EMPTY) {
		return nil
	}
	return failed("RemoveDirectoryW", folder, err)
}
