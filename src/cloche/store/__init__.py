"""The content-addressed store on disk: files by digest, trees of files, small remembered values.

`Store` is the contract; the other modules implement it.
"""

from cloche.store.cleaning import Cleaned, Usage
from cloche.store.partials import Partial
from cloche.store.store import Store

__all__ = ["Cleaned", "Partial", "Store", "Usage"]
