"""What a program in a sandbox reaches: each wall alone, and all of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloche.sandbox import Walls, surroundings, trial
from fixtures.kernels import lacking

CODE = """
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
    "read of the system": lambda: open("/etc/hosts").read(),
    "read a file": lambda: (outside / "kept").read_text(),
    "write elsewhere": lambda: (outside / "new").write_text("x"),
    "change a file": lambda: (outside / "kept").write_text("x"),
    "cut a file": lambda: os.truncate(outside / "kept", 0),
    "remove a file": lambda: (outside / "kept").unlink(),
    "move a file": lambda: (outside / "kept").rename(outside / "moved"),
    "make a folder": lambda: (outside / "folder").mkdir(),
    "make a device": lambda: os.mknod(pathlib.Path(folder, "disk"), 0o60600, os.makedev(254, 0)),
    "connect": lambda: socket.create_connection(("127.0.0.1", int(port)), 5).close(),
    "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
        b"x", ("127.0.0.1", int(port))),
    "name a thread": lambda: open("/proc/self/comm", "w").write("x"),
    "change the kernel": lambda: open("/proc/sys/kernel/core_pattern", "r+").close(),
    "talk to itself": lambda: (lambda pair: pair[0].send(b"x"))(socket.socketpair()),
    "send a signal": lambda: os.kill(int(process), 0),
    "look at a process": lambda: open("/proc/" + process + "/environ").read(),
}
done = []
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError:
        continue
    done.append(name)
print(json.dumps(done))
"""
NEEDED = {
    "write in its folder", "write to /dev/null", "share memory", "read of the system",
    "name a thread", "talk to itself",
}  # fmt: skip
"""A GPU is reached only by programs that may name threads: CUDA does."""
NETWORK = {"connect", "send a datagram"}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a program, and one that is not its own."""
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    return folder, outside


def around(folder: Path, *, network: bool, hide: bool = True) -> Walls:
    """Return walls that leave a folder."""
    made = surroundings.walls(
        os.environ, folder, read=surroundings.python(Path(sys.executable)), network=network
    )
    return replace(made, open=str(folder / "open"), hide=made.hide if hide else {})


def reached(walls: Walls, folders: tuple[Path, Path]) -> set[str]:
    """Return what a program in a sandbox could do."""
    folder, outside = folders
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(["sleep", "60"]) as other,
    ):
        given = (folder, outside, server.getsockname()[1], other.pid)
        command = walls.around(sys.executable, "-I", "-S", "-c", CODE, *map(str, given))
        try:
            run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        finally:
            other.kill()
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("hide", [True, False])
@pytest.mark.parametrize("network", [True, False])
def test_a_program_sees_nothing_of_the_user(
    folders: tuple[Path, Path], *, network: bool, hide: bool
) -> None:
    held = trial.held()
    if not held.files or (not network and not held.network):
        pytest.skip("needs a kernel with Landlock, and one that closes the network")
    done = reached(around(folders[0], network=network, hide=hide), folders)
    assert done == NEEDED | (NETWORK if network else set())
    assert [path.name for path in folders[1].iterdir()] == ["kept"]
    assert (folders[1] / "kept").read_text() == "kept"
    expected = ["sockets"] if hide and not held.sockets else []
    assert json.loads((folders[0] / "open").read_text()) == expected


@pytest.mark.parametrize("hide", [True, False])
def test_a_child_names_threads_where_it_changes_nothing_else(folders, *, hide: bool) -> None:
    held = trial.held()
    if not held.files:
        pytest.skip("needs a kernel with Landlock")
    command = around(folders[0], network=True, hide=hide).around(
        "/bin/sh", "-c", "sh -c 'echo x > /proc/$$/comm'; true"
    )
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    changes = os.access("/proc/sys/kernel/core_pattern", os.W_OK)
    is_open = not changes or (hide and held.sockets)
    assert ("denied" in run.stderr) is not is_open, run.stderr


def test_without_namespaces_a_filter_closes_the_network(folders, tmp_path, monkeypatch) -> None:
    if not trial.held().files:
        pytest.skip("needs a kernel with Landlock")
    lacking(tmp_path, monkeypatch, "libc.unshare(")
    assert reached(around(folders[0], network=False), folders) == NEEDED
    assert json.loads((folders[0] / "open").read_text()) == ["sockets"]


def test_without_landlock_the_files_are_hidden_all_the_same(folders, tmp_path, monkeypatch) -> None:
    if not trial.held().sockets:
        pytest.skip("needs namespaces of mounts for this user")
    lacking(tmp_path, monkeypatch, "libc.syscall(")
    done = reached(around(folders[0], network=True), folders)
    assert "read a file" not in done
    assert (folders[1] / "kept").read_text() == "kept"
    assert json.loads((folders[0] / "open").read_text()) == ["files"]


def test_what_has_to_be_closed_is_or_nothing_starts(folders, tmp_path, monkeypatch) -> None:
    lacking(tmp_path, monkeypatch, "libc.unshare(", "libc.prctl(")
    walls = replace(around(folders[0], network=False), needs=("network",))
    command = walls.around(sys.executable, "-c", "print('started')")
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr == "This kernel cannot close the network to it.\n"


def test_a_program_that_is_not_there_is_named(folders) -> None:
    command = around(folders[0], network=True).around("/nowhere/server")
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (1, "")
    assert "/nowhere/server cannot be started" in run.stderr
    assert "Traceback" not in run.stderr


def test_it_is_the_program_that_it_becomes(folders) -> None:
    code = "import os; print(os.getpid(), os.getppid(), os.environ['OWN'])"
    walls = replace(around(folders[0], network=True), variables={"OWN": "x"}, mask=0o077)
    command = walls.around(sys.executable, "-I", "-S", "-c", code)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.communicate(timeout=60)[0]
    assert said.split() == [str(process.pid), str(os.getpid()), "x"]


# ── what is private ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variables", "private", "shared"),
    [
        ({}, "/root", "/usr"),
        ({"HOME": "/"}, "/tmp", "/usr"),
        ({"HOME": "/usr"}, "/home", "/usr"),
        ({"HOME": "relative"}, "/home", "/usr"),
        ({"HOME": "/opt"}, "/opt", "/etc"),
        ({"CLOCHE_HOME": "/srv"}, "/srv", "/etc"),
    ],
)
def test_what_is_private_is_left_out(
    variables: dict[str, str], private: str, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path(private).is_dir():
        pytest.skip(f"this machine has no {private}")
    closed = surroundings.private(variables)
    assert Path(private) in closed
    found = surroundings.shared(closed)
    assert private not in found
    assert shared in found
    assert not {"/", "/dev", "/tmp", "/home", "/root", "/run", "/var"} & set(found)


def test_a_private_folder_in_another_place_leaves_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "home").mkdir(parents=True)
    (tmp_path / "data" / "words").touch()
    (tmp_path / "data" / "link").symlink_to("home")
    found = set(surroundings._beside(tmp_path, frozenset({tmp_path / "data" / "home"})))
    assert found == {tmp_path / "data" / "words"}


def test_the_python_of_an_environment_is_named_on_all_its_ways(tmp_path: Path) -> None:
    real = tmp_path / "pythons" / "cpython-3.11.9"
    (real / "bin").mkdir(parents=True)
    (real / "bin" / "python3.11").touch()
    (tmp_path / "pythons" / "cpython-3.11").symlink_to(real.name)
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    named = tmp_path / "pythons" / "cpython-3.11"
    (environment / "bin" / "python").symlink_to(named / "bin" / "python3.11")
    (environment / "pyvenv.cfg").write_text(f"home = {named / 'bin'}\nversion = 3.11\n")
    found = set(surroundings.python(environment / "bin" / "python"))
    assert {environment, named / "lib", real / "lib"} <= found
    assert not {tmp_path, real, named, environment / "lib"} & found
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "environment").symlink_to(environment)
    assert found <= set(surroundings.leads_out(tmp_path / "serving")) | {environment}


def test_everything_hidden_is_hidden_once() -> None:
    closed = [Path("/home"), Path("/home/a/.cloche"), Path("/tmp")]
    found = surroundings.hidden(closed, Path("/home/a/.cloche/tmp"))
    assert found["/tmp"] == "/home/a/.cloche/tmp"
    assert found["/home"] is None
    assert "/home/a/.cloche" not in found
