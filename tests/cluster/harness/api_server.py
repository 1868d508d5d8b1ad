"""An API server alone: etcd and kube-apiserver on loopback, for tests that need no node."""

from __future__ import annotations

import shutil
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.harness import processes
from cluster.harness.control_plane import Addresses, ControlPlane
from cluster.harness.errors import HarnessError, MissingError
from cluster.harness.programs import Programs

LOOPBACK = "127.0.0.1"
_TRIES = 3
# There are no controllers, so no namespace gets the service account that a pod would need; and
# an endpoint of `kubernetes` may not be on loopback.
_ALONE = ("--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none")


class ApiServer(ControlPlane):
    """A context manager; `kubeconfig` and `kubectl` lead to it, others may run beside it.

    Nothing acts on the objects: no pod is started, no namespace ever ends. Both programs end with
    the thread that started them, so that a killed test run leaves none.
    """

    wrapper = processes.WITH_US

    def __init__(self, programs: Programs | None = None) -> None:
        if absent := [name for name in ("openssl", "setpriv") if shutil.which(name) is None]:
            raise MissingError(f"needs {', '.join(absent)} (apt install openssl util-linux)")
        folder = Path(tempfile.mkdtemp(prefix="cloche-kubernetes-"))
        super().__init__(folder, programs or Programs(), _free())

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both, and remove all that they wrote."""
        self.kill()
        shutil.rmtree(self.folder)

    def start(self, *more: str) -> None:
        """Start it again where it was before, as after `api.stop()`."""
        super().start(*_ALONE, *more)

    def _start(self) -> None:
        """Start it; another program may take one of its ports before it does."""
        for left in reversed(range(_TRIES)):
            try:
                self.start()
                break
            except HarnessError as error:
                if left == 0 or "address already in use" not in str(error):
                    raise
                self.kill()
                self.addresses = _free()


def _free() -> Addresses:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        ports = [each.getsockname()[1] for each in sockets]
    return Addresses(LOOPBACK, *ports)
