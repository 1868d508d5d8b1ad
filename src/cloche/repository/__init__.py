"""The Triton model repository: from a model's facts and a spec to the bytes that are served.

`build` writes one, or keeps a finished one byte for byte; `finished.facts` says what a finished one
holds; `config.compose` makes a config.pbtxt with a reason for each field, `config.parse` reads one.
"""

from cloche.repository.building import build

__all__ = ["build"]
