"""A spec that is written reads back the same; the published schema says the same as the code."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cloche import spec
from cloche.spec import ServiceSpec
from cloche.spec.schema import json_schema, schema_text

ROOT = Path(__file__).resolve().parents[2]

durations = st.builds("{}{}".format, st.integers(1, 10_000), st.sampled_from(["us", "ms", "s"]))
sizes = st.builds("{}{}".format, st.integers(2, 9_999), st.sampled_from(["Mi", "Gi", "MB", "GiB"]))
lines = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1)


def written(**keys: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=keys)


specs = st.builds(
    ServiceSpec.model_validate,
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
            "model": lines.filter(lambda text: text.isprintable() and bool(text.strip())),
        },
        optional={
            "batching": written(
                max_batch_size=st.integers(64, 4096),
                max_queue_delay=durations,
                preferred_batch_sizes=st.lists(st.integers(1, 64), max_size=4),
                max_queue_size=st.integers(1, 4096),
                queue_timeout=durations,
            ),
            "example": st.sampled_from(["./example.json", "rows 1.csv", "/e: x.npy", "1.5"]),
            "inputs": st.dictionaries(
                lines.filter(lambda text: text.isprintable() and bool(text.strip())),
                st.fixed_dictionaries(
                    {
                        "shape": st.lists(
                            st.sampled_from([-1, 3, "batch", "n", "null", "true", "_1"]), max_size=4
                        ),
                        "datatype": st.sampled_from(["FP32", "INT64", "BYTES"]),
                    }
                ),
                max_size=2,
            ),
            "instances": st.integers(1, 16),
            "resources": written(cpu=st.floats(0.01, 64), memory=sizes),
            "replicas": st.integers(1, 9),
            "runtime": st.sampled_from(["process", "container"]),
            "server": written(
                parameters=st.dictionaries(
                    st.from_regex(r"[a-z._]{1,9}", fullmatch=True),
                    lines.filter(str.isprintable),
                    max_size=3,
                ),
                warmup=st.booleans(),
                graph_optimization=st.sampled_from(["all", "extended", "basic", "none"]),
            ),
        },
    ),
)


@settings(max_examples=200, deadline=None)
@given(specs)
def test_what_is_written_reads_back_the_same(made: ServiceSpec) -> None:
    text = spec.to_yaml(made, schema_url="docs/cloche.schema.json")
    again = spec.parse(text)
    assert again == made
    assert again.served() == made.served()
    assert spec.to_yaml(again, schema_url="docs/cloche.schema.json") == text
    assert text.startswith("# yaml-language-server: $schema=docs/cloche.schema.json\nname: ")


def test_a_file_for_a_reference_alone() -> None:
    text = spec.to_yaml(spec.from_reference("models:/digits@champion"))
    assert text.startswith("name: digits\nmodel: models:/digits@champion\n#")
    assert spec.parse(text) == spec.from_reference("models:/digits@champion", "digits")
    uncommented = "".join(
        line.removeprefix("# ") for line in text.splitlines(keepends=True) if "chosen" not in line
    )
    assert spec.parse(uncommented).batching.max_queue_delay == 1_000


def test_the_published_schema_is_up_to_date() -> None:
    published = (ROOT / "docs" / "cloche.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "run: python -m cloche.spec > docs/cloche.schema.json"


def test_the_schema_knows_every_key() -> None:
    schema = json_schema()
    keys = {field.alias or name for name, field in ServiceSpec.model_fields.items()}
    assert set(schema["properties"]) == keys
    assert schema["required"] == ["model"]
    for section in ("batching", "resources", "server"):
        definition = schema["$defs"][section.capitalize()]
        fields = ServiceSpec.model_fields[section].annotation
        assert set(definition["properties"]) == set(fields.model_fields)  # type: ignore[union-attr]
        assert all(field.get("description") for field in definition["properties"].values())
        assert definition["additionalProperties"] is False
