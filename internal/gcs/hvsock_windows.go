package gcs

import (
	"fmt"
	"net"

	"github.com/Microsoft/go-winio"
	"github.com/Microsoft/go-winio/pkg/guid"
)

// hvsocket listens on AF_HYPERV sockets of one VM.
type hvsocket struct{ vm guid.GUID }

// NewListener returns the hvsockets of the VM with the given runtime id.
func NewListener(runtimeID string) (Listener, error) {
	vm, err := guid.FromString(runtimeID)
	if err != nil {
		return nil, fmt.Errorf("runtime id %q of the VM: %w", runtimeID, err)
	}
	return hvsocket{vm}, nil
}

// Listen binds the service for connections from this VM only.
func (h hvsocket) Listen(serviceID string) (net.Listener, error) {
	service, err := guid.FromString(serviceID)
	if err != nil {
		return nil, fmt.Errorf("hvsocket service %q: %w", serviceID, err)
	}
	l, err := winio.ListenHvsock(&winio.HvsockAddr{VMID: h.vm, ServiceID: service})
	if err != nil {
		return nil, fmt.Errorf("listen on hvsocket service %s: %w", serviceID, err)
	}
	return l, nil
}
