"""The local gateway: one Envoy process, configured through files."""
