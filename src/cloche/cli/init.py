"""`cloche init`: write a first cloche.yaml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloche.cli import options, rendering
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.formats import Variant


@click.command()
@click.argument("model")
@options.name
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=Path("cloche.yaml"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@options.as_json
def command(*, model: str, name: str | None, file: Path, force: bool, as_json: bool) -> None:
    """Write the cloche.yaml that is equivalent to `cloche deploy MODEL`.

    Where MODEL is a file or folder, the keys that matter for such a model are in it as comments.
    """
    from cloche import spec

    declared = spec.from_reference(
        _relative_to(model, file.absolute().parent), name, directory=file.absolute().parent
    )
    variant = _variant(model)
    text = spec.to_yaml(declared, schema_url=_schema(), comments=_comments(variant))
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise UsageError(
            "init.exists", f"{file} already exists.", hint="Add --force to overwrite it."
        ) from None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise UsageError("init.file", f"{file} cannot be written: {error.strerror}.") from None
    result = {
        "file": str(file),
        "service": declared.service_name,
        "model": declared.model,
        "variant": variant.name if variant is not None else None,
    }
    if as_json:
        rendering.show_json(result)
        return
    where = "" if file == Path("cloche.yaml") else f" -f {file}"
    click.echo(f"Wrote {file} for {declared.service_name}. Next: cloche deploy{where}")


def _variant(model: str) -> Variant | None:
    """Return what a model on this machine is; None for another one, which is not fetched."""
    from cloche import composition, formats

    try:
        path = Path(model).expanduser()
        known = path.exists()
    except (OSError, RuntimeError, ValueError):
        return None
    return formats.variant_of(path, composition.formats().values()) if known else None


def _comments(variant: Variant | None) -> Iterator[str]:
    """Yield the keys that matter for a model, each with an example and a word why."""
    if variant is None or not variant.keys:
        return
    yield f"For {variant.what}, these may matter:"
    for key in variant.keys:
        yield f"{key.name}: {key.example}  # {key.why}"


def _relative_to(model: str, folder: Path) -> str:
    """Return a path relative to the folder of the file; other references stay."""
    if ":" in model or Path(model).is_absolute() or folder == Path.cwd():
        return model
    return os.path.relpath(Path(model).absolute(), folder)


def _schema() -> str | None:
    """Write the schema for editors and return its path; None if the home is not writable."""
    from cloche import files
    from cloche.home import HomeLayout, default_home
    from cloche.spec.schema import schema_text

    path = HomeLayout(default_home(os.environ)).schema
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, schema_text().encode())
    except OSError:
        return None
    return str(path)
