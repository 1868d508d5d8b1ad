"""`cloche cache`: show and clean the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.units import parse_size, size_text

if TYPE_CHECKING:
    from cloche.store import Usage


@click.group()
def command() -> None:
    """Show or clean the cache of models, repositories and environments."""


@command.command()
@options.as_json
def show(*, as_json: bool) -> None:
    """List the content of the cache and the models' environments, least recently used first."""
    from cloche import cache, composition
    from cloche.store.disk import folder_size

    here = session.begin()
    layout, holders = here.settings.layout, cache.holders(here.settings)
    report = {
        "home": str(layout.root),
        "size": composition.store(here.settings).size(),
        "max_size": here.settings.cache_max_size,
        "entries": [
            {**_entry(usage), "held_by": _held_by(holders.get(usage.digest or "", []))}
            for usage in cache.usage(here.settings, holders.keys())
        ],
        "environments": folder_size(layout.environments),
        "servers": folder_size(layout.servers),
    }
    rendering.show_json(report) if as_json else _show(report)


@command.command()
@click.option(
    "--to", "target", metavar="SIZE",
    help="Clean down to this size, such as 2GiB; 0 removes everything that no service uses. "
    "Default: the setting cache.max_size.",
)  # fmt: skip
@options.as_json
def clean(*, target: str | None, as_json: bool) -> None:
    """Remove the least recently used entries; the needs of any revision are kept.

    Environments of models, images that Docker or Podman hold for replicas, and what was read of the
    revisions of clusters, are removed after a month without use.
    With --to 0 all unused ones are removed, and so are servers that an earlier version of Cloche
    installed.
    """
    from cloche import cache

    here = session.begin()
    size = _size(target)
    with here.progress.task("Cleaning the cache"):
        cleaned = cache.clean(here.settings, size)
    removed = [_entry(usage) for usage in cleaned.removed]
    if as_json:
        report = {"freed": cleaned.freed, "size": cleaned.size, "removed": removed}
        rendering.show_json(report)
        return
    freed, left = size_text(cleaned.freed), size_text(cleaned.size)
    click.echo(f"Freed {freed}; {left} are left.")


def _size(target: str | None) -> int | None:
    try:
        return None if target is None else parse_size(target)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from None


def _entry(usage: Usage) -> dict[str, Any]:
    return {
        "kind": usage.kind, "digest": usage.digest, "label": usage.label, "size": usage.size,
        "last_used": usage.last_used, "kept": usage.kept,
    }  # fmt: skip


def _held_by(revisions: list[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"service": service, "revision": number} for service, number in revisions]


def _show(report: dict[str, Any]) -> None:
    size, limit = size_text(report["size"]), size_text(report["max_size"])
    click.echo(
        rendering.fields(
            [
                ("home", report["home"]),
                ("cache", f"{size} of {limit}"),
                ("environments", size_text(report["environments"])),
                ("servers", size_text(report["servers"])),
            ]
        )
    )
    rows = [
        (
            entry["label"] or entry["kind"],
            (entry["digest"] or "").removeprefix("sha256:")[:12],
            size_text(entry["size"]),
            _holders_text(entry["held_by"]) or ("in use" if entry["kept"] else "-"),
        )
        for entry in report["entries"]
    ]
    if rows:
        click.echo(rendering.table(("WHAT", "DIGEST", "SIZE", "HELD BY"), rows))


def _holders_text(held_by: list[dict[str, Any]]) -> str:
    """Return `digits 1, 2; wine 1`: each service with its revisions."""
    numbers: dict[str, list[str]] = {}
    for each in held_by:
        numbers.setdefault(each["service"], []).append(str(each["revision"]))
    return "; ".join(f"{service} {', '.join(found)}" for service, found in numbers.items())
