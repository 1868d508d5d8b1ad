"""Where images are read: registries, OCI layouts, and archives of whoever made them."""
