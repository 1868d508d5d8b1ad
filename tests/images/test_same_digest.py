"""The same inputs give the same digest: another user, home, umask, time zone, folder and year."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import tiny_base

from formats.onnx_models import mlp

YEARS = 40 * 365 * 86400
BUILD = f"""
import os, sys, time
from pathlib import Path

if os.environ.get("LATE"):
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + {YEARS}
    time.time_ns = lambda: now_ns() + {YEARS} * 10**9
os.umask(int(os.environ["MASK"], 8))

from cloche import pipeline, settings, spec
from cloche.images import platforms
from cloche.images.bases import base
from cloche.pipeline.image import write_image
from cloche.progress import SilentProgress

def build(folder):
    os.chdir(folder)
    os.environ["CLOCHE_HOME"] = str(folder / "home")
    here, silent = settings.load(os.environ), SilentProgress()
    deployment = pipeline.prepare(
        spec.from_reference("scores.onnx", None, directory=folder),
        directory=folder, settings=here, progress=silent, run_model=False,
    )
    found = base.read("./base", platforms.parse("linux/amd64"))
    outputs = [folder / "out", folder / "out.tar"]
    return [
        write_image(deployment, [found], path, settings=here, progress=silent).digest
        for path in outputs
    ]

*before, folder = map(Path, sys.argv[1:])
for each in before:
    build(each)
if before:  # all modules are loaded, which another user may not be able to read
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(build(folder))
"""
PLACES = {
    "plain": {"MASK": "022", "TZ": "UTC", "HOME": "/root"},
    "late": {"MASK": "022", "TZ": "UTC", "HOME": "/root", "LATE": "1"},
    "strange": {"MASK": "077", "TZ": "Asia/Kathmandu", "HOME": "/nowhere", "LANG": "tr_TR.UTF-8"},
}


def built(variables: dict[str, str], *folders: Path) -> tuple[str, str, bytes]:
    """Build in each folder; return what the last one printed, its index and its archive."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, *folders], capture_output=True, text=True, cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = folders[-1] / "out"
    return done.stdout, (out / "index.json").read_text(), out.with_suffix(".tar").read_bytes()


def place(folder: Path, age: int = 0) -> Path:
    """Put the same model and the same base into a folder; files have other times."""
    folder.mkdir()
    onnx.save(mlp(), folder / "scores.onnx")
    tiny_base.layout(folder / "base")
    os.utime(folder / "scores.onnx", (age * 10**8, age * 10**8))
    return folder


def test_the_digest_is_the_same_everywhere(tmp_path):
    results = [
        built(given, place(tmp_path / (name * (number + 1)), number))
        for number, (name, given) in enumerate(PLACES.items())
    ]
    assert results[0][0].count("sha256:") == 2
    assert all(result == results[0] for result in results)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_the_digest_is_that_of_any_user(tmp_path):
    folder = Path("/var/tmp") / f"cloche-{os.getpid()}"
    try:
        theirs = place(folder)
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, 65534, 65534)
            path.chmod(0o700 if path.is_dir() else 0o600)
        expected = built(PLACES["plain"], place(tmp_path / "ours"))
        assert built(PLACES["strange"], place(tmp_path / "before"), theirs) == expected
        assert (theirs / "out.tar").stat().st_uid == 65534
    finally:
        shutil.rmtree(folder, ignore_errors=True)
