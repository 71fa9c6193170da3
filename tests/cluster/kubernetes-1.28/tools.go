//go:build tools

// Package tools names the programs of the oldest supported Kubernetes, so that `go mod tidy` keeps what they need.
// Lines of go.mod that begin with `tool` would raise the language to a Go in which old code means something else.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
)
