"""What a model's process can reach while it is loaded for the first time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cloche.verification.reference.scripts import isolated

SCRIPT = """
import json, os, pathlib, signal, socket, sys
folder, outside, port, process = sys.argv[1:]
outside = pathlib.Path(outside)


def shares_memory():
    with open("/dev/shm/cloche-test-" + str(os.getpid()), "w") as file:
        os.remove(file.name)


attempts = {
    "write in its folder": lambda: pathlib.Path(folder, "x").write_text("x"),
    "write to /dev/null": lambda: open("/dev/null", "w").close(),
    "share memory": shares_memory,
    "read a file": lambda: (outside / "kept").read_text(),
    "write elsewhere": lambda: (outside / "new").write_text("x"),
    "change a file": lambda: (outside / "kept").write_text("x"),
    "cut a file": lambda: os.truncate(outside / "kept", 0),
    "remove a file": lambda: (outside / "kept").unlink(),
    "move a file": lambda: (outside / "kept").rename(outside / "moved"),
    "make a folder": lambda: (outside / "folder").mkdir(),
    "connect": lambda: socket.create_connection(("127.0.0.1", int(port)), 5).close(),
    "send a signal": lambda: os.kill(int(process), 0),
}
done = {}
for name, attempt in attempts.items():
    try:
        attempt()
        done[name] = True
    except OSError:
        done[name] = False
print(json.dumps(done))
"""


def _is_supported() -> bool:
    """Whether the kernel here restricts a process that gives up its rights."""
    tried = (
        f"import sys; sys.path.insert(0, {str(Path(isolated.__file__).parent)!r}); import isolated"
    )
    tried += "; sys.exit(not (isolated.close_network() and isolated.close_files('/tmp')))"
    return subprocess.run([sys.executable, "-c", tried], check=False).returncode == 0


def test_a_model_changes_nothing_and_reaches_nobody(tmp_path: Path) -> None:
    if not _is_supported():
        pytest.skip("needs a kernel with Landlock and network namespaces for this user")
    import socket

    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(["sleep", "60"]) as other,
    ):
        port = server.getsockname()[1]
        argv = [sys.executable, isolated.__file__, folder, script, folder, outside, port, other.pid]
        run = subprocess.run(map(str, argv), check=True, capture_output=True, text=True)
        other.kill()
    done = json.loads(run.stdout)
    allowed = {name for name, worked in done.items() if worked}
    assert allowed == {
        "write in its folder", "write to /dev/null", "share memory", "read a file",
    }  # fmt: skip
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"
