"""Whether a model's code may be loaded: what its pickles import, and where the model comes from.

A user's own files and registry are taken with a notice. What comes over the network from elsewhere
is refused if loading it would run what is not known to be safe, unless the spec says `trust: true`.
Either way it is loaded only in the model's own environment.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.artifacts import Finding, Severity
from cloche.errors import ClocheError
from cloche.version import __version__

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.store import Store

_KIND = "pickles"
_FOREIGN = frozenset({"huggingface"})
"""Sources where anybody may have put a model."""
_SHOWN = 6
_CODE = "pickle.custom"
"""What a scan calls code beside a model that its configuration names."""


@dataclass(frozen=True, slots=True)
class _Unsafe:
    """What loading a model's files would run that is not known to be safe."""

    names: tuple[str, ...] = ()
    """What their pickles import."""
    others: tuple[str, ...] = ()
    """Everything else, as sentences."""
    places: tuple[str, ...] = ()

    def told(self) -> str:
        """Return it as sentences."""
        names, more = ", ".join(self.names[:_SHOWN]), len(self.names) - _SHOWN
        names += f" and {more} more" if more > 0 else ""
        said = [f"Loading it imports {names}, not known to be safe."] if names else []
        return " ".join([*said, *self.others[:_SHOWN]])


def findings(
    snapshot: ModelSnapshot, facts: ModelFacts, options: ModelOptions, store: Store
) -> tuple[Finding, ...]:
    """Return what a model's pickles would run that is not known to be safe.

    Empty for a model that no framework loads. Raises ClocheError `pickle.untrusted` for one that
    comes from elsewhere.
    """
    if facts.backend != "python" and facts.loading is None:
        return ()
    unsafe = _scanned(snapshot, store)
    if unsafe == _Unsafe():
        return ()
    if snapshot.source in _FOREIGN and not options.trust:
        raise ClocheError(
            "pickle.untrusted",
            f"{unsafe.told()} The model comes from {snapshot.source}, where anybody may have put"
            " it.",
            where=snapshot.pinned,
            hint="If you trust who made it, write `trust: true` in cloche.yaml. Weights in"
            " safetensors or ONNX need no trust.",
        )
    places = ", ".join(unsafe.places[:_SHOWN])
    hint = "It is loaded only in the model's own environment, never by Cloche itself."
    return (Finding(Severity.NOTE, "pickle.outside", unsafe.told(), places, hint),)


def _scanned(snapshot: ModelSnapshot, store: Store) -> _Unsafe:
    """Return what a scan of a snapshot's files finds, remembered by its digest."""
    key = artifacts.digest_of(f"{__version__} {snapshot.digest}".encode()).removeprefix("sha256:")
    remembered = store.recall(_KIND, key)
    if remembered is not None:
        with suppress(ValueError):  # another state of this version wrote it
            return artifacts.decode(_Unsafe, remembered)
    from cloche import pickles

    root = store.tree_path(snapshot.digest)
    scans = pickles.scan_files({file.path: root / file.path for file in snapshot.files})
    names = [str(name) for scan in scans.values() for name in scan.outside]
    found = [finding for scan in scans.values() for finding in scan.findings]
    said = [each.what for scan in scans.values() for each in scan.problems]
    if any(each.code == _CODE for each in found):
        code = sorted(file.path for file in snapshot.files if file.path.endswith(".py"))
        said += [f"Its code is in {', '.join(code)}."] if code else []
    unsafe = _Unsafe(
        tuple(dict.fromkeys(names)),
        tuple(dict.fromkeys(said)),
        tuple(dict.fromkeys(each.where or "" for each in found)),
    )
    store.remember(_KIND, key, artifacts.encode(unsafe))
    return unsafe
