"""Scripts that run in a pod, on the Python and numpy of the server's image."""
