"""Files of YAML in a folder saved by MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 16 * 2**20


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises source.mlflow.mlmodel."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > _LARGEST:
            raise wrong(path.name, "it is too large")
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise wrong(path.name, "it is not text") from None
    except YAMLError as error:
        raise wrong(path.name, " ".join(str(error).split())) from None
    except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError) as e:
        # A date with a month 99, a number of 5,000 digits, 1,000 open brackets.
        raise wrong(path.name, f"a value cannot be read ({e})") from None
    if not isinstance(document, dict):
        raise wrong(path.name, "it is not a mapping")
    return document


def wrong(name: str, why: str) -> ClocheError:
    """Return the error for a file that MLflow did not write so."""
    return ClocheError(
        "source.mlflow.mlmodel",
        f"Cannot read {name} of the MLflow model: {why}.",
        where=name,
        hint="Save or log the model with MLflow again.",
    )
