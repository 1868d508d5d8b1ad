"""What Hugging Face's libraries also write: recognised, never loaded, each with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError
from cloche.formats import libraries
from cloche.formats.transformers import code

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LATER = "A later version serves them; until then use"
_SERVER = f"{_LATER} a server of language models, such as vLLM or llama.cpp."
_GENERATING = (
    "ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSpeechSeq2Seq",
    "ForImageTextToText", "ForVision2Seq", "EncoderDecoderModel", "ForTextToSpeech",
    "ForSpeechToText", "ForSpeechToSpeech",
)  # fmt: skip
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def of_names(names: Collection[str], where: str) -> ClocheError | None:
    """Return the refusal of a folder by the names at its top, None if they tell nothing."""
    if "model_index.json" in names:
        return ClocheError(
            "source.transformers.diffusers",
            "This is a pipeline of diffusers, which makes pictures in many steps.",
            where=where,
            hint=f"{_LATER} diffusers itself.",
        )
    if "adapter_config.json" in names:
        return ClocheError(
            "source.transformers.adapter",
            "This is an adapter (PEFT), which changes the weights of another model.",
            where=where,
            hint="Merge it into its model (merge_and_unload() of peft), save that with"
            " save_pretrained, and name its folder.",
        )
    refused = libraries.refusal(names, where)
    if refused is not None or "config.json" in names or "modules.json" in names:
        return refused
    return _without_configuration(names, where)


def _without_configuration(names: Collection[str], where: str) -> ClocheError:
    if any(name.endswith(".gguf") for name in names):
        return ClocheError(
            "source.transformers.gguf",
            "This is a language model in the GGUF format.",
            where=where,
            hint=_SERVER,
        )
    if any(name.endswith((".safetensors", ".bin")) for name in names):
        return ClocheError(
            "source.transformers.config",
            "This is weights without the configuration that says what they are of (config.json).",
            where=where,
            hint="Save the model with save_pretrained, or put its config.json there.",
        )
    what = "an image processor" if any(name in names for name in _PROCESSORS) else "a tokenizer"
    return ClocheError(
        "source.transformers.alone",
        f"This is {what} alone, without a model.",
        where=where,
        hint="Save the model into the same folder: model.save_pretrained(FOLDER).",
    )


def of_configuration(
    config: Mapping[str, Any], architecture: str, where: str
) -> ClocheError | None:
    """Return the refusal of a model by its configuration, None if it is one that is served."""
    far = code.elsewhere(config)
    if far is not None:
        return ClocheError(
            "source.transformers.code",
            f"The model's code is in another repository ({far} in config.json), which nothing"
            " pins.",
            where=where,
            hint="Put its files of Python beside the weights, and name them without the part before"
            " -- in config.json.",
        )
    if isinstance(config.get("quantization_config"), dict):
        method = config["quantization_config"].get("quant_method", "an unknown method")
        return ClocheError(
            "source.transformers.quantized",
            f"Its weights are quantised ({method}), for kernels that a processor does not have.",
            where=where,
            hint="Name the model that it was made from, with weights of FP32, FP16 or BF16.",
        )
    if _generates(config, architecture):
        return ClocheError(
            "source.transformers.language",
            f"{architecture} generates its output step by step (a language model, or an encoder"
            " with a decoder). Language models come with their own server in a later version.",
            where=where,
            hint=_SERVER,
        )
    return None


def _generates(config: Mapping[str, Any], architecture: str) -> bool:
    """Return whether an answer is made step by step.

    A decoder alone does not say so: with BART's classes are told, and with DETR's things are found,
    in one step.
    """
    if architecture.endswith(_GENERATING):
        return True
    if not config.get("is_encoder_decoder"):
        return False
    bare = architecture.endswith("Model") and not architecture.endswith("EncoderModel")
    return (bare and "vocab_size" in config) or architecture.endswith("ForPrediction")


def of_code(classes: Collection[str], paths: Collection[str], where: str) -> ClocheError:
    """Return the refusal of a model that brings code, from where anybody may have put it.

    `classes` are references to its classes, `paths` those of all files.
    """
    return ClocheError(
        "source.transformers.code",
        f"Loading it runs Python code of its own: {', '.join(classes)} (auto_map in config.json),"
        f" in {', '.join(code.files(paths))}.",
        where=where,
        hint="Read that code. If you trust who wrote it, write `trust: true` in cloche.yaml: it"
        " runs in the model's own environment. An export to ONNX needs no trust.",
    )
