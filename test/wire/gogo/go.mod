module github.com/isolrun/isol/test/wire/gogo

go 1.26.8

require (
	github.com/Microsoft/hcsshim v0.9.12
	github.com/containerd/containerd v1.6.36
	github.com/containerd/errdefs v0.1.0
	github.com/containerd/ttrpc v1.1.2
	github.com/containerd/typeurl v1.0.2
	github.com/gogo/protobuf v1.3.2
)

require (
	github.com/containerd/cgroups v1.0.4 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/sirupsen/logrus v1.9.3 // indirect
	golang.org/x/sys v0.18.0 // indirect
	google.golang.org/genproto v0.0.0-20230822172742-b8732ec3820d // indirect
	google.golang.org/grpc v1.59.0 // indirect
	google.golang.org/protobuf v1.33.0 // indirect
)

// As containerd 1.6 does: gogo can't read ttrpc's status message in the types of a newer genproto.
replace google.golang.org/genproto => google.golang.org/genproto v0.0.0-20200224152610-e50cd9704f63
