//go:build !linux

package lab

import (
	"errors"
	"os"
	"os/exec"
)

// supported says that this operating system can run a lab. Windows needs none:
// there the end-to-end scenarios run on the real services.
const supported = false

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func ownGroup(*exec.Cmd) {}

func ownSession(*exec.Cmd) {}

func onTerminal(*exec.Cmd, *os.File) {}

func openTerminal() (master, slave *os.File, err error) { return nil, nil, errors.ErrUnsupported }

func resizeTerminal(*os.File, uint16, uint16) error { return errors.ErrUnsupported }
