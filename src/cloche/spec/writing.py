"""Writing a spec as a cloche.yaml."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.spec.model import ServiceSpec

_ENDING = """\
# Left out, these are chosen by Cloche; `cloche plan --why` shows each value and its reason:
# batching: {max_batch_size: 32, max_queue_delay: 1ms}
# instances: 1
# resources: {cpu: 2, memory: 4Gi}
# replicas: 1
"""


def to_yaml(
    spec: ServiceSpec, *, schema_url: str | None = None, comments: Iterable[str] = ()
) -> str:
    """Return a cloche.yaml that `load` reads back as the same spec.

    `schema_url` (an address, or a path from the file) is named in the first line, for editors.
    `comments` are lines without their mark, which follow what is written.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    def quote(value: Any) -> Any:
        """Quote text that is not a plain word, so that every reader reads it as text."""
        if isinstance(value, dict):
            return _flow({quote(key): quote(item) for key, item in value.items()}, CommentedMap)
        if isinstance(value, str) and not _is_plain(value):
            return DoubleQuotedScalarString(value)
        return value

    written = {"name": spec.service_name, **spec.written()}
    document = CommentedMap({key: quote(value) for key, value in written.items()})
    out = io.StringIO()
    writer = YAML(typ="rt", pure=True)
    writer.width = 2**20
    writer.dump(document, out)
    head = f"# yaml-language-server: $schema={schema_url}\n" if schema_url else ""
    more = "".join(f"# {line}\n" for line in comments)
    return head + out.getvalue() + more + (_ENDING if set(written) == {"name", "model"} else "")


def _flow(value: dict[str, Any], kind: Any) -> Any:
    mapping = kind(value)
    mapping.fa.set_flow_style()
    return mapping


def _is_plain(text: str) -> bool:
    """Return whether every YAML reader reads the unquoted text unchanged."""
    first = text[:1]
    return (
        text.isascii()
        and all(character.isalnum() or character in "./:@_-" for character in text)
        and (first.isalpha() or first in {".", "/"} or (first.isdigit() and text[-1:].isalpha()))
        and not text.endswith(":")
    )
