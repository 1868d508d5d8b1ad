"""One fault, under counted load."""

from __future__ import annotations

import itertools
import json
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, TypedDict

import psutil

from bench.faults.giving_up import give_up
from bench.faults.matrix import HANG, TURN
from cloche.clients.control.record import read_record
from cloche.targets.local import processes

if TYPE_CHECKING:
    from bench.faults.matrix import Fault, Hit
    from fixtures.command_line import User

_CLIENTS = 4
_BEFORE = 3.0
_AFTER = 12.0
_LONGEST = 90.0
_PAUSE = 0.002
_REPLICAS = 2
_LIMIT = 6.0
"""Seconds that a request may take."""
_CONFIGURATION = """
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [1] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [1] }]
"""
_MODEL = f"""
import time
import triton_python_backend_utils as utils


class TritonPythonModel:
    off = 0

    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            if x[0] == {HANG}:
                time.sleep(3600)
            if x[0] == {TURN}:
                self.off = 5
            y = (2 * x + self.off).astype("f4")
            answers.append(utils.InferenceResponse([utils.Tensor("y", y)]))
        return answers
"""


class Measured(TypedDict):
    """What a fault cost."""

    fault: str
    answered: int
    lost: int
    wrong: int
    silence: float
    """Longest time in seconds in which no client got a right answer."""
    whole: float | None
    """Seconds until all that was wanted ran again; None if it did not within the limit."""


class Scene:
    """A service that faults happen to."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._number = 0

    def measure(self, fault: Fault) -> Measured:
        """Deploy a service, let a fault happen under load, and return what it cost."""
        self._number += 1
        name = f"faults-{self._number}"
        self._deploy(name)
        self._until_whole(name, _LONGEST)
        clients = Clients(self._user.address, name)
        with clients:
            time.sleep(_BEFORE)
            deploying = self._begin_version(name) if fault.deploys else None
            began = time.monotonic()
            for victim, number in [(self._victim(name, hit), hit.number) for hit in fault.hits]:
                victim.send_signal(number)
            if fault.poison is not None:
                before = self._replicas(name)
                clients.poison(fault.poison)
                self._until_replaced(name, before)
            give_up(self._user.address, name, fault.given_up)
            over = time.monotonic() if fault.given_up else began
            time.sleep(1.0)  # what happened is seen by then
            whole = self._until_whole(name, _LONGEST, since=over)
            time.sleep(max(0.0, _AFTER - (time.monotonic() - began)))
        if deploying is not None:
            deploying.communicate(timeout=_LONGEST)
        self._user.run("delete", name, "--yes").expect(0)
        return Measured(
            fault=fault.name, answered=clients.answered, lost=clients.lost, wrong=clients.wrong,
            silence=round(clients.silence(began), 2),
            whole=None if whole is None else round(whole, 2),
        )  # fmt: skip

    def _deploy(self, name: str, version: int = 1) -> None:
        folder = self._user.folder / name
        (folder / "1").mkdir(parents=True, exist_ok=True)
        (folder / "config.pbtxt").write_text(f'name: "{name}"\n{_CONFIGURATION}')
        (folder / "1" / "model.py").write_text(f"# version {version}\n{_MODEL}")
        given = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}
        expected = {"name": "y", "shape": [1], "datatype": "FP32", "data": [2]}
        example = self._user.folder / f"{name}.json"
        example.write_text(json.dumps({"inputs": [given], "outputs": [expected]}))
        spec = {
            "name": name, "model": f"./{name}", "replicas": _REPLICAS,
            "example": example.name, "timeout": f"{_LIMIT:g}s",
        }  # fmt: skip
        (self._user.folder / f"{name}.yaml").write_text(json.dumps(spec))
        if version == 1:
            self._user.run("deploy", "-f", f"{name}.yaml").expect(0)

    def _begin_version(self, name: str):
        self._deploy(name, version=2)
        process = self._user.begin("deploy", "-f", f"{name}.yaml", "--json")
        time.sleep(1.0)
        return process

    def _victim(self, name: str, hit: Hit) -> psutil.Process:
        """Return the process that is hit: of this run's home alone, by its marker."""
        home = self._user.home
        if hit.whom == "control":
            record = read_record(home)
            assert record is not None
            return psutil.Process(record.pid)
        if hit.whom == "keeper":
            keeper = self._user.keeper()
            assert keeper is not None
            return keeper
        wanted = hit.whom if hit.whom.startswith("gateway") else f"{name}-r1-0"
        found = processes.find(home)
        (leader,) = [each.pid for each in found if each.leads and each.marker.name == wanted]
        if hit.whom == "model":
            return psutil.Process(leader).children()[0]
        return psutil.Process(leader)

    def _replicas(self, name: str) -> set[int | None]:
        with self._user.control() as control:
            return {each["pid"] for each in control.service(name)["replicas"]["items"]}

    def _until_replaced(self, name: str, before: set[int | None]) -> None:
        """Wait until a replica is another process: until then nobody has noticed a thing."""
        deadline = time.monotonic() + _LONGEST
        while self._replicas(name) == before and time.monotonic() < deadline:
            time.sleep(0.1)

    def _until_whole(self, name: str, limit: float, since: float | None = None) -> float | None:
        """Return the seconds until all wanted replicas and a control plane run; None if never."""
        since = time.monotonic() if since is None else since
        while time.monotonic() - since < limit:
            if self._is_whole(name):
                return time.monotonic() - since
            time.sleep(0.1)
        return None

    def _is_whole(self, name: str) -> bool:
        record = read_record(self._user.home)
        if record is None or psutil.Process(record.pid).status() == psutil.STATUS_STOPPED:
            return False
        try:
            with self._user.control() as control:
                status, gateway = control.service(name), control.status()["gateway"]
        except Exception:  # noqa: BLE001 - it is not there yet
            return False
        items = [each for each in status["replicas"]["items"] if each["detail"] is None]
        stopped = [p for p in processes.find(self._user.home) if _is_stopped(p.pid)]
        return bool(
            all(each["phase"] == "ready" for each in gateway["processes"])
            and status["rollout"] is None
            and status["replicas"]["ready"] == _REPLICAS == len(items)
            and not stopped
        )


def _is_stopped(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


class Clients:
    """Clients that each send their next request after the last answer."""

    def __init__(self, address: str, model: str) -> None:
        self._url = f"http://{address}/v2/models/{model}/infer"
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._right_at: list[float] = []
        self.lost = self.wrong = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(_CLIENTS)]

    @property
    def answered(self) -> int:
        """How many right answers came."""
        return len(self._right_at)

    def silence(self, since: float) -> float:
        """Return the longest time without a right answer that ended after a moment."""
        times = sorted(self._right_at)
        gaps = [b - a for a, b in itertools.pairwise(times) if b > since]
        return max(gaps, default=0.0)

    def poison(self, value: float) -> None:
        """Send one request of which no client of the count has the answer."""
        threading.Thread(target=self._ask, args=(value,), daemon=True).start()

    def _run(self) -> None:
        while not self._over.wait(_PAUSE):
            answer = self._ask(1.0)
            with self._lock:
                if answer is None:
                    self.lost += 1
                elif answer == 2.0:
                    self._right_at.append(time.monotonic())
                else:
                    self.wrong += 1

    def _ask(self, value: float) -> float | None:
        given = {"name": "x", "shape": [1], "datatype": "FP32", "data": [value]}
        body = json.dumps({"inputs": [given]}).encode()
        try:
            with urllib.request.urlopen(self._url, body, timeout=_LIMIT + 5) as answer:
                return float(json.loads(answer.read())["outputs"][0]["data"][0])
        except (urllib.error.URLError, OSError):
            return None

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_LIMIT + 10)
