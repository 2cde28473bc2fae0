package shim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/stats"
	sandbox "github.com/containerd/containerd/api/runtime/sandbox/v1"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	taskstate "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/isolrun/isol/test/hcsemu"
)

// podLab is a lab whose client is containerd's own of the Sandbox API.
type podLab struct {
	*lab
	pods sandbox.TTRPCSandboxService
	root string // folder of image layers
}

func newPodLab(t *testing.T, opts ...labOption) *podLab {
	l := newLab(t, append(opts, withVMs)...)
	p := &podLab{lab: l, pods: sandbox.NewTTRPCSandboxClient(l.conn), root: t.TempDir()}
	for _, f := range []string{"base/UtilityVM/SystemTemplate.vhdx", "base/UtilityVM/Files/bootmgfw.efi", "base/Files/license.txt"} {
		path := filepath.Join(p.root, f)
		p.must(nil, os.MkdirAll(filepath.Dir(path), 0o755))
		p.must(nil, os.WriteFile(path, nil, 0o600))
	}
	return p
}

// config is what CRI sends for a pod, as containerd packs it.
func (p *podLab) config(change func(*cri.PodSandboxConfig)) *anypb.Any {
	p.Helper()
	c := &cri.PodSandboxConfig{
		Metadata:    &cri.PodSandboxMetadata{Name: "web", Namespace: "shop", Uid: "u1"},
		Hostname:    "web-0",
		Annotations: map[string]string{"kubernetes.io/config.source": "api"},
		Linux:       &cri.LinuxPodSandboxConfig{}, // the kubelet sends one on Windows too
		Windows:     &cri.WindowsPodSandboxConfig{SecurityContext: &cri.WindowsSandboxSecurityContext{}},
	}
	if change != nil {
		change(c)
	}
	a, err := typeurl.MarshalAnyToProto(c)
	p.must(a, err)
	return a
}

func (p *podLab) create(config *anypb.Any) error {
	_, err := p.pods.CreateSandbox(p.Context(), &sandbox.CreateSandboxRequest{SandboxID: "c1", BundlePath: p.bundle, Options: config})
	return err
}

func (p *podLab) start() *sandbox.StartSandboxResponse {
	p.Helper()
	started, err := p.pods.StartSandbox(p.Context(), &sandbox.StartSandboxRequest{SandboxID: "c1"})
	p.must(started, err)
	return started
}

// workload creates and starts a container of the pod, as CRI does.
func (p *podLab) workload(id, command string) {
	p.Helper()
	p.must(p.tasks.Create(p.Context(), p.joining(id, command)))
	p.must(p.tasks.Start(p.Context(), &task.StartRequest{ID: id}))
}

// joining is the create of a container of the pod.
func (p *podLab) joining(id, command string) *task.CreateTaskRequest {
	p.Helper()
	bundle := p.TempDir()
	spec := &specs.Spec{
		Version: "1.1.0", Process: &specs.Process{CommandLine: command, Cwd: `C:\`}, Windows: &specs.Windows{},
		Annotations: map[string]string{"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "c1"},
	}
	data, err := json.Marshal(spec)
	p.must(data, err)
	p.must(nil, os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o600))
	scratch := filepath.Join(p.root, id)
	p.must(nil, os.MkdirAll(scratch, 0o755))
	p.must(nil, os.WriteFile(filepath.Join(scratch, "sandbox.vhdx"), nil, 0o600))
	return &task.CreateTaskRequest{ID: id, Bundle: bundle, Rootfs: []*types.Mount{{
		Type: "windows-layer", Source: windowsPath(scratch),
		Options: []string{"rw", `parentLayerPaths=["` + windowsPath(filepath.Join(p.root, "base")) + `"]`},
	}}}
}

// windowsPath gives a path of the test's machine a drive's form where it needs
// one: the layers are checked for it.
func windowsPath(path string) string {
	if runtime.GOOS == "windows" {
		return strings.ReplaceAll(path, `\`, `\\`)
	}
	return "//" + strings.TrimPrefix(path, "/")
}

// status is the sandbox's state as CRI reads it.
func (p *podLab) status() *sandbox.SandboxStatusResponse {
	p.Helper()
	s, err := p.pods.SandboxStatus(p.Context(), &sandbox.SandboxStatusRequest{SandboxID: "c1", Verbose: true})
	p.must(s, err)
	return s
}

// The whole life of a pod as containerd's shim controller drives it, in both
// modes. Every answer goes through containerd's own messages.
func TestSandboxLife(t *testing.T) {
	for _, mode := range []string{"process", "hyperv"} {
		t.Run(mode, func(t *testing.T) {
			p := newPodLab(t, withOptions(t, `isolation = "`+mode+`"`))
			ctx := t.Context()
			p.must(nil, p.create(p.config(nil)))
			if s := p.status(); s.State != "SANDBOX_NOTREADY" || s.SandboxID != "c1" {
				t.Errorf("status before start %v", s)
			}
			started := p.start()
			if started.Pid == 0 || time.Since(started.CreatedAt.AsTime()) > time.Minute {
				t.Errorf("start answers %v", started)
			}
			if s := p.status(); s.State != "SANDBOX_READY" || s.Pid != started.Pid || s.ExitedAt != nil ||
				!s.CreatedAt.AsTime().Equal(started.CreatedAt.AsTime()) || !strings.Contains(s.Info["plan"], `"bare":true`) {
				t.Errorf("status %v", s)
			}
			platform, err := p.pods.Platform(ctx, &sandbox.PlatformRequest{SandboxID: "c1"})
			p.must(platform, err)
			if f := platform.Platform; f.OS != "windows" || f.Architecture != runtime.GOARCH || !strings.HasPrefix(f.OSVersion, "10.0.20348") {
				t.Errorf("platform %v", f)
			}
			p.must(p.pods.PingSandbox(ctx, &sandbox.PingRequest{SandboxID: "c1"}))
			p.workload("web", "ping -t localhost")
			p.workload("side", "ping -t localhost")
			p.metrics(mode)
			_, err = p.pods.ShutdownSandbox(ctx, &sandbox.ShutdownSandboxRequest{SandboxID: "c1"})
			expect(t, err, codes.FailedPrecondition, "side, web")
			p.stop()
			for _, id := range []string{"web", "side"} {
				p.must(p.tasks.Delete(ctx, &task.DeleteRequest{ID: id}))
			}
			p.must(p.pods.ShutdownSandbox(ctx, &sandbox.ShutdownSandboxRequest{SandboxID: "c1"}))
			<-p.ended
			p.clean()
		})
	}
}

// metrics checks the figures of the pod, by either service.
func (p *podLab) metrics(mode string) {
	p.Helper()
	m, err := p.pods.SandboxMetrics(p.Context(), &sandbox.SandboxMetricsRequest{SandboxID: "c1"})
	p.must(m, err)
	resp, err := p.tasks.Stats(p.Context(), &task.StatsRequest{ID: "c1"})
	p.must(resp, err)
	for what, a := range map[string]*anypb.Any{"Sandbox API": m.Metrics.Data, "Task API": resp.Stats} {
		v, err := typeurl.UnmarshalAny(a)
		p.must(v, err)
		s, ok := v.(*stats.Statistics)
		if !ok || s.GetWindows().GetTimestamp() == nil || (s.VM != nil) != (mode == "hyperv") {
			p.Errorf("%s: statistics are %T %v", what, v, v)
		}
	}
	if m.Metrics.ID != "c1" || m.Metrics.Timestamp == nil {
		p.Errorf("metrics %v", m.Metrics)
	}
	pids, err := p.tasks.Pids(p.Context(), &task.PidsRequest{ID: "c1"})
	p.must(pids, err)
	state, err := p.tasks.State(p.Context(), &task.StateRequest{ID: "c1"})
	p.must(state, err)
	if len(pids.Processes) != 1 || state.Status != taskstate.Status_RUNNING || pids.Processes[0].Pid != state.Pid {
		p.Errorf("the sandbox in the Task API: pids %v, state %v", pids, state)
	}
}

// stop stops the pod and checks what CRI waits for.
func (p *podLab) stop() {
	p.Helper()
	waited := make(chan *sandbox.WaitSandboxResponse, 1)
	go func() {
		w, err := p.pods.WaitSandbox(p.Context(), &sandbox.WaitSandboxRequest{SandboxID: "c1"})
		if err != nil {
			p.Error(err)
		}
		waited <- w
	}()
	p.must(p.pods.StopSandbox(p.Context(), &sandbox.StopSandboxRequest{SandboxID: "c1"}))
	if w := <-waited; w.GetExitStatus() != 0 || w.GetExitedAt() == nil {
		p.Errorf("wait answers %v", w)
	}
	if s := p.status(); s.State != "SANDBOX_NOTREADY" || s.ExitedAt == nil {
		p.Errorf("status after stop %v", s)
	}
	p.must(p.pods.StopSandbox(p.Context(), &sandbox.StopSandboxRequest{SandboxID: "c1"})) // again
}

// The death of the VM is the answer of WaitSandbox: CRI marks the pod not ready.
func TestSandboxVMDies(t *testing.T) {
	p := newPodLab(t, withOptions(t, `isolation = "hyperv"`))
	p.must(nil, p.create(p.config(nil)))
	p.start()
	p.workload("web", "ping -t localhost")
	p.machines.Crash()
	w, err := p.pods.WaitSandbox(t.Context(), &sandbox.WaitSandboxRequest{SandboxID: "c1"})
	p.must(w, err)
	if w.ExitStatus != 255 || p.status().State != "SANDBOX_NOTREADY" {
		t.Errorf("wait answers %v, status %v", w, p.status())
	}
	exit, err := p.tasks.Wait(t.Context(), &task.WaitRequest{ID: "web"})
	p.must(exit, err)
	if exit.ExitStatus != 255 {
		t.Errorf("the container ended with %d", exit.ExitStatus)
	}
	_, err = p.pods.PingSandbox(t.Context(), &sandbox.PingRequest{SandboxID: "c1"})
	expect(t, err, codes.FailedPrecondition, "ended")
	p.must(p.tasks.Delete(t.Context(), &task.DeleteRequest{ID: "web"}))
	p.must(p.pods.ShutdownSandbox(t.Context(), &sandbox.ShutdownSandboxRequest{SandboxID: "c1"}))
	<-p.ended
	p.clean()
}

// Everything that can be wrong with a pod before anything of it exists. After
// each, containerd's clean-up ends the shim and nothing is left.
func TestCreateSandboxRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options string
		change  func(*cri.PodSandboxConfig)
		netns   string
		any     *anypb.Any
		code    codes.Code
		says    []string
	}{
		{name: "no config", any: &anypb.Any{}, code: codes.InvalidArgument, says: []string{"PodSandboxConfig"}},
		{name: "another config", any: &anypb.Any{TypeUrl: "runtime.v1alpha2.PodSandboxConfig"}, code: codes.InvalidArgument, says: []string{"runtime.v1.PodSandboxConfig"}},
		{name: "bytes that are none", any: &anypb.Any{TypeUrl: "runtime.v1.PodSandboxConfig", Value: []byte{0x3a, 0xff}}, code: codes.InvalidArgument, says: []string{"pod config"}},
		{name: "misspelt option", options: `isolatoin = "hyperv"`, code: codes.InvalidArgument, says: []string{"isolation"}},
		{name: "misspelt annotation", change: func(c *cri.PodSandboxConfig) { c.Annotations["io.isol.isolatoin"] = "hyperv" },
			code: codes.InvalidArgument, says: []string{"io.isol.isolation"}},
		{name: "isolation of no mode", change: func(c *cri.PodSandboxConfig) { c.Annotations["io.isol.isolation"] = "vm" },
			code: codes.InvalidArgument, says: []string{"process", "hyperv"}},
		{name: "namespace that is no GUID", netns: "/var/run/netns/cni-1", code: codes.InvalidArgument, says: []string{"GUID"}},
		{name: "namespace that does not exist", netns: "5b45201d-f2f2-4f3b-85bb-30ff1f953599", code: codes.FailedPrecondition, says: []string{"5b45201d"}},
		{name: "VM image that does not exist", options: "isolation = \"hyperv\"\nuvm_image = '/nowhere'", code: codes.FailedPrecondition, says: []string{"nowhere"}},
		{name: "HostProcess with a network of its own", change: func(c *cri.PodSandboxConfig) { c.Windows.SecurityContext.HostProcess = true },
			netns: "5b45201d-f2f2-4f3b-85bb-30ff1f953599", code: codes.InvalidArgument, says: []string{"HostProcess", "network"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var opts []labOption
			if tc.options != "" {
				opts = append(opts, withOptions(t, tc.options))
			}
			p := newPodLab(t, opts...)
			config := tc.any
			if config == nil {
				config = p.config(tc.change)
			}
			_, err := p.pods.CreateSandbox(t.Context(), &sandbox.CreateSandboxRequest{SandboxID: "c1", BundlePath: p.bundle, Options: config, NetnsPath: tc.netns})
			expect(t, err, tc.code, tc.says...)
			p.must(p.pods.ShutdownSandbox(t.Context(), &sandbox.ShutdownSandboxRequest{SandboxID: "c1"}))
			<-p.ended
			p.clean()
		})
	}
}

// What a pod's author writes counts only as far as the administrator lets it:
// containerd hands over every annotation here.
func TestPodAnnotations(t *testing.T) {
	big := func(c *cri.PodSandboxConfig) {
		c.Annotations["io.microsoft.virtualmachine.computetopology.memory.sizeinmb"] = "4096"
		c.Annotations["microsoft.com/hostprocess-container"] = "true"
	}
	for name, tc := range map[string]struct {
		options, says string
	}{
		"by default":  {`isolation = "hyperv"`, `"memoryMB":4096`},
		"not allowed": {"isolation = \"hyperv\"\npod_annotations = []", `"memoryMB":1024`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPodLab(t, withOptions(t, tc.options))
			p.must(nil, p.create(p.config(big)))
			if plan := p.status().Info["plan"]; !strings.Contains(plan, tc.says) || !strings.Contains(plan, `"mode":"hyperv"`) {
				t.Errorf("plan %s, want %s", plan, tc.says)
			}
		})
	}
}

// An in-place resize of a pod reaches its VM; a pod without one says so in the
// way that containerd tolerates.
func TestUpdateSandbox(t *testing.T) {
	update := func(p *podLab, text string) error {
		_, err := p.pods.UpdateSandbox(p.Context(), &sandbox.UpdateSandboxRequest{SandboxID: "c1", Sandbox: &types.Sandbox{
			Extensions: map[string]*anypb.Any{"updated-resources": {TypeUrl: "io.containerd.cri.v1/UpdatedResources", Value: []byte(text)}},
		}})
		return err
	}
	const twoGB = `{"Overhead":null,"Resources":{"cpu_period":100000,"cpu_quota":100000,"memory_limit_in_bytes":2147483648}}`
	p := newPodLab(t, withOptions(t, `isolation = "hyperv"`))
	p.must(nil, p.create(p.config(nil)))
	p.start()
	p.workload("web", "ping -t localhost")
	p.must(nil, update(p, twoGB))
	var changes []string
	for _, c := range p.emu.Calls(hcsemu.CallFilter{Function: "HcsModifyComputeSystem"}) {
		changes = append(changes, string(c.Args["request"].(json.RawMessage)))
	}
	all := strings.Join(changes, "\n")
	for _, want := range []string{`Memory/SizeInMB`, `2304`, `Processor/Limits`, `"Limit":50000`} { // 2048 MB and the guest's 256; half of two processors
		if !strings.Contains(all, want) {
			t.Errorf("no change with %s in:\n%s", want, all)
		}
	}
	p.must(nil, update(p, `{"Resources":{}}`)) // limits were taken off
	expect(t, update(p, `{"Resources":7}`), codes.InvalidArgument, "updated-resources")
	expect(t, update(p, `{}`), codes.InvalidArgument, "no resources")

	q := newPodLab(t, withOptions(t, `isolation = "process"`))
	q.must(nil, q.create(q.config(nil)))
	q.start()
	expect(t, update(q, twoGB), codes.Unimplemented, "no resources of its own")
}

// `ctr sandboxes run` sends no pod config: its spec is in the bundle.
func TestSandboxOfBundle(t *testing.T) {
	p := newPodLab(t)
	p.spec("cmd", func(s *specs.Spec) { s.Annotations = map[string]string{"io.isol.isolation": "hyperv"} })
	p.must(nil, p.create(nil))
	p.start()
	p.workload("web", "ping -t localhost")
	p.stop()
	p.must(p.pods.ShutdownSandbox(t.Context(), &sandbox.ShutdownSandboxRequest{SandboxID: "c1"}))
	<-p.ended
	p.clean()
}

// A container that does not belong into its pod is refused with what is wrong,
// and the pod goes on.
func TestJoinRefuses(t *testing.T) {
	const pod, hostProcess = "io.kubernetes.cri.sandbox-id", "microsoft.com/hostprocess-container"
	for _, tc := range []struct {
		name        string
		options     string
		annotations map[string]string
		stopped     bool
		code        codes.Code
		says        string
	}{
		{name: "a pod that is not here", options: "process", annotations: map[string]string{pod: "c9"}, code: codes.FailedPrecondition, says: "c9"},
		{name: "a pod that was stopped", options: "process", stopped: true, code: codes.FailedPrecondition, says: "sandbox c1"},
		{name: "a Hyper-V pod that was stopped", options: "hyperv", stopped: true, code: codes.FailedPrecondition, says: "sandbox c1"},
		{name: "Hyper-V in a process pod", options: "process", annotations: map[string]string{"io.isol.isolation": "hyperv"},
			code: codes.FailedPrecondition, says: "a container runs as its pod does"},
		{name: "process in a Hyper-V pod", options: "hyperv", annotations: map[string]string{"io.isol.isolation": "process"},
			code: codes.FailedPrecondition, says: "a container runs as its pod does"},
		{name: "HostProcess in a process pod", options: "process", annotations: map[string]string{hostProcess: "true"},
			code: codes.FailedPrecondition, says: "asks for hostprocess"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPodLab(t, withOptions(t, `isolation = "`+tc.options+`"`))
			p.must(nil, p.create(p.config(nil)))
			p.start()
			if tc.stopped {
				p.stop()
			}
			req := p.joining("web", "cmd")
			p.annotate(req.Bundle, tc.annotations)
			_, err := p.tasks.Create(t.Context(), req)
			expect(t, err, tc.code, tc.says)
			if !tc.stopped {
				p.workload("good", "ping -t localhost")
				p.stop()
			}
			p.must(p.pods.ShutdownSandbox(t.Context(), &sandbox.ShutdownSandboxRequest{SandboxID: "c1"}))
			<-p.ended
			p.clean()
		})
	}
}

// annotate changes annotations of a bundle's spec.
func (p *podLab) annotate(bundle string, annotations map[string]string) {
	p.Helper()
	name := filepath.Join(bundle, "config.json")
	data, err := os.ReadFile(name)
	p.must(data, err)
	var spec specs.Spec
	p.must(nil, json.Unmarshal(data, &spec))
	for k, v := range annotations {
		spec.Annotations[k] = v
	}
	data, err = json.Marshal(spec)
	p.must(data, err)
	p.must(nil, os.WriteFile(name, data, 0o600))
}

// containerd gives RunPodSandbox up while the sandbox is being made: it asks for
// the shutdown, or only hangs up. Nobody else knows the shim: it must end.
func TestSandboxIsGivenUp(t *testing.T) {
	for name, giveUp := range map[string]func(*podLab){
		"shutdown": func(p *podLab) {
			p.must(p.pods.ShutdownSandbox(p.Context(), &sandbox.ShutdownSandboxRequest{SandboxID: "c1"}))
		},
		"hangs up": func(p *podLab) { p.must(nil, p.conn.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPodLab(t)
			p.must(nil, p.emu.AddFaults(hcsemu.Fault{Name: "held", Function: "HcnEnumerateNamespaces", Action: hcsemu.ActionHang}))
			made := make(chan error, 1)
			go func() {
				_, err := p.pods.CreateSandbox(p.Context(), &sandbox.CreateSandboxRequest{
					SandboxID: "c1", BundlePath: p.bundle, Options: p.config(nil), NetnsPath: "5c5e1d0e-0d5c-4a4a-9d9c-0f3a3b1c2d3e",
				})
				made <- err
			}()
			for deadline := time.Now().Add(20 * time.Second); p.emu.Hanging("held") == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the call does not come")
				}
			}
			giveUp(p)
			if err := <-made; err == nil {
				t.Error("the sandbox was made")
			}
			select {
			case <-p.ended:
			case <-time.After(20 * time.Second):
				t.Error("the shim stays")
			}
			p.emu.Release("")
			p.clean()
		})
	}
}
