package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/isolrun/isol/internal/host"
)

// runtimeClass is what differs between two RuntimeClasses of isol.
type runtimeClass struct {
	name    string // what a pod's runtimeClassName says
	handler string // the runtime's name in containerd's config
	memory  string // of the pod beside its containers; empty: no overhead
	cpu     string
	build   string // of the nodes: 10.0.20348; empty: any Windows node
}

// runtimeClasses are those of deploy/kubernetes, for the handlers of
// containerdEntries. The overhead of a utility VM is what SIG-Windows takes for
// runhcs' Hyper-V pods:
// https://github.com/kubernetes-sigs/windows-testing, helpers/hyper-v-mutating-webhook.
func runtimeClasses() []runtimeClass {
	return []runtimeClass{
		{name: "isol-process", handler: "isol-process"},
		{name: "isol-hyperv", handler: "isol-hyperv", memory: "512Mi", cpu: "100m"},
	}
}

func runtimeClassCommand() *cli.Command {
	return &cli.Command{
		Name:  "runtimeclass",
		Usage: "print Kubernetes RuntimeClasses: isol's two, or one of your own by --name",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "name of the RuntimeClass, which a pod's runtimeClassName gives (default: both of isol's)"},
			&cli.StringFlag{Name: "handler", Usage: "runtime of containerd's config that runs its pods (default: the name)"},
			&cli.StringFlag{Name: "memory", Usage: "memory that a pod takes beside its containers, as 512Mi (default: that of the handler, if it is one of isol's)"},
			&cli.StringFlag{Name: "cpu", Usage: "CPU that a pod takes beside its containers, as 100m (default: as for memory)"},
			&cli.StringFlag{Name: "build", Usage: "build of the nodes that its pods may run on, as 20348 (default: any Windows node)"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("runtimeclass takes no argument %q: give the name by --name", c.Args().First())
			}
			classes, err := classesOf(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.Root().Writer, manifest(classes))
			return err
		},
	}
}

// classesOf reads the flags: isol's own classes with what they change, or the
// one that they name.
func classesOf(c *cli.Command) ([]runtimeClass, error) {
	classes := runtimeClasses()
	if name := c.String("name"); name != "" {
		classes = []runtimeClass{named(name, c.String("handler"), classes)}
	} else if c.IsSet("handler") || c.IsSet("memory") || c.IsSet("cpu") {
		return nil, errors.New("--handler, --memory and --cpu are of one RuntimeClass: give its name by --name")
	}
	for i := range classes {
		if err := classes[i].set(c); err != nil {
			return nil, err
		}
	}
	return classes, nil
}

// named is a class with the overhead of the handler it is for.
func named(name, handler string, known []runtimeClass) runtimeClass {
	if handler == "" {
		handler = name
	}
	for _, k := range known {
		if k.handler == handler {
			k.name = name
			return k
		}
	}
	return runtimeClass{name: name, handler: handler}
}

// What Kubernetes takes, so that kubectl does not refuse what was printed:
// names are DNS subdomains, handlers DNS labels, overheads quantities.
// https://kubernetes.io/docs/concepts/containers/runtime-class/
var (
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	quantity     = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(m|k|Ki|Mi|Gi|M|G)?$`)
)

func (r *runtimeClass) set(c *cli.Command) error {
	if m := c.String("memory"); m != "" {
		r.memory = m
	}
	if u := c.String("cpu"); u != "" {
		r.cpu = u
	}
	if b := c.String("build"); b != "" {
		v, err := host.ParseVersion(b)
		if err != nil {
			return fmt.Errorf("--build: %w", err)
		}
		// The kubelet labels nodes with major.minor.build, without the revision.
		r.build = fmt.Sprintf("10.0.%d", v.Build)
	}
	for _, f := range []struct {
		flag, value, allowed string
		is                   *regexp.Regexp
		most                 int
	}{
		{"name", r.name, "lower-case letters, digits, - and . between them, at most 253", dnsSubdomain, 253},
		{"handler", r.handler, "lower-case letters, digits and - between them, at most 63", dnsLabel, 63},
		{"memory", r.memory, "a quantity such as 512Mi", quantity, 20},
		{"cpu", r.cpu, "a quantity such as 100m", quantity, 20},
	} {
		if f.value != "" && (len(f.value) > f.most || !f.is.MatchString(f.value)) {
			return fmt.Errorf("--%s: Kubernetes does not take %q; allowed: %s", f.flag, f.value, f.allowed)
		}
	}
	return nil
}

// manifest is the classes as YAML. All that goes into it has been checked: no
// value holds what YAML gives a meaning, but a name may look like a number.
func manifest(classes []runtimeClass) string {
	var b strings.Builder
	for i, r := range classes {
		if i > 0 {
			b.WriteString("---\n")
		}
		r.write(&b)
	}
	return b.String()
}

func (r runtimeClass) write(b *strings.Builder) {
	fmt.Fprintf(b, "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata:\n  name: %s\nhandler: %s\n", word(r.name), word(r.handler))
	if r.memory != "" || r.cpu != "" {
		b.WriteString("overhead:\n  podFixed:\n")
	}
	if r.memory != "" {
		fmt.Fprintf(b, "    memory: %s\n", r.memory)
	}
	if r.cpu != "" {
		fmt.Fprintf(b, "    cpu: %s\n", r.cpu)
	}
	b.WriteString("scheduling:\n  nodeSelector:\n    kubernetes.io/os: windows\n")
	if r.build != "" {
		fmt.Fprintf(b, "    node.kubernetes.io/windows-build: %s\n", r.build)
	}
	b.WriteString("  tolerations:\n  - key: os\n    operator: Equal\n    value: windows\n    effect: NoSchedule\n")
}

// notAString is what YAML 1.1, which Kubernetes reads, takes for another type.
var notAString = regexp.MustCompile(`^([0-9].*|true|false|yes|no|on|off|y|n|null)$`)

// word quotes a name that YAML would not read as a string.
func word(s string) string {
	if notAString.MatchString(s) {
		return `"` + s + `"`
	}
	return s
}
