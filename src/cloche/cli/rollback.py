"""`cloche rollback`: bring back an earlier revision from its kept files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cloche.cli import options, rollouts, session

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace


@click.command()
@options.service
@click.option("--to", type=click.IntRange(min=1), metavar="N",
              help="The revision to bring back (default: the one live before).")  # fmt: skip
@click.option("--no-verify", is_flag=True,
              help="Skip its golden request before it gets traffic.")  # fmt: skip
@options.wait
@options.timeout
@options.at_target
@options.as_json
def command(
    *,
    name: str,
    place: KubernetesPlace | None,
    to: int | None,
    no_verify: bool,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Bring back an earlier revision of service NAME.

    Weights, environment and configuration come back from kept files, without the source or the
    model registry. The revision must answer its golden request before it gets traffic, and no
    request is lost meanwhile. `cloche history NAME` lists the revisions that can be brought back.
    """
    here = session.begin(place)
    control = here.control(acts_for=name)
    answer = control.rollback(name, to, verify=not no_verify)
    code = rollouts.conclude(
        here, control, name, answer, wait=wait, timeout=timeout, as_json=as_json
    )
    if place is not None:
        from cloche.pipeline import cluster_tags

        cluster_tags.keep(here.opened(), name)
    return code
