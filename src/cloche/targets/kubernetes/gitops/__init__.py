"""A service as files for whoever keeps a cluster by other means than Cloche."""
