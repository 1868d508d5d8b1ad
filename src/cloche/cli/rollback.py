"""`cloche rollback`: bring back an earlier revision from what is kept of it."""

from __future__ import annotations

import click

from cloche.cli import options, rollouts, session


@click.command()
@options.service
@click.option("--to", type=click.IntRange(min=1), metavar="N",
              help="The revision to bring back (default: the one live before).")  # fmt: skip
@click.option("--no-verify", is_flag=True,
              help="Do not ask its golden request again before it gets traffic.")  # fmt: skip
@options.wait
@options.timeout
@options.as_json
def command(
    *, name: str, to: int | None, no_verify: bool, wait: bool, timeout: float, as_json: bool
) -> int:
    """Bring back an earlier revision of service NAME.

    All of it comes back from what is kept: weights, environment and configuration; no source and no
    model registry is asked. The revision has to answer its golden request before it gets traffic,
    and no request is lost on the way. `cloche history NAME` lists what can be brought back.
    """
    here = session.begin()
    control = here.control()
    answer = control.rollback(name, to, verify=not no_verify)
    return rollouts.conclude(
        here, control, name, answer, wait=wait, timeout=timeout, as_json=as_json
    )
