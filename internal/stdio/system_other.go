//go:build !windows

package stdio

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/isolrun/isol/internal/fault"
)

// unassigned is the System where there are no named pipes: everything fails
// and says so.
type unassigned struct{}

func native() System { return unassigned{} }

var errNoPipes = fault.New(fault.Unimplemented, "named pipes exist only on Windows")

// Dial implements System.
func (unassigned) Dial(context.Context, string) (net.Conn, error) { return nil, errNoPipes }

// Listen implements System.
func (unassigned) Listen(string) (net.Listener, error) { return nil, errNoPipes }

// Lost implements System.
func (unassigned) Lost(error) bool { return false }

// StartLogger implements System.
func (unassigned) StartLogger(LoggerCommand) (LoggerProcess, error) { return nil, errNoPipes }

func closedFile(err error) bool { return errors.Is(err, os.ErrClosed) }
