package cri

import "encoding/json"

// request is a line to the program. What the fields mean is said in
// test/cri/caller, which has the same type.
type request struct {
	ID       uint64          `json:"id"`
	Method   string          `json:"method,omitempty"`
	Message  json.RawMessage `json:"message,omitempty"`
	Open     *target         `json:"open,omitempty"`
	Input    []byte          `json:"input,omitempty"`
	EndInput bool            `json:"endInput,omitempty"`
	Resize   *Size           `json:"resize,omitempty"`
	Cancel   bool            `json:"cancel,omitempty"`
}

// target is a streaming URL and the streams that it was asked for with.
type target struct {
	URL      string `json:"url"`
	Stdin    bool   `json:"stdin,omitempty"`
	Stdout   bool   `json:"stdout,omitempty"`
	Stderr   bool   `json:"stderr,omitempty"`
	Terminal bool   `json:"terminal,omitempty"`
}

// Size is that of a terminal.
type Size struct{ Width, Height uint16 }

// answer is a line from the program.
type answer struct {
	ID      uint64          `json:"id"`
	Message json.RawMessage `json:"message,omitempty"`
	Stdout  []byte          `json:"stdout,omitempty"`
	Stderr  []byte          `json:"stderr,omitempty"`
	Exit    int             `json:"exit,omitempty"`
	Code    uint32          `json:"code,omitempty"`
	Error   string          `json:"error,omitempty"`
	End     bool            `json:"end,omitempty"`
}
