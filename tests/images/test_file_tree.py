"""Folders in layers: who may run a file keeps the right, and nobody else gets it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from cloche.environments.normalization import set_modes
from cloche.images.layering.file_tree import FileTree


def test_programs_of_packages_can_be_run_in_the_image(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    (packages / "torch" / "bin").mkdir(parents=True)
    program, module = packages / "torch" / "bin" / "manager", packages / "torch" / "version.py"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o700)
    module.write_bytes(b"")
    module.chmod(0o600)
    set_modes(packages)
    tree = FileTree()
    tree.add_folder("opt/packages", packages, lambda _: True)
    with tarfile.open(fileobj=io.BytesIO(b"".join(tree.stream()))) as layer:
        modes = {member.name: member.mode for member in layer.getmembers() if member.isreg()}
    assert modes == {
        "opt/packages/torch/bin/manager": 0o755, "opt/packages/torch/version.py": 0o644,
    }  # fmt: skip
