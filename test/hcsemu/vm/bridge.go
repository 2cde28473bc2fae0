package vm

import (
	"encoding/json"
	"errors"

	"github.com/isolrun/isol/test/hcsemu"
)

// message is one that the host has sent to this guest:
//
//	guest                         service
//	  │ Report.Message ───────────▶ │  record, faults before
//	  │ ◀──────────── Order.Handle  │
//	  │ Report.Result ────────────▶ │  faults after
//	  │ ◀───────────── Order.Reply  │
//
// A message whose machine ends in between is never answered.
type message struct {
	handle chan uint64 // the number that Report.Result answers
	reply  chan *Reply
}

// pass asks the service whether a message may be handled, and then whether its
// answer may leave. It is the agent's Gate.
func (g *running) pass(m hcsemu.Message, handle func() (any, error)) error {
	msg := &message{handle: make(chan uint64, 1), reply: make(chan *Reply, 1)}
	g.mu.Lock()
	g.last++
	number := g.last
	g.messages[number] = msg
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.messages, number)
	}()
	if err := g.line.send(Report{Message: &Message{Number: number, Message: m}}); err != nil {
		return err // the service has gone, and soon the machine
	}
	for {
		select {
		case seq := <-msg.handle:
			result, err := handle()
			if err := g.line.send(outcome(seq, result, err)); err != nil {
				return err
			}
		case reply := <-msg.reply:
			if reply.Error != "" {
				return &hcsemu.Error{Code: hcsemu.HRESULT(reply.Code), Message: reply.Error}
			}
			return nil
		case <-g.over:
			return errOver
		}
	}
}

var errOver = errors.New("the machine ends")

// bridge takes an order that is about a message, and says whether it was one.
func (g *running) bridge(o Order) bool {
	number := o.Handle
	if o.Reply != nil {
		number = o.Reply.Number
	}
	if number == 0 {
		return false
	}
	g.mu.Lock()
	msg := g.messages[number]
	g.mu.Unlock()
	switch {
	case msg == nil: // it was given up with the machine
	case o.Reply != nil:
		msg.reply <- o.Reply
	default:
		msg.handle <- o.Seq
	}
	return true
}

// outcome reports what came of a message.
func outcome(seq uint64, result any, err error) Report {
	r := Report{Seq: seq}
	if err == nil {
		r.Result, err = json.Marshal(result)
	}
	if err != nil {
		r.Error, r.Code = describe(err)
	}
	return r
}

// describe returns an error as reports and replies carry it.
func describe(err error) (text string, code uint32) {
	return err.Error(), uint32(hcsemu.CodeOf(err))
}
