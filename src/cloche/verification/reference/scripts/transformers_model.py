"""A model of transformers or sentence-transformers, called with token ids or pixels by name.

`how` says what its folder is:

    kind       model (save_pretrained of transformers), sentence (of sentence-transformers), cross
               (its CrossEncoder)
    class      of a model: the class that config.json names, with its file if it is the model's own
    tokenizer  of a model: the folder of its tokenizer, if it is another one
    own_code   references to classes in its own files (`modeling_net.Net`), if it has such

Weights of half precision are made FP32, which changes none of them: a processor computes in it.
transformers copies code of the model's own before it imports it; here into a folder that ends with
the process.
Syntax for Python 3.8.
"""

from __future__ import annotations

import atexit
import importlib.util
import inspect
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before the first import of the hub's client: all is here

import torch
import transformers
from own_model import Unusable
from pytorch_model import TorchModel
from transformers import dynamic_module_utils

_HALVES = (torch.float16, torch.bfloat16)
_SHOWN = 5


class TransformersModel(TorchModel):
    """A module whose inputs go by name: none is required in its signature."""

    def __init__(self, module: Any, network: Any, folder: str, inputs: list[str]) -> None:
        """Take what is called, the network of transformers in it, its folder, and its inputs."""
        halves = any(each.dtype in _HALVES for each in module.parameters())
        super().__init__(module.eval().float())
        if halves:
            self.notes.append("Its weights are of half precision; they are computed in FP32.")
        self.network, self.folder, self.parameters = network, folder, inputs
        self.tokenizer = folder
        """The folder of its tokenizer, if it has one."""
        self.own_code = False
        """Whether its tokenizer may be code of its own."""

    def by_name(self, names: Any) -> bool:  # noqa: ARG002
        """Return True: forward knows every input by its name."""
        return True

    def tokenized(self, texts: list[str]) -> dict[str, Any] | None:
        """Return texts as inputs, padded to one length; None without a tokenizer in the folder.

        Some releases make one without words where the folder has none, which fails when it is used.
        """
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                self.tokenizer, trust_remote_code=self.own_code
            )
            longest = min(_longest(self.network.config), tokenizer.model_max_length)
            made = tokenizer(
                texts, padding=True, truncation=True, max_length=longest, return_tensors="np"
            )
        except Exception:  # noqa: BLE001 - a folder without a tokenizer is served all the same
            return None
        return dict(made)


class SentenceModel(TransformersModel):
    """All modules of sentence-transformers as one: token ids in, an embedding out."""

    def __init__(self, sentences: Any, folder: str) -> None:
        """Take a SentenceTransformer."""
        network = sentences[0].auto_model
        super().__init__(_Sentences(sentences), network, folder, _inputs(network))
        self.sentences = sentences

    def tokenized(self, texts: list[str]) -> dict[str, Any] | None:
        """Return texts as inputs, as `encode` makes them."""
        make = getattr(self.sentences, "preprocess", None) or self.sentences.tokenize
        made = make(texts)
        return {name: made[name].numpy() for name in self.parameters if name in made}


class CrossModel(TransformersModel):
    """A CrossEncoder of sentence-transformers: token ids of two texts in, their score out."""

    def __init__(self, cross: Any, folder: str) -> None:
        """Take a CrossEncoder."""
        super().__init__(_Cross(cross), cross.model, folder, _inputs(cross.model))
        self.cross = cross

    def tokenized(self, texts: list[str]) -> dict[str, Any] | None:
        """Return each text with one of the others as inputs, as `predict` makes them."""
        made = self.cross.tokenizer(
            texts, texts[::-1], padding=True, truncation="longest_first",
            max_length=self.cross.max_length, return_tensors="np",
        )  # fmt: skip
        return dict(made)


def pairs(texts: list[str]) -> list[tuple[str, str]]:
    """Return each text with one of the others."""
    return [(text, texts[-1 - index]) for index, text in enumerate(texts)]


class _Cross(torch.nn.Module):
    """The network of a CrossEncoder, and what `predict` makes of its logits."""

    def __init__(self, cross: Any) -> None:
        super().__init__()
        self.network = cross.model
        # Before its release 4 it had another name.
        self.activation = getattr(cross, "activation_fn", None) or cross.default_activation_function

    def forward(
        self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None
    ) -> dict[str, Any]:
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            given["token_type_ids"] = token_type_ids
        return {"scores": self.activation(self.network(**given).logits)}


class _Sentences(torch.nn.Module):
    def __init__(self, sentences: Any) -> None:
        super().__init__()
        self.sentences = sentences
        self.kept = getattr(sentences, "truncate_dim", None)

    def forward(
        self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None
    ) -> dict[str, Any]:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            features["token_type_ids"] = token_type_ids
        embedding = self.sentences(features)["sentence_embedding"]
        return {"sentence_embedding": embedding[..., : self.kept]}


def load(path: str, how: dict[str, Any]) -> TransformersModel:
    """Return the model in a folder; raises Unusable, and whatever its library raises."""
    transformers.logging.set_verbosity_error()
    own_code = how.get("own_code") or []
    if own_code:
        _prepare_code(path, own_code)
    if how["kind"] == "sentence":
        return _sentence(path, trust=bool(own_code))
    if how["kind"] == "cross":
        return _cross(path, trust=bool(own_code))
    model = _model(path, how["class"])
    model.tokenizer = str(Path(path) / how.get("tokenizer", "."))
    model.own_code = bool(own_code)
    return model


def _prepare_code(path: str, references: list[str]) -> None:
    """Give the model's code a folder; raises Unusable where the environment lacks what it imports.

    The names are those that transformers would miss: of imports outside `try`.
    """
    folder = tempfile.mkdtemp(prefix="cloche-code-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    dynamic_module_utils.HF_MODULES_CACHE = folder
    modules = {f"{reference.partition('.')[0]}.py" for reference in references}
    files = {str(file) for name in modules for file in Path(path).rglob(name)}
    for file in list(files):
        files.update(dynamic_module_utils.get_relative_import_files(file))
    named = {name for file in files for name in dynamic_module_utils.get_imports(file)}
    missing = sorted(name for name in named if importlib.util.find_spec(name) is None)
    if missing:
        raise Unusable(
            "conversion.module",
            f"The model's own code imports {', '.join(missing)}, which its environment lacks.",
            f"Write `requirements: [{_releases()}, {', '.join(missing)}]` in cloche.yaml, with the"
            " names of their packages.",
        )


def _releases() -> str:
    """Return the releases that are here, as requirements have them."""
    torch_release = torch.__version__.partition("+")[0]
    return f"torch=={torch_release}, transformers=={transformers.__version__}"


def _sentence(path: str, *, trust: bool) -> TransformersModel:
    from sentence_transformers import SentenceTransformer

    sentences = SentenceTransformer(path, device="cpu", trust_remote_code=trust)
    return SentenceModel(sentences, path)


def _cross(path: str, *, trust: bool) -> TransformersModel:
    from sentence_transformers import CrossEncoder

    return CrossModel(CrossEncoder(path, device="cpu", trust_remote_code=trust), path)


def _model(path: str, name: str) -> TransformersModel:
    if "." in name:
        made = dynamic_module_utils.get_class_from_dynamic_module(name, path)
    else:
        made = getattr(transformers, name, None)
    if made is None:
        raise Unusable(
            "conversion.class",
            f"transformers {transformers.__version__} has no class {name}.",
            "Write the release that has it under `requirements:` in cloche.yaml.",
        )
    network, missing = _loaded(made, path)
    notes = []
    if missing and all("pooler." in key for key in missing):
        network, missing = _loaded(made, path, add_pooling_layer=False)
        notes.append("Its weights have no pooler; it answers without pooler_output.")
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (" …" if len(missing) > _SHOWN else "")
        raise Unusable(
            "conversion.weights",
            f"The weights lack {len(missing)} tensors of {name}: {shown}. They would be random.",
            "Name the class that was trained under `architectures` in config.json, or save the"
            " trained model again with save_pretrained.",
        )
    for option, value in (("use_cache", False), ("return_dict", True)):
        if hasattr(network.config, option):
            setattr(network.config, option, value)
    model = TransformersModel(network, network, path, _inputs(network))
    model.notes += notes
    return model


def _loaded(made: Any, path: str, **options: Any) -> tuple[Any, list[str]]:
    try:
        network, told = made.from_pretrained(path, output_loading_info=True, **options)
    except ImportError as error:
        said = " ".join(str(error).split()).partition(". ")[0]
        raise Unusable(
            "conversion.module",
            f"Its class cannot be made: {said}.",
            f"Write `requirements: [{_releases()}, …]` in cloche.yaml, with that package.",
        ) from error
    return network, sorted(told["missing_keys"])


def _inputs(network: Any) -> list[str]:
    """Return the names of the inputs that a request has."""
    main = network.main_input_name
    if main != "input_ids":
        return [main]
    names = ["input_ids", "attention_mask"]
    taken = inspect.signature(network.forward).parameters
    if "token_type_ids" in taken and getattr(network.config, "type_vocab_size", 0) > 1:
        names.append("token_type_ids")
    if "pixel_values" in taken and getattr(network.config, "vision_config", None) is not None:
        names.append("pixel_values")
    return names


def _longest(config: Any) -> int:
    """Return the most tokens that positions are known for, RoBERTa's first ones being padding."""
    known = getattr(config, "max_position_embeddings", None) or 512
    return min(int(known) - 2, 512)
