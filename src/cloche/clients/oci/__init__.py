"""Registries of images, over the OCI distribution protocol (specification 1.1).

`registry.py` is what callers use; `reference.py` reads the names of images. `transport.py` speaks
HTTP, `authorization.py` gets tokens, `docker_config.py` knows whom the user logged in as,
`upload.py`, `download.py` and `referrers.py` are the parts of the protocol that take several
requests.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
"""
