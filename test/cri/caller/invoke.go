package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "k8s.io/cri-api/pkg/apis/runtime/v1" // registers CRI's services and messages
)

// invoke makes a call of CRI, of one answer or of a stream of them.
func (c *caller) invoke(ctx context.Context, k *call, r request) answer {
	method, err := find(r.Method)
	if err != nil {
		return failed(status.Error(codes.Unimplemented, err.Error()))
	}
	in, out, err := messages(method)
	if err == nil {
		err = protojson.Unmarshal(r.Message, in)
	}
	if err != nil {
		return failed(status.Errorf(codes.InvalidArgument, "message of %s: %v", r.Method, err))
	}
	if !method.IsStreamingServer() {
		if err := c.conn.Invoke(ctx, r.Method, in, out); err != nil {
			return failed(err)
		}
		return packed(out)
	}
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, r.Method)
	if err == nil {
		err = errors.Join(stream.SendMsg(in), stream.CloseSend())
	}
	if err != nil {
		return failed(err)
	}
	for {
		if err := stream.RecvMsg(out); errors.Is(err, io.EOF) {
			return answer{}
		} else if err != nil {
			return failed(err)
		}
		a := packed(out)
		if a.Code != 0 {
			return a
		}
		c.answer(k, a)
		proto.Reset(out)
	}
}

// find returns the method of a path such as /runtime.v1.RuntimeService/Version.
func find(path string) (protoreflect.MethodDescriptor, error) {
	service, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("service %q: %w", service, err)
	}
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("%q is no service", service)
	}
	if m := s.Methods().ByName(protoreflect.Name(name)); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("service %q has no method %q", service, name)
}

// messages returns an empty request and response of a method.
func messages(m protoreflect.MethodDescriptor) (in, out proto.Message, err error) {
	i, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		return nil, nil, err
	}
	o, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return nil, nil, err
	}
	return i.New().Interface(), o.New().Interface(), nil
}

// packed is an answer with a message.
func packed(m proto.Message) answer {
	text, err := protojson.Marshal(m)
	if err != nil {
		return failed(status.Errorf(codes.Internal, "encode the answer: %v", err))
	}
	return answer{Message: text}
}
