"""Images of services: made from the digests in the store, with no daemon and no root.

`image.py` is the contract. A base (`base.py`) and the files of a service (`content.py`) become
layers, a configuration and a manifest (`building.py`), in an OCI layout or an archive.
"""
