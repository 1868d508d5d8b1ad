"""The Dockerfile that makes the image of a service as `cloche image build` does.

It is for docker with BuildKit, buildah and kaniko alike: no front end is named, and nothing of a
user's is in it but in quotes: all that is copied lies in folders whose names are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.clients.oci import reference as references
from cloche.clients.oci.reference import ImageReference
from cloche.images.bases.base import BASE_DIGEST, BASE_NAME
from cloche.images.config import USER
from cloche.images.content import ENTRYPOINT
from cloche.images.export.installer import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cloche.images.bases.base import Base
    from cloche.images.content import Content
    from cloche.images.layering.place import Place

MARK = "# Written by `cloche export`"
"""How the text begins."""
INDEX = "https://pypi.org/simple"
"""Where pip installs from, unless the builder is told of another index."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What is copied from the context."""

    what: str
    source: str
    """A file, or a folder with a slash at its end."""
    target: str
    mode: str | None = None
    """Of a file; those in folders have theirs in the context."""


@dataclass(frozen=True, slots=True)
class Install:
    """An environment that a stage of its own installs."""

    name: str
    place: Place
    requirements: str
    """Its lock in the context."""
    python: str | None
    """The archive with its Python; None where the base has that."""
    wheels: str | None = None
    """The folder of wheels that no index has; None where there are none."""

    @property
    def stage(self) -> str:
        """Return the name of its stage."""
        return f"environment-{self.name}"


def render(
    content: Content, base: Base, installs: Sequence[Install], copies: Sequence[Copy]
) -> str:
    """Return the text for a base that has its name and digest."""
    name = references.parse(base.annotations[BASE_NAME])
    pinned = ImageReference(name.host, name.name, digest=base.annotations[BASE_DIGEST])
    blocks = [
        _head(content, bool(installs)),
        *(_stage(install, pinned) for install in installs),
        _image(name, pinned, base, installs, copies),
        _settings(content, base),
    ]
    return "\n".join("\n".join(block) + "\n" for block in blocks)


def _head(content: Content, installs: bool) -> Iterator[str]:
    yield f"{MARK}: the image of {content.service}, as `cloche image build` makes it."
    yield "#"
    yield f"#     DOCKER_BUILDKIT=1 docker build --tag {content.service} ."
    if installs:
        yield "#"
        yield "# With another package index, which is no part of the image:"
        yield "#     --build-arg PIP_INDEX_URL=https://…"


def _stage(install: Install, pinned: ImageReference) -> Iterator[str]:
    place = install.place
    yield f"# Installs the packages of a lock for Python {place.python}: wheels alone, each checked"
    yield "# against its digest. Of this stage one folder is in the image."
    yield f"FROM {pinned} AS {install.stage}"
    yield "USER 0:0"
    yield f"ARG PIP_INDEX_URL={INDEX}"
    yield "# Hosts whose certificates the base cannot check."
    yield "ARG PIP_TRUSTED_HOST"
    if install.python:
        yield f"ADD {install.python} /"
    yield "ADD build/pip.tar /"
    yield "COPY build/normalize.py build/compile.py /build/"
    yield f"COPY {install.requirements} /build/requirements.txt"
    if install.wheels:
        yield f"COPY {install.wheels} /build/wheels/"
    yield f"COPY --chown=0:0 {place.root}/ /{place.root}/"
    # Bases may have settings of pip that are for packages of their own.
    yield f"RUN . /{place.root}/bin/activate \\"
    yield f" && PYTHONPATH=/{PACKAGES} PIP_CONSTRAINT= python3 -m pip install \\"
    yield "      --no-deps --require-hashes --only-binary :all: --no-compile --no-cache-dir \\"
    yield "      --no-input --disable-pip-version-check --root-user-action ignore \\"
    if install.wheels:
        yield "      --find-links /build/wheels \\"
    yield f"      --target /{place.packages} --requirement /build/requirements.txt \\"
    yield " && PYTHONHASHSEED=0 LC_ALL=C.UTF-8 \\"
    yield f"    python3 -B /build/compile.py /{place.packages} /{place.packages} 0 1 \\"
    yield f" && python3 -B /build/normalize.py /{place.packages}"


def _image(
    name: ImageReference,
    pinned: ImageReference,
    base: Base,
    installs: Sequence[Install],
    copies: Sequence[Copy],
) -> Iterator[str]:
    yield f"# The image: the server of {name} for {base.platform}, and on it what changes least"
    yield "# first. All files belong to root and are only read."
    yield f"FROM {pinned}"
    for python in sorted({install.python for install in installs if install.python}):
        yield "# A Python that the base has no more of than the server's program for it"
        yield f"ADD {python} /"
    for install in installs:
        root = install.place.root
        yield f"# environment of Python {install.place.python}"
        yield f"COPY --from={install.stage} --chown=0:0 /{root}/ /{root}/"
    for copy in copies:
        mode = f" --chmod={copy.mode}" if copy.mode else ""
        yield f"# {copy.what}"
        yield f"COPY --chown=0:0{mode} {copy.source} {copy.target}"


def _settings(content: Content, base: Base) -> Iterator[str]:
    yield "# How it starts, and what is said of it."
    yield from _pairs("ENV", content.environment)
    yield f"EXPOSE {' '.join(map(str, content.ports))}"
    yield from _pairs("LABEL", {**content.annotations, **base.annotations})
    if (base.config.get("config") or {}).get("Healthcheck"):
        yield "HEALTHCHECK NONE"
    yield f"USER {USER}"
    yield "WORKDIR /"
    yield f'ENTRYPOINT ["/{ENTRYPOINT}"]'
    yield "CMD []"


def _pairs(instruction: str, values: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        yield f"{instruction} {name}={_quoted(value)}"


def _quoted(value: str) -> str:
    """Return a value as one word, in which nothing is replaced."""
    text = " ".join(value.splitlines())  # a word has one line
    for mark in ("\\", '"', "$"):
        text = text.replace(mark, f"\\{mark}")
    return f'"{text}"'
