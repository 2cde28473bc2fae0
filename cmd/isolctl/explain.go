package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
)

// defaultHost is what explain assumes where it can't probe.
const defaultHost = "server2022"

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "show the plan of a container: its isolation, why, and what crosses its boundary",
		ArgsUsage: "[BUNDLE|config.json]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "options", Usage: "TOML file of runtime options, as a handler's options section in containerd's config"},
			&cli.StringFlag{Name: "host", Usage: "TOML file of host facts, or server2016, server2019, server2022, server2025, win10, win11 (default: this machine; " + defaultHost + " where it is not Windows)"},
			&cli.StringFlag{Name: "image-build", Usage: "build of the image, as 20348 or 10.0.20348.2700 (default: read from windows.layerFolders)"},
			&cli.StringFlag{Name: "uvm-build", Usage: "build of the utility VM (default: the image's)"},
			&cli.StringFlag{Name: "pod", Usage: "plan of the pod that the container joins: the file that explain --format json wrote for its sandbox"},
			&cli.StringFlag{Name: "sandboxer", Value: podSandboxer, Usage: "of a pod's sandbox: " + podSandboxer + ", or " + shimSandboxer + " for the Sandbox API, which gives it no image"},
			&cli.StringFlag{Name: "pod-config", Usage: "the pod's config, as crictl runp takes it, in place of a spec: its sandbox over the Sandbox API"},
			&cli.StringFlag{Name: "config", Usage: "the node's config file (default: what the options name, or %ProgramData%\\isol\\config.toml)"},
			&cli.StringFlag{Name: "namespace", Usage: "containerd's namespace, for the node's policy"},
			&cli.StringFlag{Name: "id", Value: "container", Usage: "id of the container"},
			&cli.BoolFlag{Name: "documents", Usage: "print the HCS documents too"},
			formatFlag(),
		},
		Action: func(_ context.Context, c *cli.Command) error {
			want := 1
			if c.String("pod-config") != "" {
				want = 0
			}
			if c.Args().Len() != want {
				return errors.New("explain takes one argument, a bundle or its config.json; or --pod-config in place of it")
			}
			return explain(c, c.Args().First())
		},
	}
}

// explanation is all that explain prints.
type explanation struct {
	Plan      *isolation.Plan `json:"plan"`
	Documents []document      `json:"documents,omitempty"`

	in isolation.Input
}

func explain(c *cli.Command, path string) error {
	in, err := readInput(c, path)
	if err != nil {
		return err
	}
	plan, err := isolation.Decide(in)
	if err != nil {
		return err
	}
	e := explanation{Plan: plan, in: in}
	if c.Bool("documents") {
		if e.Documents, err = documents(plan, in.Request); err != nil {
			return err
		}
	}
	if err := write(c, e); err != nil {
		return err
	}
	return isolation.Runnable(plan)
}

func write(c *cli.Command, e explanation) error {
	w := c.Root().Writer
	switch {
	case c.String("format") != "json":
		return writeExplanation(w, e)
	case c.Bool("documents"):
		return writeJSON(w, e)
	}
	return writeJSON(w, e.Plan)
}

// readInput gathers what the shim would have at a create.
func readInput(c *cli.Command, path string) (isolation.Input, error) {
	in := isolation.Input{ID: c.String("id"), Namespace: c.String("namespace")}
	var err error
	if in.Options, err = readOptions(c.String("options")); err != nil {
		return in, err
	}
	spec, err := requested(c, path, &in)
	if err != nil {
		return in, err
	}
	if in.Request, err = oci.Parse(spec, in.Options.DefaultAnnotations); err != nil {
		return in, err
	}
	if in.Node, err = readNode(c.String("config"), in.Options); err != nil {
		return in, err
	}
	if in.Host, err = readHost(c.String("host")); err != nil {
		return in, err
	}
	if in.Bare {
		in.Image, err = readVMImage(c, isolation.UVMImage(in.Request, in.Options))
	} else {
		in.Image, err = readImage(c, in.Request.System.LayerFolders)
	}
	if err != nil {
		return in, err
	}
	in.Pod, err = readPod(c.String("pod"))
	return in, err
}

// requested reads what the client asks for: a container's spec, or the config of
// a pod.
func requested(c *cli.Command, path string, in *isolation.Input) (*specs.Spec, error) {
	if file := c.String("pod-config"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--pod-config: %w", err)
		}
		config, err := oci.PodConfigFromJSON(text)
		if err != nil {
			return nil, fmt.Errorf("--pod-config %s: %w", filepath.Base(file), err)
		}
		spec, left := config.Spec(in.Options.AllowedPodAnnotations())
		for _, key := range left {
			in.Options.Notes = append(in.Options.Notes, options.Note{Input: options.Source("annotation " + key),
				Text: "has no effect: option pod_annotations does not let it through"})
		}
		in.Bare, in.Ports = true, config.Ports
		return oci.SandboxSpec(spec, in.ID, "", nil), nil
	}
	spec, err := readSpec(path)
	if err != nil {
		return nil, err
	}
	switch s := c.String("sandboxer"); s {
	case podSandboxer:
	case shimSandboxer:
		spec, in.Bare = oci.SandboxSpec(spec, in.ID, "", nil), true
	default:
		return nil, fmt.Errorf("--sandboxer is %q: it is %s or %s", s, podSandboxer, shimSandboxer)
	}
	return spec, nil
}

func readSpec(path string) (*specs.Spec, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return oci.Read(path)
	}
	return oci.ReadFile(path)
}

// readOptions decodes a TOML file as the shim does when containerd names it.
func readOptions(path string) (options.Options, error) {
	if path == "" {
		return options.Options{}, nil
	}
	m := &runtimeoptions.Options{ConfigPath: path}
	value, err := proto.Marshal(m)
	if err != nil {
		return options.Options{}, err
	}
	return options.Decode(string(m.ProtoReflect().Descriptor().FullName()), value)
}

// readNode reads the node's config. A file that the user named must be there.
func readNode(path string, o options.Options) (node.Config, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return node.Config{}, fmt.Errorf("node config: %w", err)
		}
		return node.Read(path)
	}
	if o.NodeConfig.Set() {
		return node.Read(o.NodeConfig.V)
	}
	if runtime.GOOS != "windows" {
		return node.Config{}, nil
	}
	return node.Read(node.DefaultPath(os.Getenv))
}

func readHost(name string) (host.Facts, error) {
	if name != "" {
		return host.Load(name)
	}
	if runtime.GOOS != "windows" {
		return host.Load(defaultHost)
	}
	return host.Probe()
}

// readImage takes the builds from the flags, else from the layers that exist
// on this machine; the last folder is the scratch.
func readImage(c *cli.Command, layerFolders []string) (host.Image, error) {
	var img host.Image
	if n := len(layerFolders); n > 1 {
		var err error
		if img, err = host.ReadImage(layerFolders[:n-1]); err != nil {
			return img, err
		}
	}
	if s := c.String("image-build"); s != "" {
		v, err := host.ParseVersion(s)
		if err != nil {
			return img, fmt.Errorf("--image-build: %w", err)
		}
		img.OS, img.OSSource = v, "--image-build"
		img.UVM, img.UVMSource = v, "the image"
	}
	if s := c.String("uvm-build"); s != "" {
		v, err := host.ParseVersion(s)
		if err != nil {
			return img, fmt.Errorf("--uvm-build: %w", err)
		}
		img.UVM, img.UVMSource = v, "--uvm-build"
	}
	return img, nil
}

// readVMImage reads the facts of the named folder that a pod without an image
// boots its VM from; none if there is none.
func readVMImage(c *cli.Command, folder string) (host.Image, error) {
	if folder == "" {
		return host.Image{}, nil
	}
	img, err := readImage(c, []string{folder, ""}) // the last is the scratch
	return host.Image{UVM: img.UVM, UVMSource: img.UVMSource, UVMFolder: folder}, err
}

// readPod reads a plan that explain wrote, with or without documents.
func readPod(path string) (*isolation.Plan, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--pod: %w", err)
	}
	var e explanation
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("--pod %s: %w", filepath.Base(path), err)
	}
	if e.Plan != nil {
		return e.Plan, nil
	}
	p := new(isolation.Plan)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("--pod %s: %w", filepath.Base(path), err)
	}
	if p.Mode == isolation.ModeInvalid || p.Role != isolation.RoleSandbox {
		return nil, fmt.Errorf("--pod %s: it is not the plan of a sandbox: write one with explain --format json", filepath.Base(path))
	}
	return p, nil
}
