package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/isolrun/isol/internal/fault"
)

// maxSize bounds what is read: a task acquires tens of things, not thousands.
const maxSize = 1 << 20

// headerLine is the payload of the first line.
type headerLine struct {
	Journal int    `json:"journal"`
	ID      string `json:"id"`
	Origin  string `json:"origin,omitempty"`
}

// entryLine is the payload of every other line: one of Acquire and Strike.
type entryLine struct {
	Seq     uint64  `json:"seq,omitempty"`
	Acquire *Record `json:"acquire,omitempty"`
	Strike  uint64  `json:"strike,omitempty"`
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func encode(payload any) ([]byte, error) {
	b, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	return sealed(b), nil
}

// sealed makes a line of a payload.
func sealed(payload []byte) []byte {
	return fmt.Appendf(nil, "%08x %s\n", castagnoli(payload), payload)
}

// decode takes one line, without its end, into payload.
func decode(line []byte, payload any) error {
	sum, body, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(sum) != 8 {
		return fmt.Errorf("no checksum")
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != castagnoli(body) {
		return fmt.Errorf("wrong checksum")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(payload)
}

// Content is what a journal's file says.
type Content struct {
	Header  Header
	Entries []*Entry // acquired and not struck, in order
	Torn    bool     // the last line was not written to its end
	Damaged []int    // numbers, from 1, of other lines that cannot be read

	whole int64 // size of the file without a torn last line
}

// parse reads a journal. It returns an error, and nothing else, if the header
// cannot be trusted.
func parse(data []byte) (Content, error) {
	if len(data) > maxSize {
		return Content{}, fault.New(fault.Internal, "the journal has %d bytes, more than isol ever writes (%d)", len(data), maxSize)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	if len(lines) == 0 || len(lines) == 1 && !bytes.HasSuffix(lines[0], []byte("\n")) {
		return Content{Torn: true}, nil // the header comes first, so nothing was acquired
	}
	h, err := parseHeader(lines[0])
	if err != nil {
		return Content{}, err
	}
	c := Content{Header: h}
	for i, line := range lines[1:] {
		var e entryLine
		whole := bytes.HasSuffix(line, []byte("\n"))
		if err := decode(bytes.TrimSuffix(line, []byte("\n")), &e); err != nil || !whole {
			if i == len(lines)-2 {
				c.Torn = true
			} else {
				c.Damaged = append(c.Damaged, i+2)
			}
			continue
		}
		c.apply(e)
	}
	c.whole = int64(len(data))
	if c.Torn {
		c.whole -= int64(len(lines[len(lines)-1]))
	}
	return c, nil
}

func parseHeader(line []byte) (Header, error) {
	// The version is looked at before anything else may be misunderstood.
	var v struct {
		Journal int `json:"journal"`
	}
	if _, body, ok := bytes.Cut(line, []byte(" ")); ok && json.Unmarshal(body, &v) == nil && v.Journal > Version {
		return Header{}, &fault.Error{Kind: fault.FailedPrecondition,
			Detail: fmt.Sprintf("the journal has version %d, this isol reads up to %d", v.Journal, Version),
			Hint:   "clean up with the isol that wrote it, or a newer one"}
	}
	var h headerLine
	if err := decode(bytes.TrimSuffix(line, []byte("\n")), &h); err != nil {
		return Header{}, &fault.Error{Kind: fault.Internal, Detail: "the journal's first line is damaged, so whose it is is not known", Err: err, Hint: byHand}
	}
	if h.Journal != Version {
		return Header{}, fault.New(fault.Internal, "the journal's first line has no version")
	}
	return Header{ID: h.ID, Origin: h.Origin}, nil
}

// byHand is what to do about what cannot be read.
const byHand = "the file is text: release by hand what it names and is still there, then remove it"

// apply adds an acquired record, or strikes one. Striking what is not there is
// right: two replays at the same time do that.
func (c *Content) apply(e entryLine) {
	if e.Acquire != nil {
		c.Entries = append(c.Entries, &Entry{seq: e.Seq, record: *e.Acquire})
		return
	}
	for i, have := range c.Entries {
		if have.seq == e.Strike {
			c.Entries = append(c.Entries[:i], c.Entries[i+1:]...)
			return
		}
	}
}
