"""One uv environment per peer, made once in a cache outside the project."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from uv import find_uv_bin


def cache() -> Path:
    """Return the folder of everything that benches install."""
    return Path(os.environ.get("CLOCHE_BENCH_CACHE", Path.home() / ".cache" / "cloche-bench"))


def home_in(folder: Path) -> Path:
    """Make a new CLOCHE_HOME; its servers are installed once for all benches."""
    home = folder / "home"
    home.mkdir()
    servers = cache() / "servers"
    servers.mkdir(parents=True, exist_ok=True)
    (home / "servers").symlink_to(servers)
    return home


def environment(requirements: Path) -> Path:
    """Return the folder of an environment with pinned requirements."""
    text = requirements.read_text()
    name = f"{requirements.parent.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder = cache() / name
    if not (folder / "complete").exists():
        uv = find_uv_bin()
        subprocess.run([uv, "venv", "--clear", "-q", "--python", "3.11", folder], check=True)
        python = folder / "bin" / "python"
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", python, "-r", requirements], check=True
        )
        (folder / "complete").touch()
    return folder
