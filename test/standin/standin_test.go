package standin

import (
	"errors"
	"io"
	"strings"
	"testing"
)

type question string

func (q question) String() string { return "ask " + string(q) }

type reply struct{ Text string }

// A reply that belongs to another request, or an error that is lost, would make a
// measurement of one thing that of another.
func TestClientAndServe(t *testing.T) {
	requests, stdin := io.Pipe()
	stdout, replies := io.Pipe()
	served := make(chan error, 1)
	go func() {
		err := Serve(requests, replies, func(q question) (*reply, error) {
			if q == "nothing" {
				return &reply{"half of it"}, errors.New("there is nothing")
			}
			return &reply{"of " + string(q)}, nil
		})
		served <- errors.Join(err, replies.Close())
	}()
	c := NewClient[question, reply](stdin, stdout)
	for _, q := range []question{"one", "two"} {
		if r, err := c.Do(q); err != nil || r.Text != "of "+string(q) {
			t.Errorf("%s: %v, %v", q, r, err)
		}
		r, err := c.Do("nothing")
		if err == nil || r != nil || !strings.Contains(err.Error(), "ask nothing: there is nothing") {
			t.Errorf("what could not be done: %v, %v", r, err)
		}
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error("the end of the requests:", err)
	}
	if _, err := c.Do("one"); err == nil {
		t.Error("a stand-in that has ended answers")
	}
}
