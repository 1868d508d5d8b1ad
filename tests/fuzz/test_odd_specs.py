"""Whatever stands in a cloche.yaml or is given as a name: a spec, or an error with a remedy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import DOCUMENTS, TEXTS, only_our_errors
from ruamel.yaml import YAML

from cloche import settings, spec

VALUES = DOCUMENTS | st.sampled_from((
    "models:/a@b", "./model.onnx", "1", "-1", "10ms", "1e999s", "50%", "4Gi", "१", "0x10", "+1",
    ".5",
    {"max_batch_size": 8}, {"min": 1, "max": 2}, {"min": 2, "max": 1}, "2026-01-31", 2**80,
))  # fmt: skip
KEYS = st.sampled_from((
    "model", "name", "batching", "instances", "resources", "replicas", "server", "example",
    "start_timeout", "rollout", "follow", "targets", "access", "autoscale", "slo",
))  # fmt: skip
SPECS = st.dictionaries(KEYS, VALUES | st.dictionaries(st.sampled_from((
    "max_batch_size", "max_queue_delay", "preferred_batch_sizes", "cpu", "memory", "gpu", "min",
    "max", "parameters", "warmup", "graph_optimization", "keep", "queue_timeout",
)), VALUES, max_size=3), max_size=5)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("specs")


@given(SPECS | DOCUMENTS)
def test_any_document(place: Path, document: Any) -> None:
    stream = io.StringIO()
    YAML(typ="safe").dump(document, stream)
    (place / "cloche.yaml").write_text(stream.getvalue())
    with only_our_errors():
        loaded = spec.load(place / "cloche.yaml", None)
        loaded.served()
        loaded.operated()


@given(st.binary(max_size=80) | TEXTS.map(lambda text: text.encode(errors="surrogatepass")))
def test_any_text(place: Path, data: bytes) -> None:
    (place / "cloche.yaml").write_bytes(data)
    with only_our_errors():
        spec.load(place / "cloche.yaml", None)


@given(TEXTS | st.text(alphabet="models:/runs.@-_a1é大\x00%", max_size=30), st.none() | TEXTS)
def test_any_reference_and_name(place: Path, reference: str, name: str | None) -> None:
    with only_our_errors():
        _ = spec.from_reference(reference, name, directory=place).service_name


@given(TEXTS | st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_any_settings(place: Path, text: str) -> None:
    (place / "config.toml").write_text(text, encoding="utf-8", errors="surrogatepass")
    with only_our_errors():
        settings.load({"CLOCHE_HOME": str(place)})


@given(
    st.dictionaries(
        st.sampled_from(
            (
                "CLOCHE_GATEWAY_PORT",
                "CLOCHE_CACHE_MAX_SIZE",
                "CLOCHE_GATEWAY_REQUEST_TIMEOUT",
                "CLOCHE_GATEWAY_HOST",
            )
        ),
        st.text(max_size=12),
        max_size=3,
    )
)
def test_any_variables(variables: dict[str, str]) -> None:
    with only_our_errors():
        settings.load({"CLOCHE_HOME": "/nowhere", **variables})
