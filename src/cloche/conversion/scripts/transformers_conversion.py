"""Models of transformers and sentence-transformers to ONNX. Syntax for Python 3.8."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_naming
import pytorch_conversion
import pytorch_export
import pytorch_interface
import torch
import transformers
import transformers_inputs
from converting import Exported
from interface import Interface, proven
from own_model import Unusable
from transformers_model import CrossModel, SentenceModel, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interface import Tensor, Values
    from numpy.typing import NDArray
    from transformers_model import TransformersModel

    Arrays = dict[str, NDArray[Any]]

_ENCODED = 1e-5
"""How far an embedding may be from that of `encode`, as a fraction of the largest value."""


class Conversion(pytorch_conversion.Conversion):
    """One network on its way to ONNX."""

    model: TransformersModel

    def framework(self) -> str:
        """Return the library that loaded the model, with its release, and PyTorch's."""
        library = f"transformers {transformers.__version__}"
        if isinstance(self.model, (CrossModel, SentenceModel)):
            import sentence_transformers

            library = f"sentence-transformers {sentence_transformers.__version__}"
        return f"{library}, {super().framework()}"

    def tells(self) -> bool:
        """Return that it does: its configuration has them."""
        return True

    def interface(self, told: list[dict[str, Any]] | None) -> Interface:
        """Return the inputs that the configuration or another example tells, and an answer."""
        own, values = set(self.model.parameters), self.values()
        inputs = transformers_inputs.tensors(self.model)
        differs = self.example is not None and set(self.example) != own
        if differs or (inputs is None and (self.example or told)):
            return pytorch_interface.discover(self.model, told, self.example, values)
        if inputs is None:
            raise Unusable(
                "conversion.inputs",
                f"Its configuration does not tell the shape of {', '.join(self.model.parameters)}.",
                "Deploy with --example FILE, a request that the model answers.",
            )
        refused: Exception | None = None
        for rows in (2, 1):
            sample = transformers_inputs.sample(self.model, inputs, values, rows)
            try:
                answer = self.model.call(sample)
            except Exception as error:  # noqa: BLE001 - whatever a model raises says that it refuses
                refused = refused or error
                continue
            return proven(self.model.call, inputs, sample, answer, values)
        names = ", ".join(self.model.parameters)
        raise Unusable(
            "conversion.inputs",
            f"The model refuses a request of {names}: {' '.join(str(refused).split())[:300]}",
            "Deploy with --example FILE, a request that the model answers.",
        )

    def values(self) -> Values:
        """Return ids of the vocabulary, and masks."""
        return transformers_inputs.TokenValues(self.model, self.example)

    def cases(self, found: Interface) -> Iterator[tuple[str, Arrays]]:
        """Yield requests as for any model, and of text: short, long, empty, outside ASCII."""
        yield from super().cases(found)
        if "input_ids" not in found.sample:
            return
        for words, texts in transformers_inputs.TEXTS[1:]:
            tokens = self.model.tokenized(texts)
            if tokens is not None:
                request = transformers_inputs.completed(found.sample, tokens)
                self._check_encoded(texts, request)
                yield words, request

    def is_scores(self, output: Tensor) -> bool:
        """Return whether an output is the one of a head: embeddings have no classes."""
        return output.name in {"logits", "scores"}

    def _check_encoded(self, texts: list[str], request: Arrays) -> None:
        """Raise Unusable if what is called does not answer as `encode` or `predict` does."""
        if isinstance(self.model, SentenceModel):
            called, expected = (
                "SentenceTransformer.encode",
                self.model.sentences.encode(texts, prompt=""),
            )
            got = self.model.call(request)["sentence_embedding"]
        elif isinstance(self.model, CrossModel):
            called, expected = "CrossEncoder.predict", self.model.cross.predict(pairs(texts))
            got = self.model.call(request)["scores"]
        else:
            return
        expected = np.asarray(expected).reshape(got.shape)
        if np.abs(got - expected).max() > _ENCODED * np.abs(expected).max():
            raise Unusable(
                "conversion.answer",
                f"It does not answer token ids as {called} answers their text:"
                f" {np.abs(got - expected).max():.3g} off.",
                "Serve it as a Python function: log it with mlflow.sentence_transformers.",
            )

    def exports(self, found: Interface) -> Iterator[Exported | str]:
        """Yield the exports of PyTorch, and of transformers where PyTorch's own fails."""
        ways = [pytorch_export.by_dynamo, pytorch_export.by_trace]
        if importlib.util.find_spec("transformers.exporters"):
            ways.insert(1, _by_transformers)
        for exported in pytorch_export.exports(self.model, found, ways):
            if isinstance(exported, Exported):
                onnx_naming.join_axes(exported.model.graph, found)
            yield exported


def _by_transformers(model: TransformersModel, interface: Interface) -> Exported:
    """Export with what transformers itself mends in its models, since its release 5."""
    import onnx_ir
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    arguments = {name: torch.from_numpy(array) for name, array in interface.sample.items()}
    dynamic = pytorch_export.dynamic_axes(interface)
    made = OnnxExporter().export(model.module, arguments, OnnxConfig(dynamic_shapes=dynamic))
    release = f"transformers.exporters {transformers.__version__}"
    return Exported(onnx_ir.to_proto(made.program), release)
