package journal

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// stranger returns who owns the file, if it is none of those whose word isol
// acts on: the system, administrators, and the account that isol runs as.
func stranger(f *os.File) (owner string, err error) {
	descriptor, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("owner of the file: %w", err)
	}
	sid, _, err := descriptor.Owner()
	if err != nil {
		return "", fmt.Errorf("owner of the file: %w", err)
	}
	if sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid) {
		return "", nil
	}
	own, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("account of this process: %w", err)
	}
	if sid.Equals(own.User.Sid) {
		return "", nil
	}
	return sid.String(), nil
}
