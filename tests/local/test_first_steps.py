"""First steps as they are written: the READMEs and the guides, run by somebody who has a clone.

They have an empty home, no uv on their PATH, the Python of the system, and no variable that names a
certificate. The English and the Chinese README show the same commands (tests/docs holds them
together). MLflow, Triton and Envoy are real; all that the commands name is in `examples/`, or made
by a command before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from reader import ROOT, Reader, a_reader

from cloche.targets.local import ports
from fixtures.hub import LocalHub
from fixtures.hub_models import text_encoder
from fixtures.local import until

GUIDES = (
    "pytorch", "onnx-file", "mlflow", "hugging-face", "scikit-learn", "finished-repository",
    "inference", "rollback", "operating",
)  # fmt: skip
"""In an order in which each finds what it needs; the last one ends everything."""
pytestmark = pytest.mark.timeout(1800)


def blocks(page: str, language: str = "sh") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with a_reader() as one:
        yield one


@pytest.fixture(scope="module")
def port() -> dict[str, str]:
    """The one thing that differs from what is written: 8080 may be taken on this machine."""
    return {"CLOCHE_GATEWAY_PORT": str(ports.choose(1)[0])}


@pytest.mark.skipif(os.geteuid() != 0, reason="making a user takes root: the tests' own user reads")
def test_the_reader_is_another_user(reader: Reader) -> None:
    assert reader.bash("id -u").strip() != "0"
    assert Path(reader.bash("pwd").strip()) == reader.clone


def test_a_demo_that_is_kept_prints_commands_that_work(
    reader: Reader, port: dict[str, str]
) -> None:
    said = reader.bash("make demo ARGS=--keep", **port)
    assert_nothing_lost(said)
    # With the settings of the reader's own shell, where the report is read.
    found = re.search(r"Try:\n((?:  .+\n)+)End it with: (.+)", said)
    assert found, said
    said = reader.bash(found[1])
    assert re.search(r"digits +1 +live +1/1 ", said), said
    assert "curl" in said
    assert "passed (reference, stored request" in said
    assert "digits: nothing would change." in said
    assert "digits revision 2 is live, rolled back from revision 1." in said
    said = reader.bash(found[2])
    assert "Ended replica digits-r2-0." in said
    assert "Ended MLflow" in said
    assert "No demo was running." in reader.bash(found[2])


def test_the_commands_of_the_readme(reader: Reader, port: dict[str, str]) -> None:
    demo, *rest = blocks("README.md")
    said = reader.bash(demo, **port)
    assert re.search(r"HTTP +450 +98\.\d%", said), said
    assert_nothing_lost(said)
    assert not (reader.home / ".cloche" / "demo" / "mlflow" / "process.json").exists()
    said = reader.bash("\n".join(rest), **port)
    assert "resnet50 revision 1 is live." in said
    assert re.search(r"CLASS +SCORE\n2 ", said), said
    assert "model revision 1 is live." in said
    assert "digits revision 1 is live." in said
    assert re.search(r"label INT64 \[2, 1\]", said), said
    assert "wine revision 1 is live." in said
    assert "scores revision 1 is live." in said
    assert "digits revision 2 is live." in said
    assert re.search(r"ROLLOUT +CAUSE +OUTCOME", said), said
    assert "digits revision 1 is live, rolled back from revision 2." in said
    assert "Nothing changed: digits is at revision 1 (live)." in said
    assert "wine is gone." in said
    assert re.search(r"image +\S+/model\.tar", said), said
    assert re.search(r"MiB\s+(what +)?Triton 24\.10", said), said
    until(lambda: not (reader.home / ".cloche" / "control.json").exists())


def test_the_commands_of_the_guides(reader: Reader, port: dict[str, str], hub: LocalHub) -> None:
    """Each guide after the other, in the folder of the examples, with `cloche` and uv installed."""
    hub.add("sentence-transformers/all-MiniLM-L6-v2", text_encoder())
    variables = {
        **port,
        "HF_ENDPOINT": hub.url,
        "UV_SYSTEM_CERTS": "true",  # for the reader's own calls of uv, which a guide shows
        "CLOCHE_HOME": str(reader.home / "guides"),
        "PATH": f"{reader.home}/.local/bin:{reader.home}/.cache/cloche-tools/bin:{os.defpath}",
    }
    # What was made before need not be downloaded, or converted, again.
    reader.bash("mkdir -p $CLOCHE_HOME && ln -s ~/.cloche/{servers,environments,store} -t "
                "$CLOCHE_HOME && rm -f examples/cloche.yaml", **variables)  # fmt: skip
    examples = reader.clone / "examples"
    said = {
        guide: "".join(
            reader.bash(block, examples, **variables, MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
            for block in _with_yes(blocks(f"docs/guides/{guide}.md"))
        )
        for guide in GUIDES
    }
    assert "resnet50 revision 1 is live." in said["pytorch"]
    assert "is served as ONNX (torch.onnx" in said["pytorch"]
    assert "model revision 1 is live." in said["onnx-file"]
    assert "digits revision 2 is live." in said["mlflow"]
    assert "chosen    onnx/model.onnx (ONNX) and 2 files of settings" in said["hugging-face"]
    assert "all-minilm-l6-v2 revision 1 is live." in said["hugging-face"]
    assert "Nothing changed: all-minilm-l6-v2" in said["hugging-face"]
    assert "wine revision 1 is live." in said["scikit-learn"]
    assert "scores revision 1 is live." in said["finished-repository"]
    assert re.findall(r"total .*\n *(.*)", said["finished-repository"]) == ["[[3.]]", "[[6.]]"]
    assert "rolled back from revision 2" in said["rollback"]
    assert "digits is gone." in said["operating"]


def _with_yes(commands: list[str]) -> list[str]:
    """Answer the question of `cloche delete`, which a person answers at a terminal."""
    return [re.sub(r"^(cloche delete \w+)", r"\1 --yes", each, flags=re.M) for each in commands]


def test_the_example_of_a_guide_is_the_file_that_it_names() -> None:
    [code] = blocks("docs/guides/scikit-learn.md", "python")
    assert (ROOT / "examples" / "train_wine.py").read_text(encoding="utf-8").endswith(code)


def assert_nothing_lost(said: str) -> None:
    """The demo's second version and the way back: both revisions answered, no request was lost."""
    counts = re.search(r"answered  (\d+) by revision 1, (\d+) by revision 2 .*\nlost +0\n", said)
    assert counts, said
    assert int(counts[1]) > 0
    assert int(counts[2]) > 0
