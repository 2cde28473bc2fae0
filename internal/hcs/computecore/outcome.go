package computecore

import (
	"encoding/json"
	"sync"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// outcome is how a system or process ended, once it has. The first to say wins.
type outcome struct {
	done chan struct{}
	once sync.Once
	code uint32 // set before done is closed
	err  error  // likewise
}

func (o *outcome) set(code uint32, err error) {
	o.once.Do(func() {
		o.code, o.err = code, err
		close(o.done)
	})
}

// known reports whether the outcome has been set.
func (o *outcome) known() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// processExit reads the data of the event that a process has exited, a
// ProcessStatus. If the service's own wait failed, the code means nothing.
func processExit(id, data string) (uint32, error) {
	var s schema.ProcessStatus
	if err := json.Unmarshal([]byte(data), &s); err != nil || s.LastWaitResult != 0 {
		return 0, &hcs.Error{Op: "exit of process", ID: id, Code: uint32(s.LastWaitResult), Result: data, Err: hcs.ErrUnknown}
	}
	return s.ExitCode, nil
}

// lost is the error of what can no longer be observed.
func lost(what, id string) error {
	return &hcs.Error{Op: what, ID: id, Err: hcs.ErrDisconnected}
}
