"""Images of services: made from the digests in the store, with no daemon and no root.

`image.py` is the contract. A base (`bases/`) and the files of a service (`content.py`) become
layers (`layering/`), a configuration and a manifest (`building.py`), at a destination
(`destinations/`). What is read again comes from `sources/`.
"""
