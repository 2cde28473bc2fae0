package vm

import (
	"encoding/json"
	"net"
	"sync"

	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
)

// Order is what the service tells a guest. One of the fields but Seq is set.
type Order struct {
	Seq  uint64                      `json:"seq,omitempty"` // the report with this number answers; 0 wants no answer
	Boot *Boot                       `json:"boot,omitempty"`
	Plug *schema.ModificationRequest `json:"plug,omitempty"`
	Do   Verb                        `json:"do,omitempty"`

	Handle uint64 `json:"handle,omitempty"` // the message of that number: answered with Report.Result
	Reply  *Reply `json:"reply,omitempty"`  // to the host, after that
}

// Reply says that a message is to be answered: with what handling it gave, or
// with the error.
type Reply struct {
	Number uint64 `json:"number"` // of the message
	Error  string `json:"error,omitempty"`
	Code   uint32 `json:"code,omitempty"` // an HRESULT that goes with Error
}

// Boot is the first order: what the machine is. The guest reports that it is up.
type Boot struct {
	ID        string                 `json:"id"`
	RuntimeID string                 `json:"runtimeID"` // by which hvsockets address it
	Build     uint32                 `json:"build"`     // of the guest's Windows
	Document  *schema.VirtualMachine `json:"document"`
	HostDrive string                 `json:"hostDrive"` // where the guest finds the host's C:
	Sockets   string                 `json:"sockets"`   // the folder with the hvsockets' ports, as the guest finds it
}

// Verb is something to do to a guest.
type Verb string

// The verbs.
const (
	Off         Verb = "off"          // lose power; what is left is reported first
	ShutDown    Verb = "shutdown"     // end in order
	Crash       Verb = "crash"        // stop at once and without a word, as at the death of the worker process
	Bugcheck    Verb = "bugcheck"     // crash of the kernel: the parameters are reported, nothing else happens any more
	Hang        Verb = "hang"         // say nothing any more
	Resume      Verb = "resume"       // go on after a hang
	CloseBridge Verb = "close-bridge" // end the connection of the Guest Compute Service
	Garbage     Verb = "garbage"      // send what is no frame over the bridge
	Left        Verb = "left"         // report what the host has added and not removed
)

// Report is what a guest tells the service.
type Report struct {
	Seq   uint64   `json:"seq,omitempty"` // of the order that it answers
	Error string   `json:"error,omitempty"`
	Code  uint32   `json:"code,omitempty"`  // an HRESULT that goes with Error
	Up    bool     `json:"up,omitempty"`    // the guest has taken Boot
	Ended Verb     `json:"ended,omitempty"` // the guest ends now, as this asked for
	Crash []uint64 `json:"crash,omitempty"` // with Ended: the parameters of the bugcheck
	Left  []string `json:"left,omitempty"`  // with Ended, or as the answer to Left

	Message *Message        `json:"message,omitempty"` // the host has sent one
	Result  json.RawMessage `json:"result,omitempty"`  // of Handle
}

// Message is a request on the guest bridge, with a number that no other of the machine has.
type Message struct {
	Number uint64 `json:"number"`
	hcsemu.Message
}

// line is a connection that carries JSON values. Several goroutines may send,
// one may receive.
type line struct {
	conn net.Conn
	dec  *json.Decoder

	mu  sync.Mutex // one value is written at a time
	enc *json.Encoder
}

func newLine(conn net.Conn) *line {
	return &line{conn: conn, dec: json.NewDecoder(conn), enc: json.NewEncoder(conn)}
}

func (l *line) send(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enc.Encode(v)
}

func (l *line) receive(v any) error { return l.dec.Decode(v) }
