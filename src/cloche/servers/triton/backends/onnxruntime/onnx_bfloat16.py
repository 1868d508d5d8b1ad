"""Runs of models with BF16 inputs or outputs, which numpy does not have.

Tensors go between Triton and ONNX Runtime by DLPack, without a copy. Syntax for Python 3.8.
"""

# Before Python 3.10 zip() knows no strict.
# ruff: noqa: B905

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx_session import ModelError  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_signature  # type: ignore[import-not-found]

DATATYPE = "BF16"


def names(signature: onnx_signature.Signature) -> set[str]:
    """Return the BF16 tensors of a model; raises ModelError for one that cannot be served."""
    import onnxruntime

    groups = (signature.inputs, signature.overridable, signature.outputs)
    found = {tensor.name: tensor for group in groups for tensor in group.values()}
    chosen = {name for name, tensor in found.items() if tensor.datatype == DATATYPE}
    if chosen and not hasattr(onnxruntime.OrtValue, "from_dlpack"):
        raise ModelError(f"BF16 needs a newer ONNX Runtime than {onnxruntime.__version__}")
    scalars = [name for name in sorted(chosen) if not found[name].shape]
    if scalars:
        raise ModelError(f"tensor '{scalars[0]}': a scalar of BF16 is not served")
    return chosen


class Runner:
    """Runs one request at a time in a session."""

    def __init__(self, session: Any, chosen: set[str], pb_tensor: Any) -> None:
        self._session = session
        self._chosen = chosen
        self._tensor = pb_tensor

    def has(self, name: str) -> bool:
        """Return whether a tensor is of BF16."""
        return name in self._chosen

    def run(
        self,
        requested: list[str],
        tensors: list[Any],
        to_array: Callable[[Any], Any],
        run_options: Any,
    ) -> list[Any]:
        """Return the outputs: tensors of Triton for BF16, arrays for everything else."""
        feed = {tensor.name(): self._value(tensor, to_array) for tensor in tensors}
        values = self._session.run_with_ort_values(requested, feed, run_options)
        return [self._output(name, value) for name, value in zip(requested, values)]

    def _value(self, tensor: Any, to_array: Callable[[Any], Any]) -> Any:
        import onnxruntime

        if tensor.name() in self._chosen:
            return onnxruntime.OrtValue.from_dlpack(tensor.to_dlpack())
        return onnxruntime.OrtValue.ortvalue_from_numpy(to_array(tensor))

    def _output(self, name: str, value: Any) -> Any:
        if name not in self._chosen:
            return value.numpy()
        return self._tensor.from_dlpack(name, value._get_c_value().to_dlpack())
