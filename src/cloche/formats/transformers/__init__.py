"""Folders of transformers and sentence-transformers, as `save_pretrained` and `save` write them.

folder.py       what a folder is: its configuration, its modules, the files that serving needs
weights.py      the files of weights, whole or in shards
code.py         classes of a model's own, in files of Python beside the weights
refusals.py     what Hugging Face's libraries also write, and what to do with it
inspection.py   the facts; `releases.py` has the requirements
"""

from cloche.formats.transformers.format import TransformersFormat

__all__ = ["TransformersFormat"]
