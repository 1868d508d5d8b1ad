"""The serving folder of one revision's replicas.

    models/<model>/config.pbtxt, 1/…             the repository, byte for byte
    models/<model>/environment                   → the model's locked environment
    models/<model>/triton_python_backend_stub    → the stub of that environment's Python
    libraries/libpython3.10.so.1.0               → the libpython of that environment's Python

A model asks for its environment with `EXECUTION_ENV_PATH` set to
`$$TRITON_MODEL_DIRECTORY/environment`: the same bytes work wherever such a folder is put beside
them. Files are hard links if the file system allows it, so that the store may drop its own name of
a file while a replica uses it. Files that a model writes beside its own never reach the store.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche.environments import interpreters
from cloche.errors import ClocheError
from cloche.model_config.names import CONFIG, ENVIRONMENT, OWN_ENVIRONMENT
from cloche.servers.triton import backend_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.servers.triton.installation import TritonInstallation

MODELS = "models"
LIBRARIES = "libraries"
_ENVIRONMENT_ARCHIVE = re.compile(rb"\bEXECUTION_ENV_PATH\b[^}]*\.(tar|tgz|zip)", re.DOTALL)
_ASKS_FOR_IT = OWN_ENVIRONMENT.encode()


def lay_out(
    destination: Path,
    tree: Path,
    *,
    models: Iterable[str],
    environment: Path | None,
    installation: TritonInstallation,
) -> Path:
    """Make the serving folder at `destination` from the repository at `tree`, and return it.

    `environment` is the virtual environment that models may ask for. Replaces a folder at
    `destination`. Raises ClocheError: `server.triton.model`, `.environment`,
    `.stub`, `.disk`.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
        try:
            (temporary / MODELS).mkdir()
            (temporary / LIBRARIES).mkdir()
            for model in models:
                given = _lay_out_model(temporary / MODELS / model, tree / model, environment)
                if given:
                    _fit_interpreter(temporary, model, installation)
            temporary.chmod(0o755)
            if destination.exists():
                shutil.rmtree(destination)
            temporary.rename(destination)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        full = error.errno in files.FULL
        raise ClocheError(
            "server.triton.disk",
            f"Cannot make the serving folder: {error.strerror or error}.",
            where=str(error.filename or destination),
            hint="Free some space on this disk." if full else None,
            retriable=full,
        ) from error
    return destination


def asks_for_environment(model: Path) -> bool:
    """Return whether a model asks for the environment of its lock, and does not bring its own."""
    configuration = model / CONFIG
    asks = configuration.is_file() and _ASKS_FOR_IT in configuration.read_bytes()
    return asks and not (model / ENVIRONMENT).exists()


def unpacks_environment(serving: Path) -> bool:
    """Return whether a model of a serving folder brings its environment in an archive."""
    return any(
        _ENVIRONMENT_ARCHIVE.search(configuration.read_bytes())
        for configuration in (serving / MODELS).glob(f"*/{CONFIG}")
    )


def _lay_out_model(destination: Path, source: Path, environment: Path | None) -> bool:
    """Link one model's files; return whether the model got an environment that it asks for."""
    if not source.is_dir():
        raise ClocheError(
            "server.triton.model",
            f"The model repository has no folder for the model {source.name}.",
            where=str(source.parent),
        )
    _link_tree(source, destination)
    if not asks_for_environment(source):
        return False
    if environment is None:
        raise ClocheError(
            "server.triton.environment",
            f"The model {source.name} asks for an environment, but none was made for it.",
            where=str(source / CONFIG),
            hint="Deploy the model from its source, so that Cloche locks and makes its"
            " environment.",
        )
    (destination / ENVIRONMENT).symlink_to(environment.absolute())
    return True


def _fit_interpreter(folder: Path, model: str, installation: TritonInstallation) -> None:
    """Link the stub and the libpython of a model's environment."""
    interpreter = _interpreter(folder / MODELS / model / ENVIRONMENT)
    stub = folder / MODELS / model / backend_folder.STUB
    stub.symlink_to(installation.stub(interpreter.minor))
    for name in backend_folder.library_names(interpreter.minor):
        link = folder / LIBRARIES / name
        link.unlink(missing_ok=True)
        link.symlink_to(interpreter.library)


def _interpreter(environment: Path) -> interpreters.Interpreter:
    interpreter = interpreters.probe(environment / "bin" / "python")
    if interpreter is None:
        raise ClocheError(
            "server.triton.environment",
            "The model's environment is not on a Python 3 that Triton can embed.",
            where=str(environment),
            hint="Triton needs a CPython with a shared libpython (Debian and Ubuntu: `apt install"
            " libpython3-dev`; uv's own Pythons have one). Remove the environment's folder and"
            " deploy again.",
        )
    return interpreter


def _link_tree(source: Path, destination: Path) -> None:
    destination.mkdir()
    for entry in source.iterdir():
        target = destination / entry.name
        if entry.is_dir():
            _link_tree(entry, target)
            continue
        try:
            target.hardlink_to(entry.resolve())
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
                raise
            target.symlink_to(entry.absolute())
