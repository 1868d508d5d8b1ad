"""`cloche cache`: what the cache holds, and making room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.store import Usage


@click.group()
def command() -> None:
    """Show or clean the cache of models, repositories and environments."""


@command.command()
@options.as_json
def show(*, as_json: bool) -> None:
    """List what the cache holds, the longest unused first."""
    from cloche import pipeline

    here = session.begin()
    store = pipeline.open_store(here.settings)
    entries = [_entry(usage) for usage in store.usage(pipeline.kept(here.settings))]
    folders = {
        name: _folder_size(here.settings.home / name) for name in ("environments", "servers")
    }
    report = {
        "home": str(here.settings.home),
        "size": store.size(),
        "max_size": here.settings.cache_max_size,
        "entries": entries,
        **folders,
    }
    rendering.show_json(report) if as_json else _show(report)


@command.command()
@click.option(
    "--to", "target", metavar="SIZE",
    help="Clean until this much is left, such as 2GiB; 0 removes all that no service uses. "
    "Default: the setting cache.max_size.",
)  # fmt: skip
@options.as_json
def clean(*, target: str | None, as_json: bool) -> None:
    """Remove the longest unused; what any revision of a service needs is kept."""
    from cloche import pipeline

    here = session.begin()
    store = pipeline.open_store(here.settings)
    with here.progress.step("Cleaning the cache"):
        cleaned = store.clean(pipeline.kept(here.settings), _size(target))
    removed = [_entry(usage) for usage in cleaned.removed]
    if as_json:
        report = {"freed": cleaned.freed, "size": cleaned.size, "removed": removed}
        rendering.show_json(report)
        return
    freed, left = rendering.size_text(cleaned.freed), rendering.size_text(cleaned.size)
    click.echo(f"Freed {freed}; {left} are left.")


def _size(target: str | None) -> int | None:
    from cloche.settings import parse_size

    try:
        return None if target is None else parse_size(target)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from None


def _entry(usage: Usage) -> dict[str, Any]:
    return {
        "kind": usage.kind, "digest": usage.digest, "label": usage.label, "size": usage.size,
        "last_used": usage.last_used, "kept": usage.kept,
    }  # fmt: skip


def _folder_size(folder: Path) -> int:
    """Return the bytes of a folder's files, each once however many links it has."""
    seen: set[tuple[int, int]] = set()
    size = 0
    for path in folder.rglob("*"):
        status = path.lstat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            size += status.st_size
    return size


def _show(report: dict[str, Any]) -> None:
    size, limit = rendering.size_text(report["size"]), rendering.size_text(report["max_size"])
    click.echo(
        rendering.fields(
            [
                ("home", report["home"]),
                ("cache", f"{size} of {limit}"),
                ("environments", rendering.size_text(report["environments"])),
                ("servers", rendering.size_text(report["servers"])),
            ]
        )
    )
    rows = [
        (
            entry["label"] or entry["kind"],
            (entry["digest"] or "").removeprefix("sha256:")[:12],
            rendering.size_text(entry["size"]),
            "in use" if entry["kept"] else "",
        )
        for entry in report["entries"]
    ]
    if rows:
        click.echo(rendering.table(("WHAT", "DIGEST", "SIZE", ""), rows))
