"""An image as a request: its pixels, resized for the model."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloche.artifacts import TensorSpec
    from cloche.inputs.declared import Declared

_MOST_PIXELS = 100_000_000
"""A small file can hold far more, which would fill the memory."""
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read(data: bytes, where: str, declared: Declared) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Return the pixels as one batch, `[1, channels, height, width]` or channels last.

    A model that takes one image at a time, without an axis for a batch, gets the other three axes.

    Float inputs get 0 to 1, whole-number inputs 0 to 255; for a model trained with another
    normalisation, send an array instead. A size that the model leaves open is the image's own.
    Raises UsageError for a model without an image input.
    """
    if len(declared.inputs) == 1 and declared.inputs[0].datatype == "BYTES":
        import numpy as np

        return np.array([data], dtype=object)  # the model decodes images itself
    tensor, channels, first = _image_input(declared)
    height, width = tensor.shape[-2:] if first else tensor.shape[-3:-1]
    pixels = _pixels(data, where, _MODES[channels], height, width)
    if tensor.datatype.startswith(("FP", "BF")):
        pixels = pixels.astype("float32") / 255.0
    image = pixels.transpose(2, 0, 1) if first else pixels
    return {tensor.name: image[None, ...] if len(tensor.shape) == 4 else image}


def _image_input(declared: Declared) -> tuple[TensorSpec, int, bool]:
    """Return the input, its channels and whether they come first."""
    images = [tensor for tensor in declared.required if len(tensor.shape) in {3, 4}]
    images.sort(key=lambda tensor: len(tensor.shape), reverse=True)
    for channels in ((1, 3), (4,)):  # a height of 4 is less likely than channels last
        for tensor in images:
            if tensor.shape[-3] in channels:
                return tensor, tensor.shape[-3], True
            if tensor.shape[-1] in channels:
                return tensor, tensor.shape[-1], False
    raise UsageError(
        "infer.image",
        "The model has no input for an image: 3 or 4 axes, one of them 1, 3 or 4 channels.",
        hint="Give the values as JSON, .npy or CSV.",
    )


def _pixels(data: bytes, where: str, mode: str, height: int, width: int) -> NDArray[Any]:
    """Return `[height, width, channels]`, whole numbers from 0 to 255."""
    import numpy as np
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, which no pixel depends on
            with Image.open(io.BytesIO(data)) as opened:
                if opened.width * opened.height > _MOST_PIXELS:
                    raise ValueError(f"it has more than {_MOST_PIXELS:,} pixels")
                image = opened.convert(mode)
    except Exception as error:  # noqa: BLE001 - decoders of damaged images raise whatever comes
        raise UsageError("infer.image", f"The image cannot be read: {error}", where=where) from None
    size = (width if width > 0 else image.width, height if height > 0 else image.height)
    pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    return pixels.reshape(size[1], size[0], -1)
