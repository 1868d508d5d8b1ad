"""The backends that run models inside Triton, one file each; `backend.py` is the contract."""

from cloche.repository.backends.backend import Backend, BackendFiles, ItemCost

__all__ = ["Backend", "BackendFiles", "ItemCost"]
