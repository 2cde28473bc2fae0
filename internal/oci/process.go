package oci

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Process is what to run: the init process of a container or an exec.
type Process struct {
	CommandLine string   // Windows: the whole line; wins over Args
	Args        []string // used when CommandLine is empty
	Cwd         string   // empty: the system's choice
	Env         []string // NAME=value; an empty value is kept
	User        string   // Windows account; empty: the image's default
	Terminal    bool
	ConsoleSize ConsoleSize // zero: the system's choice
}

// ConsoleSize is the size of a console in characters.
type ConsoleSize struct {
	Height uint16
	Width  uint16
}

// Line returns the Windows command line: CommandLine as it is, or Args joined
// so that a program that splits by the rules of CommandLineToArgvW gets them back.
func (p *Process) Line() string { return p.CommandLine }

// ProcessFromSpec checks and copies the process section of a spec.
func ProcessFromSpec(p *specs.Process) (*Process, error) { return nil, errors.New("not yet") }

// ProcessFromAny decodes the process that an Exec request carries: JSON of the
// type opencontainers/runtime-spec/1/Process.
func ProcessFromAny(typeURL string, value []byte) (*Process, error) {
	return nil, errors.New("not yet")
}
