"""What Hugging Face's libraries save, in the table of what is served, and what is not served."""

from __future__ import annotations

from typing import Any

from cloche.formats import libraries
from cloche.formats.transformers import refusals
from cloche.formats.variant import CONVERSION, LABELS, TRUST, From, Served, Variant, requirements

_NEEDED = requirements("transformers==5.24.0", "torch==2.15.0")
_SOURCES = (From.FOLDER, From.HUB)

NETWORK = Variant(
    "transformers", "a model of transformers: safetensors or pytorch_model.bin",
    "model.save_pretrained(FOLDER)", _SOURCES, Served.CONVERTED,
    (_NEEDED, TRUST, LABELS, CONVERSION), "torch.onnx, transformers' own exporter",
)  # fmt: skip
SENTENCES = Variant(
    "sentence-transformers", "a model of sentence-transformers, all its modules as one",
    "model.save(FOLDER)", _SOURCES, Served.CONVERTED, (_NEEDED, TRUST, CONVERSION),
    "torch.onnx",
)  # fmt: skip

_REFUSED_NAMES = ({"model_index.json"}, {"adapter_config.json"})
_REFUSED_SETTINGS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "A model such as GPT2LMHeadModel"),
    ({"quantization_config": {"quant_method": "…"}}, ""),
)
_ANSWERS = (
    *(refusals.of_names(names, "") for names in _REFUSED_NAMES),
    *(refusals.of_configuration(config, of, "") for config, of in _REFUSED_SETTINGS),
    *libraries.refusals(),
)
REFUSED = tuple(answer for answer in _ANSWERS if answer is not None)
"""What a folder or its configuration shows not to be served, in the words of the refusals."""
