// Command labcni is the CNI plugin of a lab. It gives a pod an endpoint on a
// NAT network of the machine, with the library of the real plugins for Windows
// (win-bridge, win-overlay, azure-vnet):
//
//	CNI_COMMAND  CNI_NETNS is the pod's HCN namespace, which containerd has made
//	ADD          makes the network if it is the first, an endpoint ID_IFNAME with the pod's
//	             DNS and host ports, and puts it into the namespace; undoes all of it when it fails
//	CHECK        fails if the endpoint or its place in the namespace has gone
//	DEL          removes the endpoint; what is not there any more is no error
//	VERSION      tells the versions of the protocol
//
// https://www.cni.dev/docs/spec/
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// version is that of the protocol which the plugin speaks.
const version = "1.0.0"

// config is what the plugin gets on its input.
type config struct {
	CNIVersion    string `json:"cniVersion"`
	Name          string `json:"name"`
	Subnet        string `json:"subnet"`
	Gateway       string `json:"gateway"`
	RuntimeConfig struct {
		DNS struct {
			Servers  []string `json:"servers"`
			Searches []string `json:"searches"`
			Options  []string `json:"options"`
		} `json:"dns"`
		PortMappings []portMapping `json:"portMappings"`
	} `json:"runtimeConfig"`
}

// portMapping is a port of the host that leads to one of the pod.
type portMapping struct {
	HostPort      uint16 `json:"hostPort"`
	ContainerPort uint16 `json:"containerPort"`
	Protocol      string `json:"protocol"`
}

// pod is what the environment says.
type pod struct{ id, namespace, adapter string }

// result is what ADD answers.
type result struct {
	CNIVersion string             `json:"cniVersion"`
	Interfaces []networkInterface `json:"interfaces"`
	IPs        []address          `json:"ips"`
	DNS        dns                `json:"dns"`
}

type networkInterface struct {
	Name    string `json:"name"`
	MAC     string `json:"mac"`
	Sandbox string `json:"sandbox"`
}

type address struct {
	Interface int    `json:"interface"`
	Address   string `json:"address"` // with the length of its prefix
	Gateway   string `json:"gateway,omitempty"`
}

type dns struct {
	Nameservers []string `json:"nameservers,omitempty"`
	Search      []string `json:"search,omitempty"`
	Options     []string `json:"options,omitempty"`
}

// The codes of errors that the protocol defines.
const (
	codeEnvironment = 4
	codeDecode      = 6
	codeNetwork     = 11
)

// failure is what a plugin answers when it fails.
type failure struct {
	CNIVersion string `json:"cniVersion"`
	Code       int    `json:"code"`
	Msg        string `json:"msg"`
}

func main() {
	code, err := run(os.Getenv, os.Stdin, os.Stdout)
	if err == nil {
		return
	}
	if err := json.NewEncoder(os.Stdout).Encode(failure{version, code, err.Error()}); err != nil {
		fmt.Fprintln(os.Stderr, "labcni:", err)
	}
	os.Exit(1)
}

// run carries out the command of the environment.
func run(env func(string) string, in io.Reader, out io.Writer) (int, error) {
	command := env("CNI_COMMAND")
	if command == "VERSION" {
		return codeNetwork, json.NewEncoder(out).Encode(map[string]any{"cniVersion": version, "supportedVersions": []string{version}})
	}
	var c config
	if err := json.NewDecoder(in).Decode(&c); err != nil {
		return codeDecode, fmt.Errorf("configuration: %w", err)
	}
	p := pod{id: env("CNI_CONTAINERID"), namespace: env("CNI_NETNS"), adapter: env("CNI_IFNAME")}
	if p.id == "" || p.adapter == "" || p.namespace == "" && command != "DEL" {
		return codeEnvironment, errors.New("CNI_CONTAINERID, CNI_IFNAME or CNI_NETNS is not set")
	}
	switch command {
	case "ADD":
		r, err := add(c, p)
		if err == nil {
			err = json.NewEncoder(out).Encode(r)
		}
		return codeNetwork, err
	case "CHECK":
		return codeNetwork, check(p)
	case "DEL":
		return codeNetwork, del(p)
	}
	return codeEnvironment, fmt.Errorf("CNI_COMMAND %q is not known", command)
}
