"""The content-addressed store on disk: files by digest, trees of them, and small remembered values.

`Store` in `store.py` is the whole contract; the other files are how it keeps it.
"""

from cloche.store.cleaning import Cleaned, Usage
from cloche.store.partials import Partial
from cloche.store.store import Store

__all__ = ["Cleaned", "Partial", "Store", "Usage"]
