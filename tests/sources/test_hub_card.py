"""What a model card says, and files that are not what their names say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloche.errors import ClocheError
from cloche.sources.huggingface.card import metadata_of
from cloche.sources.huggingface.integrity import fault_of_safetensors, shards_in

CARD = """\
---
license: apache-2.0
pipeline_tag: text-classification
library_name: transformers
language: [en, no]
datasets:
- glue
- imdb
tags: [a, {deep: 1}, 3]
model-index:
- name: tiny
  results:
  - task: {type: text-classification}
    dataset: {name: GLUE  SST2, type: glue}
    metrics:
    - {type: accuracy, value: 0.91}
    - {type: f1, value: "0.9"}
    - {type: loss, value: .nan}
    - {type: matrix, value: [1]}
  - metrics: [{name: bleu, value: 30}]
  - metrics: nothing
---
# A model
license: not this
"""


def test_a_card_becomes_tags_and_metrics() -> None:
    said = metadata_of(CARD)
    assert said.tags == {
        "license": "apache-2.0", "pipeline_tag": "text-classification",
        "library_name": "transformers", "language": "en, no", "datasets": "glue, imdb",
        "tags": "a, 3",
    }  # fmt: skip
    assert said.metrics == {"accuracy on GLUE SST2": 0.91, "f1 on GLUE SST2": 0.9, "bleu": 30.0}


@pytest.mark.parametrize(
    "text",
    [
        "", "# A model", "---", "---\nlicense: mit", "---\n---\n", "---\n- a list\n---\n",
        "---\nlicense: [\n---\n", "---\na: *nothing\n---\n", "---\nx: 2026-99-01\n---\n",
        "---\n" + "[" * 3000 + "\n---\n", "---\nmodel-index: 3\n---\n", "---\n\x00\n---\n",
        "---\n!!python/object/apply:os.system ['true']\n---\n", "---\nlicense:\n---\n",
        "---\nlicense: {a: b}\n---\n", "---\n" + "a: b\n" * 200_000 + "---\n",
    ],
)  # fmt: skip
def test_a_broken_card_says_nothing(text: str) -> None:
    said = metadata_of(text)
    assert (said.tags, said.metrics) == ({}, {})


def test_a_card_of_windows_is_read() -> None:
    assert metadata_of("\ufeff---\r\nlicense: mit\r\n---\r\n").tags == {"license": "mit"}


# ── safetensors ───────────────────────────────────────────────────────────────────────────────


def safetensors(header: object, size: int, *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (length if length is not None else len(text)).to_bytes(8, "little") + text + bytes(size)


def tensor(begin: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (safetensors({"a": tensor(0, 8), "b": tensor(8, 12)}, 12), None),
        (safetensors({"b": tensor(8, 12), "a": tensor(0, 8), "__metadata__": {"f": "pt"}}, 12),
         None),
        (safetensors({"e": tensor(0, 0), "a": tensor(0, 4)}, 4), None),
        (safetensors({}, 0), None),
        (b"", "bytes long"),
        (b"\x80\x02}", "bytes long"),
        (safetensors({"a": tensor(0, 8)}, 8, length=2**40), "bytes long"),
        (safetensors(b"{nonsense", 0), "JSON"),
        (safetensors(b"\xff\xfe", 0), "JSON"),
        (safetensors([1], 0), "JSON"),
        (safetensors({"a": {"data_offsets": ["0", "8"]}}, 8), "JSON"),
        (safetensors({"a": {"data_offsets": [0]}}, 8), "JSON"),
        (safetensors({"a": {}}, 8), "JSON"),
        (safetensors({"a": tensor(0, 8)}, 4), "fill"),
        (safetensors({"a": tensor(0, 8)}, 12), "fill"),
        (safetensors({"a": tensor(0, 8), "b": tensor(4, 12)}, 12), "fill"),
        (safetensors({"a": tensor(8, 0)}, 8), "fill"),
    ],
)  # fmt: skip
def test_the_header_of_safetensors(tmp_path: Path, data: bytes, fault: str | None) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    found = fault_of_safetensors(path)
    assert found is None if fault is None else found is not None and fault in found


@pytest.mark.parametrize(
    ("index", "shards"),
    [
        (b'{"weight_map": {"a": "x.bin", "b": "x.bin", "c": "y.bin"}}', {"x.bin", "y.bin"}),
        (b"{", None), (b"[]", None), (b"{}", None), (b'{"weight_map": 3}', None),
        (b'{"weight_map": {"a": 3}}', None), (b'{"weight_map": {"a": "../x"}}', None),
        (b"\xff", None), (b'{"weight_map": {"a": ["x"]}}', None),
    ],
)  # fmt: skip
def test_an_index_of_shards(index: bytes, shards: set[str] | None) -> None:
    if shards is not None:
        assert shards_in(index, "i.json", "hf://o/n@c") == shards
        return
    with pytest.raises(ClocheError) as raised:
        shards_in(index, "i.json", "hf://o/n@c")
    assert raised.value.code == "source.huggingface.index"
