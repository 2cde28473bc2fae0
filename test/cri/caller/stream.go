package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// protocol is the version of remote command that carries exit codes.
const protocol = "v4.channel.k8s.io"

// stream relays between a streaming URL and the test until the process on the
// other side has ended or the call is given up.
func (c *caller) stream(ctx context.Context, k *call, t target) answer {
	conn, err := connect(ctx, t)
	if err != nil {
		return failed(err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	s, err := open(conn, t)
	if err != nil {
		return failed(err)
	}
	ended := make(chan struct{})
	go s.feed(k, ended)
	defer close(ended)
	var out sync.WaitGroup
	relay := func(from io.Reader, pack func([]byte) answer) {
		if from == nil {
			return
		}
		out.Go(func() {
			buf := make([]byte, 32<<10)
			for {
				n, err := from.Read(buf)
				if n > 0 {
					c.answer(k, pack(buf[:n]))
				}
				if err != nil {
					return // its reason comes by the error stream
				}
			}
		})
	}
	relay(s.stdout, func(p []byte) answer { return answer{Stdout: p} })
	relay(s.stderr, func(p []byte) answer { return answer{Stderr: p} })
	report, err := io.ReadAll(s.err)
	if err != nil {
		return failed(errors.Join(fmt.Errorf("the stream of errors: %w", err), ctx.Err()))
	}
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	out.Wait()
	return verdict(report)
}

// connect upgrades an HTTP connection to the URL to SPDY.
func connect(ctx context.Context, t target) (httpstream.Connection, error) {
	if _, err := url.Parse(t.URL); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set(httpstream.HeaderProtocolVersion, protocol)
	transport, err := spdy.NewRoundTripper(nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("upgrade %s: %w", t.URL, err)
	}
	defer response.Body.Close()
	return transport.NewConnection(response)
}

// streams are those of one process.
type streams struct {
	err, stdout, stderr, stdin, resize httpstream.Stream // nil where not asked for
}

// open makes the streams of a remote command. All must be there before the
// server begins.
func open(conn httpstream.Connection, t target) (*streams, error) {
	s := &streams{}
	for _, kind := range []struct {
		name string
		want bool
		to   *httpstream.Stream
	}{
		{"error", true, &s.err}, {"stdin", t.Stdin, &s.stdin}, {"stdout", t.Stdout, &s.stdout},
		{"stderr", t.Stderr && !t.Terminal, &s.stderr}, {"resize", t.Terminal, &s.resize},
	} {
		if !kind.want {
			continue
		}
		stream, err := conn.CreateStream(http.Header{"Streamtype": {kind.name}})
		if err != nil {
			return nil, fmt.Errorf("open the stream %s: %w", kind.name, err)
		}
		*kind.to = stream
	}
	// The process does not write to us here: half of the stream is closed.
	return s, s.err.Close()
}

// feed passes on what the test sends until the call has ended.
func (s *streams) feed(k *call, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-k.wake:
			for _, r := range k.pull() {
				s.send(r)
			}
		}
	}
}

// send passes on one request. A process that no longer reads is its own affair,
// as in a shell's pipe.
func (s *streams) send(r request) {
	if s.stdin != nil && len(r.Input) > 0 {
		_, _ = s.stdin.Write(r.Input)
	}
	if s.stdin != nil && r.EndInput {
		_ = s.stdin.Close()
	}
	if s.resize != nil && r.Resize != nil {
		_ = json.NewEncoder(s.resize).Encode(r.Resize)
	}
}

// verdict reads the report of a remote command: how the process ended.
func verdict(report []byte) answer {
	if len(report) == 0 {
		return answer{}
	}
	var s struct {
		Status, Message, Reason string
		Details                 struct {
			Causes []struct{ Reason, Message string }
		}
	}
	if err := json.Unmarshal(report, &s); err != nil {
		return failed(fmt.Errorf("the report %q of the process: %w", report, err))
	}
	if s.Status == "Success" {
		return answer{}
	}
	if s.Reason == "NonZeroExitCode" {
		for _, cause := range s.Details.Causes {
			if code, err := strconv.ParseUint(cause.Message, 10, 32); cause.Reason == "ExitCode" && err == nil {
				return answer{Exit: int(code)}
			}
		}
	}
	return failed(errors.New(s.Message))
}
