// Command generate writes the messages of package sandboxapi. It takes the file
// to write as its only argument.
//
// The descriptor is containerd's own: nothing is copied by hand. What changes is
// the name of the protobuf package, which never travels, so that a program may
// link both, and that the service is left out, for its generated client is what
// brings gRPC with it.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	sandbox "github.com/containerd/containerd/api/runtime/sandbox/v1"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// The names that the copy has in Go and in protobuf's registry.
const (
	goPackage    = "github.com/isolrun/isol/internal/shim/sandboxapi"
	protoFile    = "isol/sandbox/v1/sandbox.proto"
	protoPackage = "isol.sandbox.v1"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(path string) error {
	text, err := generate()
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// generate runs protoc-gen-go on the renamed descriptor.
func generate() (string, error) {
	own := renamed()
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: []string{protoFile}}
	imports := sandbox.File_runtime_sandbox_v1_sandbox_proto.Imports()
	for i := range imports.Len() {
		request.ProtoFile = append(request.ProtoFile, needed(imports.Get(i).FileDescriptor)...)
	}
	request.ProtoFile = append(request.ProtoFile, own)
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return "", err
	}
	internal_gengo.GenerateFile(plugin, plugin.FilesByPath[protoFile])
	response := plugin.Response()
	if response.Error != nil {
		return "", errors.New(response.GetError())
	}
	return response.File[0].GetContent(), nil
}

// needed are a file and all that it imports, the imports first.
func needed(file protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {
	var files []*descriptorpb.FileDescriptorProto
	for i := range file.Imports().Len() {
		files = append(files, needed(file.Imports().Get(i).FileDescriptor)...)
	}
	return append(files, protodesc.ToFileDescriptorProto(file))
}

// renamed is containerd's file under the names of the copy.
func renamed() *descriptorpb.FileDescriptorProto {
	file := protodesc.ToFileDescriptorProto(sandbox.File_runtime_sandbox_v1_sandbox_proto)
	theirs := "." + file.GetPackage() + "."
	file.Name, file.Package, file.Service = proto.String(protoFile), proto.String(protoPackage), nil
	file.Options.GoPackage = proto.String(goPackage + ";sandboxapi")
	for _, m := range file.MessageType {
		for _, f := range m.Field {
			if rest, ok := strings.CutPrefix(f.GetTypeName(), theirs); ok {
				f.TypeName = proto.String("." + protoPackage + "." + rest)
			}
		}
	}
	return file
}
