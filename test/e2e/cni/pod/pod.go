// Package pod makes and removes the network of a pod over HCN.
package pod

// Network is the ids of what Add made.
type Network struct {
	Network   string
	Namespace string
	Joined    []string // endpoints in the namespace
	Free      []string // endpoints in none
}
