"""The local gateway: one Envoy process that is told everything through files."""
