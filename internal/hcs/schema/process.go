package schema

// ProcessParameters are the parameters of HcsCreateProcess. ConsoleSize is
// height, then width.
type ProcessParameters struct {
	ApplicationName  string            `json:"ApplicationName,omitempty" since:"17763"`
	CommandLine      string            `json:"CommandLine,omitempty" since:"17763"`
	CommandArgs      []string          `json:"CommandArgs,omitempty" since:"17763"`
	User             string            `json:"User,omitempty" since:"17763"`
	WorkingDirectory string            `json:"WorkingDirectory,omitempty" since:"17763"`
	Environment      map[string]string `json:"Environment,omitempty" since:"17763"`
	RestrictedToken  bool              `json:"RestrictedToken,omitempty" since:"17763"`
	EmulateConsole   bool              `json:"EmulateConsole,omitempty" since:"17763"`
	CreateStdInPipe  bool              `json:"CreateStdInPipe,omitempty" since:"17763"`
	CreateStdOutPipe bool              `json:"CreateStdOutPipe,omitempty" since:"17763"`
	CreateStdErrPipe bool              `json:"CreateStdErrPipe,omitempty" since:"17763"`
	ConsoleSize      []uint16          `json:"ConsoleSize,omitempty" since:"17763"`
	UseExistingLogin bool              `json:"UseExistingLogin,omitempty" since:"17763"`
	UseLegacyConsole bool              `json:"UseLegacyConsole,omitempty" since:"17763"`
}

// ProcessModifyRequest is the document of HcsModifyProcess.
type ProcessModifyRequest struct {
	Operation   ProcessOperation `json:"Operation,omitempty" since:"17763"`
	ConsoleSize *ConsoleSize     `json:"ConsoleSize,omitempty" since:"17763"`
	CloseHandle *CloseHandle     `json:"CloseHandle,omitempty" since:"17763"`
}

// ConsoleSize is the size of a console in characters.
type ConsoleSize struct {
	Height uint16 `json:"Height" since:"17763"`
	Width  uint16 `json:"Width" since:"17763"`
}

// CloseHandle ends one of a process's standard streams.
type CloseHandle struct {
	Handle StdHandle `json:"Handle,omitempty" since:"17763"`
}

// SignalProcessOptions is the document of HcsSignalProcess.
type SignalProcessOptions struct {
	Signal Signal `json:"Signal,omitempty" since:"17763"`
}

// ProcessStatus is the data of the event that a process has exited.
type ProcessStatus struct {
	ProcessID      uint32 `json:"ProcessId" since:"17763"`
	Exited         bool   `json:"Exited" since:"17763"`
	ExitCode       uint32 `json:"ExitCode" since:"17763"`
	LastWaitResult int32  `json:"LastWaitResult" since:"17763"`
}
