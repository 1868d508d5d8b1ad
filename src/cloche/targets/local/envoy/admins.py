"""The admin interfaces of all processes of a gateway, asked as if they were one.

What is said of the gateway holds in each process that runs. One that does not answer takes no part:
it reads the files when it starts, or goes on.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.targets.local.envoy.admin import Admin, Host
    from cloche.targets.local.envoy.statistics import Counts, Key

T = TypeVar("T")


class Admins:
    """The admin interfaces of one gateway; calls raise UnavailableError if no process answers."""

    def __init__(self, each: Sequence[Admin]) -> None:
        self._each = tuple(each)

    def running(self) -> bool:
        """Return whether a process answers, even while it starts."""
        return any(admin.running() for admin in self._each)

    def processes(self) -> tuple[int, ...]:
        """Return the pids of the processes that answer."""
        found = (admin.process() for admin in self._each)
        return tuple(pid for pid in found if pid is not None)

    def route_tables(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the version and the metadata of each route table that all processes use."""
        first, *others = self._ask(lambda admin: admin.route_tables())
        return {
            name: (version, table)
            for name, (version, table) in first.items()
            if all(name in other and other[name][0] == version for other in others)
        }

    def clusters_versions(self) -> frozenset[str]:
        """Return the versions of the files of clusters that were last taken whole."""
        versions = self._ask(lambda admin: admin.clusters_version())
        return frozenset(version for version in versions if version is not None)

    def clusters(self) -> frozenset[str]:
        """Return the names of the clusters that can take requests in all processes."""
        return frozenset.intersection(*self._ask(lambda admin: admin.clusters()))

    def hosts(self) -> tuple[Host, ...]:
        """Return all endpoints of all clusters, each as often as there are processes."""
        return tuple(host for hosts in self._ask(lambda admin: admin.hosts()) for host in hosts)

    def healthy_clusters(self) -> frozenset[str]:
        """Return the names of the clusters that have a healthy endpoint in all processes."""
        return frozenset.intersection(
            *(
                frozenset(host.cluster for host in hosts if host.healthy)
                for hosts in self._ask(lambda admin: admin.hosts())
            )
        )

    def counts(self) -> dict[int, dict[Key, Counts]]:
        """Return what each process has counted since it started, by its pid."""
        found = self._ask(lambda admin: (admin.process(), admin.counts()))
        return {pid: counts for pid, counts in found if pid is not None}

    def _ask(self, question: Callable[[Admin], T]) -> list[T]:
        """Return the answer of each process that runs; there is at least one.

        All are asked at once: each may take a while, as it reads what was just written.
        """

        def answer(admin: Admin) -> T | UnavailableError:
            try:
                return question(admin)
            except UnavailableError as error:
                if admin.running():
                    raise
                return error

        with ThreadPoolExecutor(max(1, len(self._each))) as threads:
            found = list(threads.map(answer, self._each))
        answers = [each for each in found if not isinstance(each, UnavailableError)]
        if not answers:
            silent = (each for each in found if isinstance(each, UnavailableError))
            raise next(silent, UnavailableError("gateway.admin", "The gateway has no process."))
        return answers
