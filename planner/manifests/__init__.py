"""Kubernetes manifests as plain data, one file a kind."""
