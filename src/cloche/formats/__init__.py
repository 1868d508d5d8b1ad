"""The formats of models, one package each: detection, facts and look-alikes.

`format.py` is the contract. Sources know the contract and are given the formats; they never import
a format. `recognize` finds the format of a path, `variant_of` which of its variants that is;
`require_servable` refuses unservable models.
`table.py` has what all of them serve: each format's variants, and what was measured of each.
"""

from cloche.formats.format import Foresight, Format, Lookalike, ModelFiles
from cloche.formats.recognition import recognize, variant_of
from cloche.formats.servable import require_servable
from cloche.formats.variant import Variant

__all__ = [
    "Foresight",
    "Format",
    "Lookalike",
    "ModelFiles",
    "Variant",
    "recognize",
    "require_servable",
    "variant_of",
]
