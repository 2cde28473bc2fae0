package options

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/fault"
)

const (
	op = "read runtime options"
	// MaxSize is the largest options that Decode takes, wherever they stand.
	MaxSize = 1 << 20
)

// The type URLs that Decode takes, without what stands before the last slash:
// typeurl sends the bare name, protobuf's own Any puts type.googleapis.com/
// before it.
const (
	typeRuntime    = "runtimeoptions.v1.Options"
	typeRuntimeOld = "cri.runtimeoptions.v1.Options" // containerd before 1.7
	typeRunhcs     = "containerd.runhcs.v1.Options"
)

// Decode decodes runtime options as containerd passes them: the type URL and
// the bytes of an Any. No type and no bytes are the zero Options. Errors are
// fault.InvalidArgument, or fault.Unimplemented for what isol cannot do yet.
// The only thing it reads is the file that ConfigPath names.
func Decode(typeURL string, value []byte) (Options, error) {
	if typeURL == "" && len(value) == 0 {
		return Options{}, nil
	}
	if len(value) > MaxSize {
		return Options{}, invalid("", fmt.Sprintf("larger than %d KiB", MaxSize>>10), "")
	}
	switch typeURL[strings.LastIndexByte(typeURL, '/')+1:] {
	case typeRuntime, typeRuntimeOld:
		var m runtimeoptions.Options
		if err := unmarshal(typeURL, value, &m); err != nil {
			return Options{}, err
		}
		return decodeRuntime(&m)
	case typeRunhcs:
		var m options.Options
		if err := unmarshal(typeURL, value, &m); err != nil {
			return Options{}, err
		}
		return fromRunhcs(&m)
	}
	return Options{}, invalid("", fmt.Sprintf("type %q is none of %s, %s", typeURL, typeRuntime, typeRunhcs),
		"a handler whose runtime_type is isol's takes TOML options")
}

// unmarshal refuses fields that the message does not have: an option that a
// newer client sends is not to be lost silently.
func unmarshal(typeURL string, value []byte, m proto.Message) error {
	if err := proto.Unmarshal(value, m); err != nil {
		return &fault.Error{Kind: fault.InvalidArgument, Op: op, Subject: typeURL, Err: err}
	}
	if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeTag(unknown)
		return invalid(typeURL, fmt.Sprintf("field %d is unknown", number), "the client is newer than isol")
	}
	return nil
}

// decodeRuntime decodes the generic options of containerd. ConfigBody is used
// when ConfigPath is empty, as their comment in containerd's api says.
func decodeRuntime(m *runtimeoptions.Options) (Options, error) {
	if err := checkContentType(m.GetTypeUrl()); err != nil {
		return Options{}, err
	}
	if path := m.GetConfigPath(); path != "" {
		text, err := readFile(path)
		if err != nil {
			return Options{}, err
		}
		return fromTOML(path, text)
	}
	return fromTOML("ConfigBody", m.GetConfigBody())
}

// checkContentType takes the type of the TOML, which users leave out or set to
// the options that it stands for.
func checkContentType(typeURL string) error {
	switch typeURL[strings.LastIndexByte(typeURL, '/')+1:] {
	case "", typeRuntime, typeRuntimeOld, typeRunhcs:
		return nil
	}
	return invalid("TypeUrl", fmt.Sprintf("%q is none of %s, %s", typeURL, typeRuntime, typeRunhcs), "leave it out")
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &fault.Error{Kind: fault.InvalidArgument, Op: op, Subject: "ConfigPath", Err: err, Hint: "the file must be there when a container is created"}
	}
	defer f.Close() //nolint:errcheck // read only: nothing to lose
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, &fault.Error{Kind: fault.Internal, Op: op, Subject: path, Err: err}
	case len(text) > MaxSize:
		return nil, invalid(path, fmt.Sprintf("larger than %d KiB", MaxSize>>10), "")
	}
	return text, nil
}

func invalid(subject, detail, hint string) error {
	return &fault.Error{Kind: fault.InvalidArgument, Op: op, Subject: subject, Detail: detail, Hint: hint}
}
