package dlltest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/Microsoft/go-winio"
	"github.com/Microsoft/go-winio/pkg/guid"
	"golang.org/x/sys/windows"
)

// The first client of a go-winio listener must be served: containerd dials a
// shim's pipe once.
func TestFirstClient(t *testing.T) {
	const name = `\\.\pipe\dlltest-first-client`
	listener, err := winio.ListenPipe(name, nil)
	check(t, err)
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("served")); err != nil {
			t.Error(err)
		}
	}()
	conn, err := winio.DialPipeContext(t.Context(), name)
	check(t, err)
	defer conn.Close()
	b := make([]byte, 6)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "served" {
		t.Errorf("read %q, %v", b, err)
	}
}

// Hyper-V sockets connect by VM and service id, both ways, and end cleanly.
func TestHyperVSockets(t *testing.T) {
	vm, err := guid.NewV4()
	check(t, err)
	service, err := guid.NewV4()
	check(t, err)
	address := &winio.HvsockAddr{VMID: vm, ServiceID: service}
	if _, err := winio.Dial(t.Context(), address); !errors.Is(err, windows.WSAECONNREFUSED) {
		t.Errorf("dial without listener: %v, want WSAECONNREFUSED", err)
	}
	listener, err := winio.ListenHvsock(address)
	check(t, err)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, err := io.Copy(conn, conn); err != nil {
			t.Error(err)
		}
	}()
	conn, err := winio.Dial(t.Context(), address)
	check(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("there and back"))
	check(t, err)
	check(t, conn.CloseWrite())
	back, err := io.ReadAll(conn)
	if err != nil || string(back) != "there and back" {
		t.Errorf("read %q, %v", back, err)
	}
	check(t, listener.Close())
	if left, err := filepath.Glob(filepath.Join(os.Getenv("ISOL_HVSOCK_DIR"), "*"+service.String()+"*")); err != nil || len(left) != 0 {
		t.Errorf("a closed listener left its port behind: %v, %v", left, err)
	}
}

// os.RemoveAll asks Windows for what Wine does not have; bundles are removed with it.
func TestRemoveAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	check(t, os.MkdirAll(filepath.Join(dir, "rootfs"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o444))
	check(t, os.RemoveAll(dir))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after RemoveAll: %v", err)
	}
}

// A program that is not there is said to be missing, at once: only a process that
// Wine has lost is made again.
func TestProcessThatCannotBeMade(t *testing.T) {
	name, err := windows.UTF16PtrFromString(filepath.Join(t.TempDir(), "missing.exe"))
	check(t, err)
	var startup windows.StartupInfo
	var info windows.ProcessInformation
	if err := windows.CreateProcess(name, nil, nil, nil, false, 0, nil, nil, &startup, &info); !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		t.Errorf("CreateProcess: %v", err)
	}
	var user windows.Token
	check(t, windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ALL_ACCESS, &user))
	defer user.Close()
	if err := windows.CreateProcessAsUser(user, name, nil, nil, nil, false, 0, nil, nil, &startup, &info); !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		t.Errorf("CreateProcessAsUser: %v", err)
	}
}
