package fault

// Win32 codes of a full volume and of a used up quota.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes
const (
	codeHandleDiskFull = 39   // ERROR_HANDLE_DISK_FULL
	codeDiskFull       = 112  // ERROR_DISK_FULL
	codeDiskQuota      = 1295 // ERROR_DISK_QUOTA_EXCEEDED
)

// OutOfSpaceCodes are the codes of a full volume, for the functions of a part
// of Windows that answers with numbers; where is as for [OutOfSpace].
func OutOfSpaceCodes(where string) Codes {
	var all Codes
	for _, number := range []uint32{codeHandleDiskFull, codeDiskFull, codeDiskQuota} {
		all = append(all, Code{Number: number, Kind: ResourceExhausted, Says: "the host's disk is full", Hint: outOfSpaceHint + where})
	}
	return all
}

const outOfSpaceHint = "free space on the volume of "

// OutOfSpace gives an error that says that a volume is full its kind and what
// to do; where names the volume by what lies there: "the snapshots". Any other
// error it returns as it is.
func OutOfSpace(err error, where string) error {
	if !DiskFull(err) {
		return err
	}
	return &Error{Kind: ResourceExhausted, Err: err, Hint: outOfSpaceHint + where}
}
