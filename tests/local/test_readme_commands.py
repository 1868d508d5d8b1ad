"""Every command of the READMEs, run as it is written, by a `cloche` that is installed as they say.

The English and the Chinese README show the same commands (tests/docs holds them together). MLflow,
Triton and Envoy are real; what the commands name (model.onnx, the models in the registry) is made
before.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from cloche import settings as machine
from cloche.demo import ending, registry
from cloche.demo.places import Places
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.targets.local import ports
from fixtures.cache import cache_folder
from fixtures.local import end_all, until

ROOT = Path(__file__).parents[2]
TRACKING_URI = "http://127.0.0.1:5000"
SCORES = """
backend: "onnxruntime"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [2] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [2] }]
"""


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def doubling() -> onnx.ModelProto:
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"
    ]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "m", *[[t] for t in tensors]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home whose servers and environments are those of the tests' cache."""
    folder = Path(tempfile.mkdtemp(prefix="cloche-readme-"))
    for name in ("servers", "environments"):
        (cache_folder() / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(cache_folder() / name)
    yield folder
    end_all(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def registered(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An MLflow server in which digits (champion) and wine are registered, and its folder."""
    settings = machine.load({"CLOCHE_HOME": str(home)})
    inner = replace(settings, home=tmp_path_factory.mktemp("registry"))
    places = replace(Places(settings, inner), mlflow_port=ports.choose(1)[0])
    places.registry.mkdir()
    try:
        python = registry.environment(places, SilentProgress())
    except ClocheError as error:
        pytest.skip(f"needs MLflow from the package index: {error.what}")
    server = registry.start_server(python, places)
    try:
        training = registry.start_training(python, places)
        with training:
            training.communicate(timeout=240)
        assert training.returncode == 0, (places.registry / "training.log").read_text()
        script = Path(__file__).with_name("register_readme_models.py")
        subprocess.run(
            [python, script, places.tracking_uri, places.registry],
            check=True, timeout=240, capture_output=True, cwd=places.registry,
        )  # fmt: skip
        yield places.tracking_uri, places.registry
    finally:
        ending.end_tree(server.pid)
        server.wait(20)


@pytest.fixture(scope="module")
def work(registered: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the commands run in, with the files that they name."""
    folder = tmp_path_factory.mktemp("work")
    onnx.save(doubling(), folder / "model.onnx")
    version = folder / "repository" / "scores" / "1"
    version.mkdir(parents=True)
    onnx.save(doubling(), version / "model.onnx")
    (version.parent / "config.pbtxt").write_text(SCORES)
    for name in ("wine.csv", "digits.json"):
        shutil.copy(registered[1] / name, folder)
    return folder


@pytest.mark.timeout(600)
def test_a_demo_that_is_kept_runs_until_it_is_ended(home: Path) -> None:
    import uv

    programs = [Path(uv.find_uv_bin()).parent, Path(sys.executable).parent]
    environment = {
        **os.environ,
        "CLOCHE_HOME": str(home),
        "CLOCHE_GATEWAY_PORT": str(ports.choose(1)[0]),
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "NO_COLOR": "1",
    }
    try:
        said = bash("make demo ARGS=--keep", ROOT, environment)
        assert_nothing_lost(said)
        # With the settings of the reader's own shell, where the report is read.
        environment.pop("CLOCHE_GATEWAY_PORT")
        found = re.search(r"Try:\n((?:  .+\n)+)End it with: (.+)", said)
        assert found, said
        said = bash(found[1], ROOT, environment)
        assert re.search(r"digits +1 +live +1/1 ", said), said
        assert "curl" in said
        assert "passed (example" in said
        assert "digits: nothing would change." in said
        assert "digits revision 2 is live, rolled back from revision 1." in said
        said = bash(found[2], ROOT, environment)
        assert "Ended replica digits-r2-0." in said
        assert "Ended MLflow" in said
    finally:
        said = bash("cloche demo --stop", ROOT, environment)
    assert "No demo was running." in said


@pytest.mark.timeout(900)
def test_the_commands_of_the_readme(home: Path, work: Path, registered: tuple[str, Path]):
    demo, install, *rest = commands()
    assert demo == "make demo\n"
    assert install == "uv tool install .\n"
    tools = home / "tools"
    environment = {
        **os.environ,
        "CLOCHE_HOME": str(home),
        "CLOCHE_GATEWAY_PORT": str(ports.choose(1)[0]),
        "UV_TOOL_DIR": str(tools),
        "UV_TOOL_BIN_DIR": str(tools / "bin"),
        "NO_COLOR": "1",
    }
    environment.pop("VIRTUAL_ENV", None)
    import uv

    before = f"{Path(uv.find_uv_bin()).parent}{os.pathsep}{environment['PATH']}"
    said = bash(demo, ROOT, environment | {"PATH": before})
    assert re.search(r"HTTP +450 +98\.\d%", said), said
    assert_nothing_lost(said)
    assert not (home / "demo" / "mlflow" / "process.json").exists()
    bash(install, ROOT, environment | {"PATH": before})

    script = "\n".join(rest).replace(TRACKING_URI, registered[0])
    said = bash(script, work, environment | {"PATH": f"{tools / 'bin'}:/usr/bin:/bin"})
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
    until(lambda: not (home / "control.json").exists())


def assert_nothing_lost(said: str) -> None:
    """The demo's second version and the way back: both revisions answered, no request was lost."""
    counts = re.search(r"answered  (\d+) by revision 1, (\d+) by revision 2 .*\nlost +0\n", said)
    assert counts, said
    assert int(counts[1]) > 0
    assert int(counts[2]) > 0


def bash(script: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-exc", script], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
