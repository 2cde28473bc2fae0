package journal

import (
	"errors"

	"golang.org/x/sys/windows"
)

// inUse reports whether something could not be done with a file because
// somebody has it open.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499-
func inUse(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }
