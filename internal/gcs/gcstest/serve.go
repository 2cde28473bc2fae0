// Package gcstest is the guest's end of the bridge, for tests and for the
// emulator's guest: it frames, answers and notifies, and leaves what a request
// means to a Handler.
//
// Each request is handled on a goroutine of its own, as WaitForProcess answers
// only when the process has ended. Responses may leave in any order.
package gcstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/isolrun/isol/internal/gcs"
)

// Handler answers a request with a response, a struct that embeds
// gcs.ResponseBase. A nil response is never sent: the caller waits in vain. A
// json.RawMessage is sent as it is, so that a test can send what is not JSON.
type Handler func(proc gcs.Procedure, body []byte) any

// Server is one served bridge.
type Server struct {
	conn    io.ReadWriteCloser
	handler Handler
	done    chan struct{}

	mu sync.Mutex // one frame is written at a time
}

// Serve serves conn, which it owns, until it ends.
func Serve(conn io.ReadWriteCloser, h Handler) *Server {
	s := &Server{conn: conn, handler: h, done: make(chan struct{})}
	go s.read()
	return s
}

// Done is closed when the host has gone.
func (s *Server) Done() <-chan struct{} { return s.done }

// Close ends the bridge.
func (s *Server) Close() error { return s.conn.Close() }

// Notify tells the host that a container has ended.
func (s *Server) Notify(n gcs.ContainerNotification) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.Send(gcs.Frame{Type: gcs.NotifyContainer, Body: body})
}

// Send writes a frame as it is.
func (s *Server) Send(f gcs.Frame) error {
	b, err := f.Append(nil)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.conn.Write(b)
	return err
}

// Hold keeps everything that the guest would say until resume is called: its
// requests are taken, as a hung machine's sockets take them, and none is answered.
func (s *Server) Hold() (resume func()) {
	s.mu.Lock()
	return s.mu.Unlock
}

// Garbage writes bytes that are no frame.
func (s *Server) Garbage(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.conn.Write(b)
	return err
}

func (s *Server) read() {
	defer close(s.done)
	r := bufio.NewReader(s.conn)
	for {
		f, err := gcs.ReadFrame(r)
		if err != nil {
			// The host has gone, or speaks another protocol: either way this is over.
			_ = s.conn.Close()
			return
		}
		go s.answer(f)
	}
}

func (s *Server) answer(f gcs.Frame) {
	resp := s.handler(f.Type.Procedure(), f.Body)
	if resp == nil {
		return
	}
	body, ok := resp.(json.RawMessage)
	if !ok {
		var err error
		if body, err = json.Marshal(resp); err != nil {
			body = fmt.Appendf(nil, `{"Result":-2147467259,"ErrorMessage":%q}`, err.Error()) // E_FAIL
		}
	}
	// A failed write means that the host has gone; read notices.
	_ = s.Send(gcs.Frame{Type: f.Type.Procedure().Response(), ID: f.ID, Body: body})
}

// Fail is a response that refuses with an HRESULT.
func Fail(hresult uint32, message string) *gcs.ResponseBase {
	return &gcs.ResponseBase{Result: int32(hresult), ErrorMessage: message}
}
