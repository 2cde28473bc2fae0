package launch

import (
	"flag"
	"fmt"
	"io"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Flags are those of containerd's shim protocol, and -socket, which start adds
// for serve.
type Flags struct {
	Namespace, ID, Bundle, Address, Binary, Socket string
	Debug, Version, Info                           bool
	Action                                         string // start, delete, serve, finish or empty
}

// ParseFlags reads a command line without the program's name. It knows the
// flags of containerd's own shims and reports others as an error.
func ParseFlags(args []string) (Flags, error) {
	var f Flags
	var ignored string
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.Namespace, "namespace", "", "")
	set.StringVar(&f.ID, "id", "", "")
	set.StringVar(&f.Bundle, "bundle", "", "")
	set.StringVar(&f.Address, "address", "", "")
	set.StringVar(&f.Binary, "publish-binary", "", "")
	set.StringVar(&f.Socket, "socket", "", "")
	set.StringVar(&ignored, "debug-socket", "", "")
	set.BoolVar(&f.Debug, "debug", false, "")
	set.BoolVar(&f.Version, "version", false, "")
	set.BoolVar(&f.Version, "v", false, "")
	set.BoolVar(&f.Info, "info", false, "")
	if err := set.Parse(args); err != nil {
		return Flags{}, invalid("command line: %w", err)
	}
	f.Action = set.Arg(0)
	return f, nil
}

// Env is the environment variable in which containerd names its events
// service.
const Env = "TTRPC_ADDRESS"

// Bootstrap reads what start found on stdin. containerd from 2.3 on sends
// BootstrapParams. Earlier ones, and any that sees a binary named as runhcs's,
// send the runtime options as a bare Any, or nothing; then the parameters are
// made from the command line and the environment, with the Any as their
// extension, and legacy is true: who asks so does not read a BootstrapResult.
func Bootstrap(stdin []byte, f Flags, getenv func(string) string) (params *bootapi.BootstrapParams, legacy bool, err error) {
	if len(stdin) > 0 {
		params := &bootapi.BootstrapParams{}
		// An Any has the same two first fields, so what tells them apart is
		// whether they repeat the command line.
		if err := proto.Unmarshal(stdin, params); err == nil && params.InstanceID == f.ID && params.Namespace == f.Namespace {
			return params, false, nil
		}
	}
	params = &bootapi.BootstrapParams{
		InstanceID:             f.ID,
		Namespace:              f.Namespace,
		ContainerdTtrpcAddress: getenv(Env),
		ContainerdGrpcAddress:  f.Address,
		ContainerdBinary:       f.Binary,
	}
	if f.Debug {
		params.LogLevel = bootapi.LogLevel_LOG_LEVEL_DEBUG
	}
	if len(stdin) == 0 {
		return params, true, nil
	}
	var options anypb.Any
	err = proto.Unmarshal(stdin, &options)
	if err != nil || options.TypeUrl == "" || len(options.ProtoReflect().GetUnknown()) > 0 {
		return nil, true, invalid("stdin of start holds neither BootstrapParams for %s/%s nor runtime options as Any: %s",
			f.Namespace, f.ID, reason(err))
	}
	if err := params.AddExtension(&options); err != nil {
		return nil, true, fmt.Errorf("add runtime options: %w", err)
	}
	return params, true, nil
}

func reason(err error) string {
	if err == nil {
		return "an Any without a type, or the parameters of another task"
	}
	return err.Error()
}

// Options returns the runtime options among the extensions: the first one, as
// containerd adds no other. Zero values if there are none.
func Options(params *bootapi.BootstrapParams) (typeURL string, value []byte) {
	for _, e := range params.GetExtensions() {
		if v := e.GetValue(); v.GetTypeUrl() != "" {
			return v.TypeUrl, v.Value
		}
	}
	return "", nil
}
