package pod

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/doc"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/oci"
)

// processDocument makes the parameters of a process: it gets the pipes that
// the client has an end for.
func processDocument(plan *isolation.Plan, p oci.Process, s StdioConfig) *schema.ProcessParameters {
	params := doc.Process(&p, doc.Pipes{Stdin: s.Stdin != "", Stdout: s.Stdout != "", Stderr: s.Stderr != ""})
	if hp := plan.Container.HostProcess; hp != nil && hp.InGuest {
		doc.InGuest(params, hp.InheritUser)
	}
	return params
}

// maxExtension is more than any extension file has: they name a few devices.
const maxExtension = 1 << 20

// deviceExtensions reads the files that the plan names. Their content is the
// document type of the published schema, and a member that it does not have is
// an error, as in every document that isol sends.
func deviceExtensions(paths []string) ([]schema.DeviceExtension, error) {
	var out []schema.DeviceExtension
	for _, path := range paths {
		e, err := deviceExtension(path)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func deviceExtension(path string) (e schema.DeviceExtension, err error) {
	const op = "read device extension"
	f, err := os.Open(path)
	if err != nil {
		return e, &fault.Error{Kind: fault.NotFound, Op: op, Subject: path, Err: err}
	}
	decoder := json.NewDecoder(io.LimitReader(f, maxExtension))
	decoder.DisallowUnknownFields()
	err = errors.Join(decoder.Decode(&e), f.Close())
	if err != nil {
		return e, &fault.Error{Kind: fault.InvalidArgument, Op: op, Subject: path, Detail: "it is not the JSON of a device extension", Err: err}
	}
	return e, nil
}
