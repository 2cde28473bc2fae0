package computecore

import (
	"strconv"
	"testing"

	"github.com/isolrun/isol/internal/hcs/hcstest"
)

// The adapter keeps the port's promises on a service that keeps its own.
func TestConformance(t *testing.T) {
	hcstest.Run(t, func(t *testing.T) hcstest.Env {
		return hcstest.Env{
			Host:     newFakeService().host(t),
			Document: document,
			Commands: hcstest.Commands{
				Forever: "forever", Cat: "cat", Missing: "missing",
				Exit:    func(code uint32) string { return "exit " + strconv.FormatUint(uint64(code), 10) },
				Echo:    func(text string) string { return "echo " + text },
				EchoErr: func(text string) string { return "echoerr " + text },
			},
		}
	})
}
