"""Media types of manifests: OCI's and those of Docker that came before."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

INDEXES = (OCI_INDEX, DOCKER_LIST)
"""Name the manifests of several platforms."""
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
"""Name the config and the layers of one image."""
