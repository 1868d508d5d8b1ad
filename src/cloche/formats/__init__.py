"""The formats of models, one room each: detect one, know its facts, tell it from its look-alikes.

`format.py` is the contract. Sources know the contract and are handed the formats; they never import
a format. `recognize` finds the format of a path, `require_servable` refuses what cannot be served.
"""

from cloche.formats.format import Format, Lookalike, ModelFiles
from cloche.formats.recognition import recognize
from cloche.formats.servable import require_servable

__all__ = ["Format", "Lookalike", "ModelFiles", "recognize", "require_servable"]
