"""The options and arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cloche.errors import UsageError

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
service = click.argument("name", metavar="NAME")
model = click.argument("model", required=False)
file = click.option(
    "-f", "--file", type=click.Path(path_type=Path), metavar="FILE",
    help="The cloche.yaml to read (default: ./cloche.yaml).",
)  # fmt: skip
name = click.option("--name", metavar="NAME", help="Name of the service.")


class Duration(click.ParamType[float]):
    """`90`, `90s`, `5m`: seconds as a float."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds; a number without a unit is in seconds."""
        if isinstance(value, int | float):
            return float(value)
        from cloche.settings import parse_duration

        try:
            return float(value)
        except ValueError:
            pass
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def refuse_together(**given: object) -> None:
    """Raise a UsageError when more than one of the named things was given."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise UsageError(
            "usage.exclusive",
            f"{' and '.join(names)} were given together.",
            hint="Give one of them.",
        )
