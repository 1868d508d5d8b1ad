"""A real Kubernetes for tests, built from Go modules: an API server alone, or a whole cluster.

`ApiServer` (etcd and kube-apiserver on loopback) needs no root and takes seconds; several stand
beside each other. `RealCluster` has two real nodes, DNS, a registry and a gateway; one fits on a
machine. `python -m cluster.harness` is behind `make cluster`.
"""
