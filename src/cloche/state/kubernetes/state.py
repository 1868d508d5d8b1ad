"""The state on a cluster: plain objects in a namespace, seen alike from every machine.

    ConfigMap cloche-SERVICE             the record: what is declared, the latest rollouts
    ConfigMap cloche-SERVICE.history     earlier rollouts, and the attachments of revisions
    ControllerRevision cloche-SERVICE.rN a revision; its deployment is a document in the registry

The version of a record is the resourceVersion of its ConfigMap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import Attached, Revision, Rollout, ServiceRecord, Verification
from cloche.clients.kubernetes.kinds import CONFIG_MAP
from cloche.errors import StaleError
from cloche.refusals import stale_record, unknown_revision
from cloche.state.kubernetes.config_maps import ConfigMaps, corrupt, require_writable, value_in
from cloche.state.kubernetes.history import History, RolloutKey, key_of, merged
from cloche.state.kubernetes.names import Part, object_name
from cloche.state.kubernetes.objects import Body, uid_of, version_of
from cloche.state.kubernetes.revisions import Revisions
from cloche.state.state import Stored

if TYPE_CHECKING:
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.state.kubernetes.documents import Documents

RECORD = "record.json"
KEPT = 5
"""The latest rollouts, which stay in the record."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A record as it stands in its ConfigMap, and the rollouts that left it."""

    version: str
    record: ServiceRecord
    earlier: tuple[Rollout, ...]

    @property
    def stored(self) -> Stored:
        rollouts = merged(self.earlier, self.record.rollouts)
        return Stored(replace(self.record, rollouts=rollouts), self.version)


class KubernetesState:
    """Implements `cloche.state.State`; `config_maps` lists the errors, others are the client's."""

    def __init__(self, cluster: Cluster, namespace: str, documents: Documents) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._records = ConfigMaps(cluster, namespace, Part.RECORD)
        self._history = History(cluster, namespace)
        self.numbered = Revisions(cluster, namespace, documents)
        self._cache: dict[str, _Read] = {}

    def close(self) -> None:
        """Leave the connection open: it belongs to who made it."""

    # ── services ──────────────────────────────────────────────────────────────────────────────

    def services(self) -> tuple[str, ...]:
        return tuple(sorted(self._records.all()))

    def lost(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.numbered.services()).difference(self._records.all())))

    def service(self, name: str) -> Stored | None:
        body = self._records.read(name)
        return None if body is None else self._read(name, body).stored

    def require_writable(self, name: str) -> None:
        """Raise ClocheError for a record that cannot be read, or is only for a later Cloche."""
        body = self._records.read(name)
        if body is not None:
            self._read(name, body)
            require_writable(body)

    def put(self, record: ServiceRecord, *, expect: str | None) -> str:
        body = self._require_version(record.name, expect)
        if body is not None:
            record = self._shortened(record, self._read(record.name, body))
        return version_of(self._records.write(record.name, {RECORD: record}, body))

    def delete(self, name: str, *, expect: str) -> None:
        """Remove all of a service; its numbers begin again.

        The record goes last, so that a crash in between leaves a service that is being deleted. It
        is written first, so that whoever would write over what was read is told to read again.
        """
        body = self._require_version(name, expect)
        last = self._records.write(name, {}, body)
        for part in (Part.HISTORY, Part.EVENTS):
            self._cluster.delete(CONFIG_MAP, object_name(name, part), self._namespace)
        for revision in self.numbered.bodies(name).values():
            self.numbered.remove(revision)
        try:
            self._cluster.delete(
                CONFIG_MAP,
                object_name(name, Part.RECORD),
                self._namespace,
                uid=uid_of(last),
                version=version_of(last),
            )
        except StaleError as error:
            raise stale_record(name) from error

    def last_number(self, name: str) -> int:
        """Return the highest number there is, or that the record knows of."""
        stored = self.service(name)
        known = known_numbers(stored.record) if stored is not None else set()
        return max({0, *known, *self.numbered.bodies(name)})

    # ── revisions ─────────────────────────────────────────────────────────────────────────────

    def add_revision(self, revision: Revision) -> None:
        self.numbered.add(revision)

    def revisions(self, service: str) -> tuple[Revision, ...]:
        return self.numbered.all(service)

    def revision(self, service: str, number: int) -> Revision | None:
        return self.numbered.get(service, number)

    def attach(self, service: str, number: int, value: Verification) -> None:
        if self.numbered.body(service, number) is None:
            raise unknown_revision(service, number)
        self._history.attach(service, number, value)

    def attached(self, service: str, number: int) -> Attached:
        return self._history.attached(service, number)

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _require_version(self, name: str, expect: str | None) -> Body | None:
        """Return the ConfigMap of a record; raises StaleError if it is not the expected one."""
        body = self._records.read(name)
        if (version_of(body) if body is not None else None) != expect:
            raise stale_record(name)
        return body

    def _read(self, name: str, body: Body) -> _Read:
        """Return a record with what left it; cached, since it seldom changes between ticks.

        Rollouts leave with a new version of the record, so a version always reads the same.
        """
        version, cached = version_of(body), self._cache.get(name)
        if cached is not None and cached.version == version:
            return cached
        record = value_in(body, RECORD, ServiceRecord)
        if record.name != name:
            raise corrupt(body, f"key {RECORD}", f"it is the record of {record.name!r}")
        # After the record: what leaves it meanwhile is then in both, and not in neither.
        read = _Read(version, record, self._history.rollouts(name))
        self._cache[name] = read
        return read

    def _shortened(self, record: ServiceRecord, read: _Read) -> ServiceRecord:
        """Return a record without the rollouts that are in the history, or go there now."""
        latest = {key_of(rollout) for rollout in record.rollouts[-KEPT:]}
        leaving = [
            rollout
            for rollout in read.record.rollouts  # nothing leaves before it stands in the record
            if rollout.ended and key_of(rollout) not in latest
        ]
        if leaving:
            self._history.add(record.name, leaving)
        gone: set[RolloutKey] = {key_of(rollout) for rollout in (*read.earlier, *leaving)}
        rollouts = tuple(rollout for rollout in record.rollouts if key_of(rollout) not in gone)
        return replace(record, rollouts=rollouts)


def known_numbers(record: ServiceRecord) -> set[int]:
    """Return the numbers of the revisions that a record names."""
    numbers = {record.live}
    for rollout in record.rollouts:
        numbers |= {rollout.to, rollout.previous}
    return {number for number in numbers if number is not None}
