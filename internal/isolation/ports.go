package isolation

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Port is a port of the host that leads to one of the container's.
type Port struct {
	Protocol      string `json:"protocol"`         // TCP, UDP, …
	HostIP        string `json:"hostIP,omitempty"` // empty: each address of the host
	HostPort      uint16 `json:"hostPort"`
	ContainerPort uint16 `json:"containerPort"`
	Source        string `json:"source"` // what names it: an entry of the pod's config, or an endpoint's policy
}

// crossing is the opening that the port is, asked for by source. Write is true:
// what is sent to a port arrives.
func (p Port) crossing(source string) Crossing {
	host := fmt.Sprintf("%s %d", p.Protocol, p.HostPort)
	if p.HostIP != "" {
		host = fmt.Sprintf("%s %s:%d", p.Protocol, p.HostIP, p.HostPort)
	}
	return Crossing{Kind: CrossPort, Host: host, Inside: fmt.Sprint("port ", p.ContainerPort), Write: true, Source: source}
}

// answers reports whether p, which is open, is the port that asked names. The
// address is not compared: a policy may name the one that "each" has become.
func (p Port) answers(asked Port) bool {
	return strings.EqualFold(p.Protocol, asked.Protocol) && p.HostPort == asked.HostPort && p.ContainerPort == asked.ContainerPort
}

// ports lists the host's ports that the pod's config asks for. The CNI plugins
// open them, before there is a sandbox: what they did is [Plan.Publishing]'s.
func (d *decision) ports() error {
	for i, p := range d.in.Ports {
		where := fmt.Sprintf("pod config port_mappings[%d]", i)
		switch {
		case p.HostPort == 0:
			continue // a port of the container that the host does not publish
		case p.HostPort < 0 || p.HostPort > math.MaxUint16:
			return d.invalid("give a host port from 1 to 65535", "%s has the host port %d", where, p.HostPort)
		case p.ContainerPort <= 0 || p.ContainerPort > math.MaxUint16:
			return d.invalid("give a container port from 1 to 65535", "%s has the container port %d", where, p.ContainerPort)
		case d.onHost():
			d.reason("no effect", where, "a HostProcess container is on the host's network: its ports are the host's")
			continue
		}
		port := Port{p.Protocol, p.HostIP, uint16(p.HostPort), uint16(p.ContainerPort), where}
		d.plan.Container.Network.Ports = append(d.plan.Container.Network.Ports, port)
		d.cross(port.crossing(where))
	}
	return nil
}

// Publishing returns the plan with the ports that the policies of its network's
// endpoints publish, in place of those that the pod's config asks for. One that
// was asked for and that no policy publishes is no opening: a reason says so.
func (p *Plan) Publishing(open []Port) *Plan {
	out := *p
	out.Crossings = slices.DeleteFunc(slices.Clone(p.Crossings), func(c Crossing) bool { return c.Kind == CrossPort })
	for _, port := range open {
		source := port.Source
		if i := slices.IndexFunc(p.Container.Network.Ports, port.answers); i >= 0 {
			source = p.Container.Network.Ports[i].Source + ", " + source
		}
		out.Crossings = append(out.Crossings, port.crossing(source))
	}
	out.Reasons = slices.Clone(p.Reasons)
	for _, asked := range p.Container.Network.Ports {
		if !slices.ContainsFunc(open, func(port Port) bool { return port.answers(asked) }) {
			out.Reasons = append(out.Reasons, Reason{"port not published", asked.Source, fmt.Sprintf(
				"no policy of the network's endpoints publishes %s of the host: that is the CNI plugin's to do", asked.crossing("").Host)})
		}
	}
	return &out
}
