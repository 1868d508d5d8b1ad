"""The Triton model repository: from a model's facts and a spec to the bytes that are served.

`build` writes one, `keep` takes a finished one byte for byte; `config.compose` makes a config.pbtxt
with a reason for each field. `backends/` says what each backend of Triton adds.
"""

from cloche.repository.backends import Backend
from cloche.repository.building import MakeRepository, build
from cloche.repository.keeping import keep

__all__ = ["Backend", "MakeRepository", "build", "keep"]
