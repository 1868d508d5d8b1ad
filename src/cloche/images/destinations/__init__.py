"""Where images go: registries, OCI layouts, archives, engines."""
