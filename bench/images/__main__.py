"""`python -m bench.images`: from a model on disk to an image in a registry, beside other builders.

Compared are `buildah bud` and push, `docker build` and push, and, as a floor, copying the bytes
with their digest. All push to one registry of loopback, on Cloche's own base, which is there and
which each builder has. Cloche resolved and inspected the model before, as `cloche plan` does; what
it knows of layers is forgotten before each first build.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.images import model as models
from bench.images import places
from bench.images.contenders import Bench
from bench.images.report import document
from bench.processes import end_with_cleaning

_MB = 10**6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.images", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=1000, help="of the model, in ten files")
    parser.add_argument(
        "--large", type=int, default=10_000, help="MB of the model for memory; 0: none"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/images"))
    arguments = parser.parse_args()
    for program in ("buildah", "docker", "dockerd", "go"):
        if shutil.which(program) is None:
            raise SystemExit(f"needs {program}: apt-get install buildah docker.io golang")
    end_with_cleaning()
    # First, since the rounds fill the disk.
    large = _large(arguments.large) if arguments.large else None
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        registry = stack.enter_context(places.registry(folder))
        docker = stack.enter_context(places.docker(folder))
        home = folder / "home"
        base = f"{registry.host}/base:1"
        _cloche(home, "image", "base", "--push", "--tag", base)
        bench = Bench(folder, registry, docker, base)
        figures: dict[str, Any] = {
            "megabytes": arguments.megabytes,
            "large": large,
            "rounds": [
                _round(bench, home, number, arguments.megabytes)
                for number in range(arguments.rounds)
            ],
        }
    text = document(figures)
    print(text)
    arguments.out.with_suffix(".md").write_text(text)
    arguments.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


def _round(bench: Bench, home: Path, number: int, megabytes: int) -> dict[str, Any]:
    """Measure a first version, the same command again, and one with one file of ten changed."""
    model = models.write(bench.folder / "model", 10, megabytes * _MB // 10)
    found: dict[str, Any] = {"floor": bench.floor(model)}
    _cloche(home, "plan", str(model))
    builders = {
        "cloche": lambda tag: bench.cloche(model, tag, home=home),
        "buildah": lambda tag: bench.buildah(model, tag),
        "docker": lambda tag: bench.docker_build(model, tag),
    }
    for name, build in builders.items():
        found[name] = {"first": asdict(build(f"{number}-first"))}
        found[name]["same"] = asdict(build(f"{number}-first"))
    found["changed"] = models.change(model, 3)
    _cloche(home, "plan", str(model))
    for name, build in builders.items():
        found[name]["changed"] = asdict(build(f"{number}-changed"))
    print(json.dumps(found), flush=True)
    return found


def _large(megabytes: int) -> dict[str, Any]:
    """Measure the memory of a build of a large model, with a registry of its own."""
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        registry = stack.enter_context(places.registry(folder))
        base, home = f"{registry.host}/base:1", folder / "home"
        _cloche(home, "image", "base", "--push", "--tag", base)
        model = models.write(folder / "large", 5, megabytes * _MB // 5, sparse=True)
        _cloche(home, "plan", str(model))
        measured = Bench(folder, registry, None, base).cloche(model, "large", home=home)
        return {"megabytes": megabytes, **asdict(measured)}


def _cloche(home: Path, *words: str) -> None:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "cloche", *words], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "CLOCHE_HOME": str(home)},
    )  # fmt: skip
    print(f"cloche {words[0]}: {time.monotonic() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
