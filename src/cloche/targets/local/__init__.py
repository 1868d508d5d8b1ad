"""The local target: one Triton process per replica and one Envoy, on this machine's loopback."""
