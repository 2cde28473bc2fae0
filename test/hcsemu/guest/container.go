package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/Microsoft/go-winio/pkg/guid"
	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/test/hcsemu"
)

// hostedSystem is the document of a container in a VM. It is a compute
// system's without what only a host's has (runhcs: schema2 HostedSystem).
type hostedSystem struct {
	SchemaVersion *schema.Version
	Container     *schema.Container
}

// create makes a container; the null container is the guest's own state.
func (a *Agent) create(body []byte) (any, error) {
	req, err := decode[struct {
		gcs.RequestBase
		ContainerConfig string
	}](body)
	if err != nil {
		return nil, err
	}
	if req.ContainerID == gcs.NullContainer {
		config, err := decode[gcs.UVMConfig]([]byte(req.ContainerConfig))
		if err != nil {
			return nil, err
		}
		if config.SystemType != "Container" {
			return nil, fmt.Errorf("%w: SystemType %q", hcsemu.EInvalidArg, config.SystemType)
		}
		return nil, nil
	}
	raw := []byte(req.ContainerConfig)
	if err := schema.Validate[schema.ComputeSystem](raw, a.cfg.Build); err != nil {
		return nil, fmt.Errorf("%w: %w", hcsemu.EInvalidJSON, err)
	}
	doc, err := decode[hostedSystem](raw)
	if err != nil {
		return nil, err
	}
	if doc.Container == nil || doc.Container.Storage == nil {
		return nil, fmt.Errorf("%w: the document has no Container.Storage", hcsemu.EInvalidArg)
	}
	if doc.Container.IsolationType != "" && a.cfg.Build < buildHostProcess {
		return nil, fmt.Errorf("%w: a guest of build %d has no containers of type %s", hcsemu.ENotSupported, a.cfg.Build, doc.Container.IsolationType)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.containers[req.ContainerID] != nil {
		return nil, hcsemu.ESystemAlreadyExists
	}
	layers, ok := a.combined[strings.ToLower(doc.Container.Storage.Path)]
	if !ok {
		return nil, fmt.Errorf("%w: no layers are combined at %s", hcsemu.EPathNotFound, doc.Container.Storage.Path)
	}
	if n := len(doc.Container.Storage.Layers); n != len(layers)-1 {
		return nil, fmt.Errorf("%w: %d layers are named, %d are combined", hcsemu.EInvalidLayer, n, len(layers)-1)
	}
	system, err := guid.NewV4()
	if err != nil {
		return nil, err
	}
	a.containers[req.ContainerID] = &container{id: req.ContainerID, system: system.String(), doc: doc.Container, layers: layers}
	return nil, nil
}

func (a *Agent) start(body []byte) (any, error) {
	req, err := decode[gcs.RequestBase](body)
	if err != nil {
		return nil, err
	}
	if req.ContainerID == gcs.NullContainer {
		return nil, nil
	}
	a.mu.Lock()
	c := a.containers[req.ContainerID]
	a.mu.Unlock()
	if c == nil {
		return nil, hcsemu.ESystemNotFound
	}
	spec := hcsemu.SiloSpec{ID: c.id, Volume: c.doc.Storage.Path, RootDirs: c.layers}
	if c.doc.GuestOS != nil {
		spec.Hostname = c.doc.GuestOS.HostName
	}
	for _, d := range c.doc.MappedDirectories {
		host, err := a.cfg.Hardware.resolve(d.HostPath)
		if err != nil {
			return nil, err
		}
		spec.Directories = append(spec.Directories, hcsemu.MappedDirectory{HostPath: host, ContainerPath: d.ContainerPath, ReadOnly: d.ReadOnly})
	}
	silo, err := a.cfg.Runner.NewSilo(context.Background(), spec)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.silo != nil {
		silo.Close()
		return nil, hcsemu.EInvalidState
	}
	c.silo = silo
	return nil, nil
}

// siloOf returns where a container's processes run, or the machine's own.
func (a *Agent) siloOf(id string) (hcsemu.Silo, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id == gcs.NullContainer {
		if a.machine == nil {
			silo, err := newMachineSilo(context.Background(), a.cfg.Runner, a.cfg.Hardware, id)
			if err != nil {
				return nil, err
			}
			a.machine = silo
		}
		return a.machine, nil
	}
	c := a.containers[id]
	switch {
	case c == nil:
		return nil, hcsemu.ESystemNotFound
	case c.silo == nil:
		return nil, hcsemu.EInvalidState
	}
	return c.silo, nil
}

// shutdown ends a container, gracefully or not: its processes are ended, then
// the host is told.
func (a *Agent) shutdown(body []byte) (any, error) {
	req, err := decode[gcs.RequestBase](body)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	c := a.containers[req.ContainerID]
	delete(a.containers, req.ContainerID)
	a.mu.Unlock()
	if c == nil {
		return nil, hcsemu.ESystemNotFound
	}
	go func() {
		if c.silo != nil {
			c.silo.Terminate()
			c.silo.Close()
		}
		a.notify(gcs.ContainerNotification{
			RequestBase: gcs.RequestBase{ContainerID: c.id}, Type: "GracefulExit", Operation: "None",
		})
	}()
	return nil, nil
}

// notify tells the host by itself that a container has ended. A host that has
// gone needs no telling.
func (a *Agent) notify(n gcs.ContainerNotification) {
	send := func() (any, error) { return nil, a.server.Notify(n) }
	body, err := json.Marshal(n)
	if a.cfg.Gate == nil || err != nil {
		_, _ = send()
		return
	}
	_ = a.cfg.Gate(hcsemu.Message{Procedure: hcsemu.Notification, Body: body}, send)
}

func (a *Agent) properties(body []byte) (any, error) {
	req, err := decode[struct {
		gcs.RequestBase
		Query string
	}](body)
	if err != nil {
		return nil, err
	}
	query := &schema.PropertyQuery{}
	if req.Query != "" {
		if query, err = decode[schema.PropertyQuery]([]byte(req.Query)); err != nil {
			return nil, err
		}
	}
	props, err := a.propertiesOf(req.ContainerID, query)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(props)
	if err != nil {
		return nil, err
	}
	return &gcs.PropertiesResponse{Properties: string(text)}, nil
}

// propertySystemGUID is a property that no published schema has and that
// runhcs relies on: it asks for it between create and start.
const propertySystemGUID = "SystemGUID"

func (a *Agent) propertiesOf(id string, query *schema.PropertyQuery) (*schema.Properties, error) {
	props := &schema.Properties{ID: id, SystemType: schema.SystemContainer, State: schema.StateCreated}
	a.mu.Lock()
	c := a.containers[id]
	var silo hcsemu.Silo
	switch {
	case id == gcs.NullContainer:
		silo = a.machine
	case c != nil:
		silo, props.SystemGUID = c.silo, c.system
	default:
		a.mu.Unlock()
		return nil, hcsemu.ESystemNotFound
	}
	a.mu.Unlock()
	if silo != nil {
		props.State = schema.StateRunning
	}
	for _, t := range query.PropertyTypes {
		switch {
		case t == propertySystemGUID:
		case silo == nil:
			return nil, fmt.Errorf("%w: property %s before the start", hcsemu.EInvalidState, t)
		case t == schema.PropertyProcessList:
			props.ProcessList = processList(silo)
		case t == schema.PropertyStatistics:
			props.Statistics = statistics(silo)
		default:
			return nil, fmt.Errorf("%w: property %s", hcsemu.ENotSupported, t)
		}
	}
	return props, nil
}

const hundredNanoseconds = 100 * time.Nanosecond

func processList(silo hcsemu.Silo) []schema.ProcessDetails {
	list := []schema.ProcessDetails{}
	for _, p := range silo.Processes() {
		list = append(list, schema.ProcessDetails{
			ProcessID: p.PID, ImageName: p.ImageName, CreateTimestamp: p.Created,
			UserTime100ns: uint64(p.UserTime / hundredNanoseconds), KernelTime100ns: uint64(p.KernelTime / hundredNanoseconds),
			MemoryCommitBytes:            p.CommitBytes,
			MemoryWorkingSetPrivateBytes: p.PrivateWorkingSet, MemoryWorkingSetSharedBytes: p.SharedWorkingSet,
		})
	}
	return list
}

func statistics(silo hcsemu.Silo) *schema.Statistics {
	u := silo.Usage()
	return &schema.Statistics{
		Timestamp: time.Now(),
		Processor: &schema.ProcessorStats{
			TotalRuntime100ns:  uint64((u.UserTime + u.KernelTime) / hundredNanoseconds),
			RuntimeUser100ns:   uint64(u.UserTime / hundredNanoseconds),
			RuntimeKernel100ns: uint64(u.KernelTime / hundredNanoseconds),
		},
		Memory: &schema.MemoryStats{
			MemoryUsageCommitBytes: u.CommitBytes, MemoryUsageCommitPeakBytes: u.PeakCommitBytes,
			MemoryUsagePrivateWorkingSetBytes: u.PrivateWSet,
		},
	}
}
