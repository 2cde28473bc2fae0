// Command filelogger writes a container's output to files: it is a logger that
// the shim starts for an output of the form
//
//	binary:///C:/filelogger.exe?C:\folder
//
// It speaks containerd's own protocol for such loggers, as nerdctl's does.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/runtime/v2/logging"
)

func main() { logging.Run(write) }

// write copies both outputs to their ends.
func write(_ context.Context, config *logging.Config, ready func() error) error {
	if len(os.Args) < 2 {
		return errors.New("usage: filelogger folder")
	}
	ends := make(chan error, 2)
	for name, stream := range map[string]io.Reader{"stdout": config.Stdout, "stderr": config.Stderr} {
		f, err := os.Create(filepath.Join(os.Args[1], config.ID+"-"+name))
		if err != nil {
			return err
		}
		go func() {
			_, err := io.Copy(f, stream)
			ends <- errors.Join(err, f.Close())
		}()
	}
	if err := ready(); err != nil {
		return err
	}
	return errors.Join(<-ends, <-ends)
}
