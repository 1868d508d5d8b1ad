"""How the objects of a service differ from those that it should have; changes nothing.

What is there is read once, and where no field of ours differs nothing more is asked. Else a dry run
says what the cluster would make of it, with its defaults and webhooks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import FieldChange, ObjectAction, ObjectChange
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import OWN
from cloche.clients.kubernetes.errors import FieldConflictError, ForbiddenError
from cloche.targets.kubernetes import fields, names, reading, room, seen, wanted, writing
from cloche.targets.target import TargetChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind
    from cloche.targets.desired import Desired, Placement
    from cloche.targets.kubernetes.fields import Difference

_REPLICAS = "spec.replicas"
_KEPT_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
_NOTES = (names.ADOPTED, names.APPLIED, names.REPLICAS)


def compare(cluster: Cluster, namespace: str, desired: Desired) -> tuple[ObjectChange, ...]:
    """Return the objects that `apply` would change, and those that others have changed.

    Raises ClocheError `kubernetes.…` for an object that the cluster refuses.
    """
    found = reading.everything(cluster, namespace, desired)
    return tuple(_Comparison(cluster, namespace, desired, found).changes())


def summary(changes: Iterable[ObjectChange]) -> tuple[TargetChange, ...]:
    """Return what `apply` would do, without what others did."""
    return tuple(
        TargetChange(each.revision, f"{each.action} {each.kind} {each.name}")
        for each in changes
        if each.action is not ObjectAction.DRIFT
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a dry run made of an object."""

    body: dict[str, Any] | None
    """None where the cluster was not asked."""
    owners: tuple[tuple[str, str], ...] = ()
    """Fields that others set otherwise, and their managers."""
    unasked: str | None = None


@dataclass(frozen=True, slots=True)
class _Comparison:
    cluster: Cluster
    namespace: str
    desired: Desired
    found: seen.Seen

    def changes(self) -> Iterator[ObjectChange]:
        """Yield the changes in the order in which `apply` makes them."""
        desired, serves = self.desired, self.cluster.serves
        for kind, body in wanted.of_service(desired, self.namespace, serves):
            yield from self._changed(kind, body)
        for placement in desired.placements:
            yield from self._revision(placement)
        for kind, body in wanted.of_traffic(desired, self.namespace, serves):
            yield from self._changed(kind, body)
        for kind, each in wanted.unrouted(desired, self.found):
            yield _deleted(kind, each)
        for kind, each in wanted.leaving(desired, self.found):
            if _is_going(each):
                continue
            yield _deleted(kind, each)
            if kind is kinds.DEPLOYMENT:
                yield from self._with(each)

    def _revision(self, placement: Placement) -> Iterator[ObjectChange]:
        """Yield the changes of the objects of a revision."""
        kind, body = wanted.workload(placement, self.namespace)
        name = body["metadata"]["name"]
        current = self.found.get(kind, name)
        is_asked = placement.adopted is None and wanted.is_asked(body["spec"]["template"])
        if current is None and placement.pod is not None:
            room.require(self.cluster, self.namespace, self.desired, placement.pod, self.found)
        replicas = wanted.replicas(placement, self.desired, self.found)
        yield from self._changed(kind, body, replicas)
        if current is None and is_asked:
            yield ObjectChange(
                ObjectAction.CREATE, kinds.CONFIG_MAP.name, name, revision=placement.revision
            )
        for other, part in wanted.of_revision(
            placement, self.desired, self.found, current,
            namespace=self.namespace, serves=self.cluster.serves,
        ):  # fmt: skip
            yield from self._changed(other, part)
        for other, each in wanted.surplus(placement, self.desired, self.found):
            yield _deleted(other, each)

    def _with(self, workload: dict[str, Any]) -> Iterator[ObjectChange]:
        """Yield the objects that go with a Deployment, which owns them."""
        name, number = workload["metadata"]["name"], _revision_of(workload)
        for kind in (kinds.SERVICE, kinds.POD_DISRUPTION_BUDGET, *seen.SCALERS):
            owned = self.found.get(kind, name)
            if owned is not None:
                yield _deleted(kind, owned)
        if wanted.is_asked(workload["spec"]["template"]):
            yield ObjectChange(ObjectAction.DELETE, kinds.CONFIG_MAP.name, name, revision=number)

    def _changed(
        self, kind: Kind, body: dict[str, Any], replicas: int | None = None
    ) -> Iterator[ObjectChange]:
        """Yield the change of an object, if there is one; `replicas` are those of a Deployment."""
        current = self.found.get(kind, body["metadata"]["name"])
        if current is None or _is_going(current):
            yield self._created(kind, body, current, replicas)
            return
        whole = writing.marked(body)
        differences, answer = self._differences(kind, whole, current)
        changes = tuple(_field(each, answer.owners) for each in differences)
        applied = writing.is_applied(whole, current)
        if changes and applied:
            yield _change(ObjectAction.DRIFT, kind, body, changes, answer.unasked)
            changes = ()
        if replicas is not None and not writing.is_foreign(current):
            now = writing.replicas_of(current)
            scaled = FieldChange(_REPLICAS, now, replicas)
            changes = (*changes, scaled) if now != replicas else changes
        if changes:
            yield _change(ObjectAction.UPDATE, kind, body, changes, answer.unasked)

    def _differences(
        self, kind: Kind, whole: dict[str, Any], current: dict[str, Any]
    ) -> tuple[list[Difference], _Answer]:
        """Return how an object differs from what would be applied."""
        tree = fields.tree_of(current)
        ours = [
            *fields.differences(_plain(whole), _plain(current), tree),
            *fields.surplus(fields.tree_of(current, OWN), whole, current),
        ]
        if not ours:
            return [], _Answer(None)
        agreed = kind is kinds.SERVICE and writing.is_agreed(whole, current)
        answer = self._asked(kind, whole, force=agreed)
        if answer.body is None:
            return ours, answer
        both = fields.merged(tree, fields.tree_of(answer.body))
        before = fields.leaves(_plain(current), both)
        after = fields.leaves(_plain(answer.body), both)
        return list(fields.changed(before, after)), answer

    def _created(
        self,
        kind: Kind,
        body: dict[str, Any],
        current: dict[str, Any] | None,
        replicas: int | None,
    ) -> ObjectChange:
        """Return the change that makes an object, with the fields that are ours."""
        if current is None:
            answer = self._asked(kind, writing.marked(body))
        else:
            answer = _Answer(None, unasked="One of that name is being deleted.")
        made = answer.body or body
        tree = fields.tree_of(made)
        given = fields.leaves(made, tree)
        changes = [
            FieldChange(path, None, given.get(path, value))
            for path, value in fields.leaves(body, tree).items()
        ]
        if replicas is not None:
            changes.append(FieldChange(_REPLICAS, None, replicas))
        return _change(ObjectAction.CREATE, kind, body, tuple(changes), answer.unasked)

    def _asked(self, kind: Kind, whole: dict[str, Any], *, force: bool = False) -> _Answer:
        """Return what the cluster would make of an object; `force` says that owners agreed."""
        try:
            return _Answer(self.cluster.apply(kind, whole, force=force, dry_run=True))
        except FieldConflictError as error:
            forced = self.cluster.apply(kind, whole, dry_run=True, force=True)
            return _Answer(forced, error.conflicts)
        except ForbiddenError as error:
            return _Answer(None, unasked=error.what)


def _field(difference: Difference, owners: Iterable[tuple[str, str]]) -> FieldChange:
    path, before, after = difference
    owner = next((who for field, who in owners if _is_in(path, field.removeprefix("."))), None)
    return FieldChange(path, before, after, owner)


def _is_in(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}["))


def _change(
    action: ObjectAction,
    kind: Kind,
    body: dict[str, Any],
    changes: tuple[FieldChange, ...],
    unasked: str | None,
) -> ObjectChange:
    name = body["metadata"]["name"]
    return ObjectChange(action, kind.name, name, changes, _revision_of(body), unasked)


def _deleted(kind: Kind, body: dict[str, Any]) -> ObjectChange:
    return _change(ObjectAction.DELETE, kind, body, (), None)


def _is_going(body: dict[str, Any]) -> bool:
    return bool(body["metadata"].get("deletionTimestamp"))


def _revision_of(body: dict[str, Any]) -> int | None:
    return names.revision_of(body["metadata"].get("labels") or {})


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what the server keeps there, and without our own notes."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in _KEPT_BY_SERVER}
    annotations = metadata.pop("annotations", {})
    own = {key: value for key, value in annotations.items() if key not in _NOTES}
    if own:
        metadata["annotations"] = own
    return {**{key: body[key] for key in body if key != "status"}, "metadata": metadata}
