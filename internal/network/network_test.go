package network_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/netdriver"
)

const (
	namespaceID = "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e"
	nowhereID   = "00000000-1111-2222-3333-444444444444"
)

// lab is the network service of an emulated machine with two endpoints.
type lab struct {
	*testing.T
	emu        *hcsemu.Emulator
	client     *hcsemu.Client
	namespaces *network.Namespaces
	endpoints  []string
	before     string // what the machine held
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, emu: hcsemu.New(hcsemu.Config{})}
	t.Cleanup(l.emu.Close)
	cni := l.emu.Connect(hcsemu.Caller{PID: 1, Exe: "cni.exe"})
	net, err := cni.CreateNetworkObject(t.Context(), hcsemu.Network, 0, "", `{"Name":"nat","Type":"NAT"}`)
	l.must(err)
	for i, name := range []string{"pod_net1", "pod_eth0"} {
		id := fmt.Sprintf("bbbbbbbb-0000-0000-0000-00000000000%d", i+1)
		_, err := cni.CreateNetworkObject(t.Context(), hcsemu.Endpoint, net, hcsemu.GUID(id), `{"Name":"`+name+`","Future":{"Setting":1}}`)
		l.must(err)
		l.endpoints = append(l.endpoints, id)
	}
	l.client = l.emu.Connect(hcsemu.Caller{PID: 2, Exe: "containerd-shim-isol-v1.exe"})
	l.namespaces = network.New(netdriver.New(l.client))
	l.before = l.held()
	return l
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lab) held() string { return l.emu.Ledger().String() }

func (l *lab) unchanged() {
	l.Helper()
	if now := l.held(); now != l.before {
		l.Errorf("the machine holds\n%s\nand held\n%s", now, l.before)
	}
}

// The life of a namespace: made of two endpoints, described as a VM needs it,
// removed twice; the endpoints are CNI's and stay.
func TestNamespace(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.must(l.namespaces.Create(ctx, namespaceID, []string{"{" + strings.ToUpper(l.endpoints[0]) + "}", l.endpoints[1]}))
	l.must(l.namespaces.Check(ctx, namespaceID))
	ns, err := l.namespaces.Namespace(ctx, strings.ToUpper(namespaceID))
	l.must(err)
	if len(ns.Endpoints) != 2 || ns.Endpoints[0].Name != "pod_eth0" || ns.Endpoints[0].ID != l.endpoints[1] || ns.Endpoints[1].MAC == "" {
		t.Errorf("endpoints %+v, want eth0 first, with the address", ns.Endpoints)
	}
	var settings struct {
		ID     string
		Future struct{ Setting int }
	}
	l.must(json.Unmarshal(ns.Endpoints[0].Settings, &settings))
	if settings.Future.Setting != 1 {
		t.Errorf("a setting that isol does not know was lost: %s", ns.Endpoints[0].Settings)
	}
	l.must(json.Unmarshal(ns.Settings, &settings))
	if settings.ID != namespaceID {
		t.Errorf("the namespace's document %s", ns.Settings)
	}
	l.must(l.namespaces.Remove(ctx, namespaceID))
	l.must(l.namespaces.Remove(ctx, namespaceID))
	l.unchanged()
}

// What is not there is said with its id.
func TestNotThere(t *testing.T) {
	l := newLab(t)
	_, err := l.namespaces.Namespace(t.Context(), nowhereID)
	for call, err := range map[string]error{"check": l.namespaces.Check(t.Context(), nowhereID), "describe": err} {
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), nowhereID) {
			t.Errorf("%s: %v (%v)", call, err, fault.KindOf(err))
		}
	}
	l.unchanged()
}

// A Create that fails half-way leaves what Remove takes away.
func TestCreateFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		list func(l *lab) []string
		kind fault.Kind
		says string
	}{
		{"second endpoint is not there", func(l *lab) []string { return []string{l.endpoints[0], nowhereID} }, fault.NotFound, nowhereID},
		{"endpoint given twice", func(l *lab) []string { return []string{l.endpoints[0], l.endpoints[0]} }, fault.FailedPrecondition, "another namespace has the endpoint"},
		{"no GUID", func(l *lab) []string { return []string{l.endpoints[0], "eth0"} }, fault.InvalidArgument, "eth0"},
		{"namespace refused", func(l *lab) []string {
			l.fault(hcsemu.Fault{Function: "HcnCreateNamespace", Action: hcsemu.ActionFail, Code: "0x80070005"})
			return l.endpoints
		}, fault.PermissionDenied, "administrator"},
		{"made, but the answer is lost", func(l *lab) []string {
			l.fault(hcsemu.Fault{Function: "HcnCreateNamespace", When: "after", Action: hcsemu.ActionFail, Code: "0x800706ba"})
			return l.endpoints
		}, fault.Unavailable, "hns service"},
		{"service stops in between", func(l *lab) []string {
			l.fault(hcsemu.Fault{Function: "HcnModifyNamespace", Nth: 2, Action: hcsemu.ActionFail, Code: "0x803b0020"})
			return l.endpoints
		}, fault.Unavailable, "stopping"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			err := l.namespaces.Create(t.Context(), namespaceID, tc.list(l))
			if !fault.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v of kind %v, want %v with %q", err, fault.KindOf(err), tc.kind, tc.says)
			}
			l.must(l.namespaces.Remove(t.Context(), namespaceID))
			l.unchanged()
		})
	}
}

func (l *lab) fault(f hcsemu.Fault) {
	l.Helper()
	l.must(l.emu.AddFaults(f))
}

// No failing call leaves a handle open: a shim that reads a namespace for every
// pod would eat the service's.
func TestReadFails(t *testing.T) {
	for _, function := range []string{
		"HcnEnumerateNamespaces", "HcnOpenNamespace", "HcnQueryNamespaceProperties",
		"HcnEnumerateEndpoints", "HcnOpenEndpoint", "HcnQueryEndpointProperties",
	} {
		t.Run(function, func(t *testing.T) {
			l := newLab(t)
			l.must(l.namespaces.Create(t.Context(), namespaceID, l.endpoints))
			l.fault(hcsemu.Fault{Function: function, Action: hcsemu.ActionFail, Code: "0x80070005"})
			if _, err := l.namespaces.Namespace(t.Context(), namespaceID); !fault.Is(err, fault.PermissionDenied) || !strings.Contains(err.Error(), function) {
				t.Errorf("error %v (%v)", err, fault.KindOf(err))
			}
			l.must(l.namespaces.Remove(t.Context(), namespaceID))
			l.unchanged()
		})
	}
}

// A namespace is not torn from under a container; and one whose endpoint does
// not come out goes all the same.
func TestRemove(t *testing.T) {
	l := newLab(t)
	ctx := t.Context()
	l.must(l.namespaces.Create(ctx, namespaceID, l.endpoints))
	l.container("Add")
	if err := l.namespaces.Remove(ctx, namespaceID); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "still in use") {
		t.Errorf("remove under a container: %v", err)
	}
	l.container("Remove")
	l.must(l.namespaces.Remove(ctx, namespaceID))
	l.unchanged()

	l.must(l.namespaces.Create(ctx, namespaceID, l.endpoints))
	l.fault(hcsemu.Fault{Function: "HcnModifyNamespace", Times: -1, Action: hcsemu.ActionFail, Code: "0x80004005"})
	l.must(l.namespaces.Remove(ctx, namespaceID))
	l.unchanged()
}

// container makes a container join or leave the namespace, as HCS does.
func (l *lab) container(what string) {
	l.Helper()
	h, err := l.client.OpenNetworkObject(l.Context(), hcsemu.Namespace, namespaceID)
	l.must(err)
	l.must(l.client.ModifyNetworkObject(l.Context(), h, `{"ResourceType":"Container","RequestType":"`+what+`","Settings":{"ContainerId":"c1"}}`))
	l.must(l.client.CloseNetworkObject(h))
}

// A service that hangs ends no later than the caller's patience, and a
// namespace that is made after that is nobody's: it goes at once.
func TestServiceHangs(t *testing.T) {
	for _, when := range []hcsemu.When{"before", "after"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.fault(hcsemu.Fault{Function: "HcnCreateNamespace", When: when, Action: hcsemu.ActionHang, Code: "0x80004005"})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := l.namespaces.Create(ctx, namespaceID, l.endpoints)
			if !fault.Is(err, fault.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer in time") {
				t.Errorf("hang %s: %v (%v)", when, err, fault.KindOf(err))
			}
			l.emu.Release("")
			synctest.Wait()
			l.unchanged()
			l.emu.Close()
		})
	}
}

// Between two endpoints, a caller who has given up is heard.
func TestCanceledInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.fault(hcsemu.Fault{Function: "HcnModifyNamespace", Action: hcsemu.ActionDelay, DelayMS: 2000})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.namespaces.Create(ctx, namespaceID, l.endpoints); !fault.Is(err, fault.DeadlineExceeded) {
			t.Errorf("%v (%v)", err, fault.KindOf(err))
		}
		time.Sleep(5 * time.Second) // of the test's clock
		l.unchanged()
		if n := len(l.emu.Calls(hcsemu.CallFilter{Function: "HcnModifyNamespace"})); n != 2 {
			t.Errorf("%d changes, want one endpoint in and out", n)
		}
		l.emu.Close()
	})
}
