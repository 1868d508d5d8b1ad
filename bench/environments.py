"""One uv environment per peer, made once in a cache outside the project."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from uv import find_uv_bin


def environment(requirements: Path) -> Path:
    """Return the folder of an environment that holds pinned requirements."""
    text = requirements.read_text()
    name = f"{requirements.parent.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    cache = Path(os.environ.get("CLOCHE_BENCH_CACHE", Path.home() / ".cache" / "cloche-bench"))
    folder = cache / name
    if not (folder / "complete").exists():
        uv = find_uv_bin()
        subprocess.run([uv, "venv", "--clear", "-q", "--python", "3.11", folder], check=True)
        python = folder / "bin" / "python"
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", python, "-r", requirements], check=True
        )
        (folder / "complete").touch()
    return folder
