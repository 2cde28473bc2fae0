package hcsemu

import (
	"io"
	"sync"
	"time"
)

// Config says which machine is emulated. The zero value is a Windows Server
// 2022 with two processors, 8 GiB of memory, no hypervisor and scripted
// processes.
type Config struct {
	Build      uint32 // Windows build, for example 17763, 20348, 26100; 0 is 20348
	Edition    Edition
	Hypervisor bool
	CPUs       int    // 0 is 2
	MemoryMB   uint64 // 0 is 8192

	Runner Runner           // nil is NewScripted()
	Disk   Disk             // nil: paths are taken as they come, nothing is checked or written
	Record io.Writer        // each call as a JSON line; nil keeps them in memory only
	Now    func() time.Time // nil is time.Now
	Kill   func(Caller)     // ends a caller as kill -9 would, for fault plans; nil disconnects it only
}

// Edition is the kind of Windows.
type Edition string

// The editions.
const (
	Server  Edition = "Server"
	Desktop Edition = "Client"
)

// Emulator is one machine's services. All methods may be called from any goroutine.
type Emulator struct {
	config Config
	mu     sync.Mutex
}

// New returns the emulator of one machine.
func New(config Config) *Emulator { return &Emulator{config: config} }

// Caller is a process that uses the services.
type Caller struct {
	PID uint32 `json:"pid"`
	Exe string `json:"exe"` // base name
}

// Connect makes a session for a process: one per process that loads the DLLs.
func (e *Emulator) Connect(caller Caller) *Client { return &Client{} }

// Close ends all systems and sessions.
func (e *Emulator) Close() {}
