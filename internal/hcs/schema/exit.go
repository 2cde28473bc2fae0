package schema

// SystemExitStatus is the data of the event that a system has exited.
type SystemExitStatus struct {
	Status      int32               `json:"Status" since:"17763"`
	ExitType    ExitType            `json:"ExitType,omitempty" since:"18362"`
	Attribution []AttributionRecord `json:"Attribution,omitempty" since:"20348"`
}

// AttributionRecord is one thing to which the service puts an end down. One of
// the fields is set.
type AttributionRecord struct {
	WorkerExit  *WorkerExit  `json:"WorkerExit,omitempty" since:"20348"`
	GuestCrash  *GuestCrash  `json:"GuestCrash,omitempty" since:"20348"`
	TripleFault *TripleFault `json:"TripleFault,omitempty" since:"20348"`
	SystemExit  *SystemExit  `json:"SystemExit,omitempty" since:"20348"`
}

// WorkerExit is the end of the process (vmwp.exe) that a machine runs in.
type WorkerExit struct {
	ExitCode  uint32           `json:"ExitCode,omitempty" since:"20348"`
	Type      WorkerExitType   `json:"Type,omitempty" since:"20348"`
	Detail    WorkerExitDetail `json:"Detail,omitempty" since:"20348"`
	Initiator ExitInitiator    `json:"Initiator,omitempty" since:"20348"`
}

// GuestCrash is a crash of the guest's kernel. For Windows the parameters are
// the bugcheck code and its four parameters.
type GuestCrash struct {
	CrashParameters []uint64 `json:"CrashParameters,omitempty" since:"20348"`
}

// TripleFault is a fault of a virtual processor that the guest could not handle.
type TripleFault struct {
	ErrorType uint64 `json:"ErrorType,omitempty" since:"20348"`
}

// SystemExit is an end that the service itself brought about.
type SystemExit struct {
	Detail    SystemExitDetail `json:"Detail,omitempty" since:"20348"`
	Initiator ExitInitiator    `json:"Initiator,omitempty" since:"20348"`
}

// The types of the fields above are only read: a value that a newer Windows
// adds must not make an exit unreadable, so they have no list of values.
type (
	WorkerExitType   string // WorkerExitType says how a worker process ended.
	WorkerExitDetail string // WorkerExitDetail says why it did.
	SystemExitDetail string // SystemExitDetail says what the service did.
	ExitInitiator    string // ExitInitiator says who wanted the end.
)

// The details of an end that tell a crash of the guest's kernel, and the end by
// HcsTerminateComputeSystem.
const (
	WorkerGuestCrash         WorkerExitDetail = "GuestCrash"
	WorkerGuestFirmwareCrash WorkerExitDetail = "GuestFirmwareCrash"
	SystemExitTerminate      SystemExitDetail = "Terminate"
	ExitByClient             ExitInitiator    = "Client"
	ExitByGuest              ExitInitiator    = "GuestOS"
)

// CrashReport is the data of the events that a guest's kernel crashes
// (HcsEventSystemCrashInitiated) and that all of its dump has been written or
// given up (HcsEventSystemCrashReport).
type CrashReport struct {
	SystemID         string              `json:"SystemId,omitempty" since:"17763"`
	ActivityID       string              `json:"ActivityId,omitempty" since:"17763"`
	WindowsCrashInfo *WindowsCrashReport `json:"WindowsCrashInfo,omitempty" since:"17763"`
	CrashParameters  []uint64            `json:"CrashParameters,omitempty" since:"17763"`
	CrashLog         string              `json:"CrashLog,omitempty" since:"17763"`
}

// WindowsCrashReport says where the dump of a Windows guest is. DumpFile is
// valid only if FinalPhase is CrashPhaseComplete.
type WindowsCrashReport struct {
	DumpFile   string            `json:"DumpFile,omitempty" since:"17763"`
	Status     int32             `json:"Status,omitempty" since:"17763"`
	FinalPhase WindowsCrashPhase `json:"FinalPhase,omitempty" since:"17763"`
}

// WindowsCrashPhase says how far the writing of a dump came. It is only read.
type WindowsCrashPhase string

// CrashPhaseComplete is the phase of a dump that is whole.
const CrashPhaseComplete WindowsCrashPhase = "Complete"
