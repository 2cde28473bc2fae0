package journal

import (
	"errors"

	"golang.org/x/sys/windows"
)

// inUse reports whether a file could not be removed because somebody has it
// open.
// https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499-
func inUse(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }
