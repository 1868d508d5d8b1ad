"""Models that their own framework loads: what they show when run, and their conversion.

A converter runs in the model's environment, in a process without a network and with limits on time
and memory. Its exit code proves nothing: what counts is that ONNX Runtime loads the result, and
that it answers as the original does, in numbers.

    conversion.py   the contract: what a framework's converter takes and gives
    own_run.py      the run itself, remembered by the digest of all that goes in
    served.py       the facts of what is then served: the converted model, or the original
"""

from cloche.conversion.conversion import Converter
from cloche.conversion.own_run import Asked, OwnEnvironment, recalled, run
from cloche.conversion.served import (
    as_close_as_measured,
    as_converted,
    as_it_is,
    converted_snapshot,
    require,
    unconverted,
)

__all__ = [
    "Asked",
    "Converter",
    "OwnEnvironment",
    "as_close_as_measured",
    "as_converted",
    "as_it_is",
    "converted_snapshot",
    "recalled",
    "require",
    "run",
    "unconverted",
]
