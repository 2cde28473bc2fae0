// Package standin is a program that stands in for containerd before a shim, and
// the half of a test that tells it what to do.
//
// What a test asks of a shim at first hand can't be asked across a relay: times
// of a few hundred microseconds, pipes of a process, events in their order. So a
// Windows program runs beside the shims, starts them, calls them over ttrpc and
// takes their events, and the half that knows the plan runs on Linux. That one
// asks with a request, one at a time, and this one answers: JSON, one line each,
// over standard input and output. What they say is the test's own.
//
//	test (Linux) ──request──▶ stand-in (Windows) ──ttrpc──▶ shim ──▶ emulator
//	             ◀──reply────                     ◀─events──
//
// [Client] and [Serve] are the two ends. For the stand-in there is what
// containerd does around the calls: a [Shim] is started and cleaned up after,
// [ReadLog] reads its log and [ServeEvents] takes its events.
package standin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// answer is a line of the stand-in: a reply, or why there is none.
type answer[Reply any] struct {
	Error string `json:",omitempty"`
	Reply *Reply `json:",omitempty"`
}

// Client asks a stand-in. One goroutine may use it at a time.
type Client[Request fmt.Stringer, Reply any] struct {
	out *json.Encoder
	in  *json.Decoder
}

// NewClient returns a client of the stand-in whose standard input and output
// these are.
func NewClient[Request fmt.Stringer, Reply any](stdin io.Writer, stdout io.Reader) *Client[Request, Reply] {
	return &Client[Request, Reply]{out: json.NewEncoder(stdin), in: json.NewDecoder(bufio.NewReader(stdout))}
}

// Do asks for one thing and waits for the reply. What the stand-in could not do
// is an error.
func (c *Client[Request, Reply]) Do(r Request) (*Reply, error) {
	if err := c.out.Encode(r); err != nil {
		return nil, fmt.Errorf("driver: %s: %w", r, err)
	}
	var a answer[Reply]
	if err := c.in.Decode(&a); err != nil {
		return nil, fmt.Errorf("driver: %s: %w", r, err)
	}
	if a.Error != "" {
		return nil, fmt.Errorf("driver: %s: %s", r, a.Error)
	}
	return a.Reply, nil
}

// Serve answers requests with what do returns, until there are no more.
func Serve[Request, Reply any](in io.Reader, out io.Writer, do func(Request) (*Reply, error)) error {
	requests, replies := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	for {
		var r Request
		err := requests.Decode(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("driver: read a request: %w", err)
		}
		var a answer[Reply]
		if a.Reply, err = do(r); err != nil {
			a = answer[Reply]{Error: err.Error()}
		}
		if err := replies.Encode(a); err != nil {
			return fmt.Errorf("driver: write a reply: %w", err)
		}
	}
}
