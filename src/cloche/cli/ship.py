"""`cloche ship`: the same digests, from one place in a cluster to another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloche.cli import cluster_deploy, options, session, specification
from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.artifacts import Consent


@click.command()
@options.service
@click.option("--from", "source", required=True, metavar="TARGET", help="Where it is live.")
@click.option("--to", "target", required=True, metavar="TARGET", help="Where it goes.")
@click.option("--revision", type=click.IntRange(min=1), metavar="N",
              help="Its revision there (default: the live one).")  # fmt: skip
@options.file
@options.consents
@click.option("--create-namespace", is_flag=True,
              help="Make the namespace of --to if it is missing.")  # fmt: skip
@options.timeout
@options.as_json
def command(
    *,
    name: str, source: str, target: str, revision: int | None, file: Path | None,
    given: frozenset[Consent], create_namespace: bool, timeout: float, as_json: bool,
) -> int:  # fmt: skip
    """Take what is live of service NAME at one target to another, and verify it there.

    The image is copied with its golden request, byte for byte; the pods get the keys of the other
    target (nodes, limits, registry, Gateway, replicas). Neither the model's registry nor this
    machine's cache is needed, and nothing is built. What the other target cannot run is refused
    before anything is copied.
    """
    from cloche.pipeline import cluster, ship

    if source == target:
        what = "--from and --to are the same target."
        raise UsageError("ship.same", what, where=source, hint="Name two targets.")
    here = session.begin()
    spec, _ = specification.chosen(None, file, None, None)
    if spec.service_name != name:
        raise UsageError(
            "ship.name",
            f"The cloche.yaml is of {spec.service_name}, not of {name}.",
            where=name,
            hint="Name its file with -f: it says how the service is operated at the other target.",
        )
    origin_place = spec.place(source, file)
    there = here.at(spec.place(target, file))
    operated = spec.at(target).operated()
    with session.nothing_on_interrupt():
        goal = there.opened(acts_for=name, create_namespace=create_namespace)
        opening = cluster.opened(origin_place, os.environ, acts_for=None, settings=here.settings)
        with opening as origin:
            shipped = ship.revision_of(origin, name, revision)
            shipment = ship.prepare(origin, goal, shipped, operated)
            ship.carry(shipment, goal, here.progress)
    return cluster_deploy.submit(
        there, shipment.deployment, given, timeout=timeout, as_json=as_json
    )
