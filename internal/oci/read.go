// Package oci turns an OCI runtime spec into a typed [Request]. It is the only
// place that knows annotations: one table, as data, says of each key its type,
// unit, range, default, the modes it has an effect in, what it feeds and
// whether isol honours it; docs/annotations.md is generated from it.
//
//	config.json ──Read──▶ specs.Spec ──Parse──▶ Request ──▶ isolation.Decide
//	                          ▲
//	      default annotations of the runtime's options (weaker)
//
// Reading is strict. A value of the wrong type, out of its range, under a key
// that is unknown in a name space of the table, or in contradiction to another
// is fault.InvalidArgument and names the input, what it says and what is
// allowed. A key that isol cannot honour yet is fault.Unimplemented. Nothing
// becomes a default silently: what is read in another way than it was written
// leaves a [Note].
//
// Everything here is pure but [Read] and [ReadFile]. Values are not shared
// with the spec they came from. All functions may be called concurrently.
package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
)

// MaxSpecSize is the largest config.json that Read takes. A spec travels in
// one message of at most 16 MiB to containerd (its MaxRecvMsgSize); real ones
// have some 10 KiB.
const MaxSpecSize = 16 << 20

const opRead = "read spec"

// Read reads config.json of the bundle. A missing file is fault.NotFound, a
// malformed one fault.InvalidArgument with line, column and field.
func Read(bundle string) (*specs.Spec, error) {
	return ReadFile(filepath.Join(bundle, "config.json"))
}

// ReadFile reads a spec from the file at path; see [Read].
func ReadFile(path string) (*specs.Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSpecSize+1))
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, fileError(path, err)
	}
	if len(data) > MaxSpecSize {
		return nil, &fault.Error{
			Kind: fault.InvalidArgument, Op: opRead, Subject: path,
			Detail: fmt.Sprintf("larger than %d MiB", MaxSpecSize>>20),
		}
	}
	return DecodeSpec(path, data)
}

func fileError(path string, err error) error {
	kind := fault.Internal
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = fault.NotFound
	case errors.Is(err, fs.ErrPermission):
		kind = fault.PermissionDenied
	}
	return &fault.Error{Kind: kind, Op: opRead, Subject: path, Err: err}
}

// DecodeSpec decodes the JSON of a spec; name is what errors call it. Unknown
// members are no error: the OCI runtime spec demands that.
func DecodeSpec(name string, data []byte) (*specs.Spec, error) {
	if spec, ok := decodeWindows(data); ok {
		return spec, nil
	}
	spec := new(specs.Spec)
	if err := json.Unmarshal(data, spec); err != nil {
		return nil, jsonError(opRead, name, data, err)
	}
	return spec, nil
}

// jsonError says where in data err is.
func jsonError(op, name string, data []byte, err error) error {
	e := &fault.Error{Kind: fault.InvalidArgument, Op: op, Subject: name, Err: err}
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		line, column := position(data, syntax.Offset)
		e.Detail = fmt.Sprintf("line %d, column %d", line, column)
		if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(data, []byte("\xff\xfe")) {
			e.Hint = "save the file as UTF-8 without a byte order mark"
		}
	case errors.As(err, &wrong):
		line, column := position(data, wrong.Offset)
		e.Detail = fmt.Sprintf("line %d, column %d: %s is a JSON %s, which is not a %s", line, column, fieldName(wrong.Field), wrong.Value, wrong.Type)
		e.Err = nil
	}
	return e
}

func fieldName(field string) string {
	if field == "" {
		return "the document"
	}
	return field
}

// position turns the number of bytes read into line and column, from 1.
func position(data []byte, offset int64) (line, column int) {
	offset = max(0, min(offset, int64(len(data))))
	before := data[:offset]
	line = 1 + bytes.Count(before, []byte("\n"))
	column = max(1, len(before)-(bytes.LastIndexByte(before, '\n')+1))
	return line, column
}
