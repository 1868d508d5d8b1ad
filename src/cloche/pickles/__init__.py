"""What loading a model's files would run: found by reading them, before anything loads them.

`scan` reads one file, `scan_files` and `scan_folder` a snapshot. Every pickle is read to its end,
wherever it stands: plain, several in a row, in torch's archives, in joblib's files between their
arrays and compressed, in arrays of numpy. Each name that it imports is compared with a list of
exact qualified names (`allowed/`). Layers of Keras that are programs, and code that a Hugging Face
repository asks for, are found too. A scan informs; a sandbox protects.
"""

from cloche.pickles.beginning import begins_like_a_pickle
from cloche.pickles.documents import LAMBDA_LAYER
from cloche.pickles.scan import Name, Scan, TorchFacts
from cloche.pickles.scanning import scan, scan_files, scan_folder

__all__ = [
    "LAMBDA_LAYER",
    "Name",
    "Scan",
    "TorchFacts",
    "begins_like_a_pickle",
    "scan",
    "scan_files",
    "scan_folder",
]
