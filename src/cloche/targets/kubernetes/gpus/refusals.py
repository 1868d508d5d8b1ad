"""Why pods would find no node: each reason as one error, before anything changes."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError
from cloche.images.bases import ngc
from cloche.targets.kubernetes import fitting
from cloche.targets.kubernetes.gpus import releases, words
from cloche.targets.kubernetes.platform import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cloche.nvidia import Software
    from cloche.targets.kubernetes.gpus.survey import GpuNode, Nodes, Survey

_MOST = 8
"""Values of a label that are shown."""


def of_selector(seen: Nodes, template: Mapping[str, Any]) -> Iterator[ClocheError]:
    """Yield the labels of `node_selector` that no node has."""
    wanted = template["spec"].get("nodeSelector") or {}
    if not seen.nodes or seen.grow or not any(map(is_chosen, wanted)):
        return
    if any(fitting.chosen(template["spec"], node) for node in seen.nodes):
        return
    known = [fitting.labels_of(node) for node in seen.nodes]
    chosen = {key: value for key, value in wanted.items() if is_chosen(key)}
    alike = [each for each in known if chosen.items() <= each.items()]
    if alike:
        yield _other_platform(wanted, chosen, alike)
        return
    missing = {
        key: value
        for key, value in chosen.items()
        if not any(each.get(key) == value for each in known)
    }
    named = missing or chosen
    some = "the label" if len(named) == 1 else "all of these labels:"
    yield ClocheError(
        "target.kubernetes.node_selector",
        f"No node has {some} {_listed(named)}.",
        where="node_selector",
        hint=_of_labels(next(iter(named)), known),
    )


def _other_platform(
    wanted: Mapping[str, str], chosen: Mapping[str, str], alike: Sequence[Mapping[str, str]]
) -> ClocheError:
    theirs = sorted({"/".join(each.get(key, "?") for key in OWN) for each in alike})
    ours = "/".join(wanted.get(key, "?") for key in OWN)
    return ClocheError(
        "target.kubernetes.node_selector",
        f"The nodes with {_listed(chosen)} are {', '.join(theirs)}, and the image is for {ours}.",
        where="node_selector",
        hint="Choose other nodes, or deploy from a machine of their architecture.",
    )


def _listed(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def is_chosen(key: str) -> bool:
    """Return whether a label of `nodeSelector` is a target's own choice."""
    return key not in OWN


def of_gpus(survey: Survey) -> Iterator[ClocheError]:
    """Yield why no node takes pods with these GPUs; nothing where one may, or one may come.

    What comes has the drivers of what is there: those are judged all the same.
    """
    are_old = bool(survey.open) and all(node.judgement.source for node in survey.open)
    if survey.usable or (survey.grow and not are_old):
        return
    if not survey.nodes:
        yield _no_resource(survey)
    elif not survey.open:
        yield _barred(survey)
    else:
        yield _refused(survey)


def _no_resource(survey: Survey) -> ClocheError:
    there = ", ".join(survey.resources)
    hint = (
        f"Nodes have {there}: write `resources: {{gpu: {{resource: NAME, count: N}}}}`."
        if there
        else "Install NVIDIA's GPU operator or device plugin, or write gpu: 0 for this target."
    )
    what = f"No node hands out {survey.gpu.resource}."
    return ClocheError("target.kubernetes.gpu_resource", what, where="resources.gpu", hint=hint)


def _barred(survey: Survey) -> ClocheError:
    kept_out = words.listed(survey.nodes, lambda node: f"{node.title}: {node.barred}")
    return ClocheError(
        "target.kubernetes.gpu_barred",
        f"No node with {survey.gpu.resource} takes these pods: {kept_out}.",
        where="resources.gpu",
        hint="Add `tolerations` to the target, or correct its `node_selector`.",
    )


def _refused(survey: Survey) -> ClocheError:
    return ClocheError(
        "target.kubernetes.gpu_nodes",
        f"No node runs {survey.software}: {words.reasons(survey.open)}.",
        where="resources.gpu",
        hint=_remedy(survey),
    )


def _remedy(survey: Survey) -> str:
    """Return what to do where every node is refused."""
    minimum = survey.software.minimum
    if minimum is None or not any(_is_old(node, survey.software) for node in survey.open):
        return "Take nodes with larger or newer GPUs, or ask for less (`resources.gpu`)."
    upgrade = f"Upgrade the drivers to {minimum} or newer, choose other nodes by `node_selector`"
    older = releases.newest([survey])
    if older is None:
        return f"{upgrade.replace(', choose', ', or choose')}."
    return f"{upgrade}, or write base: {ngc.image(older.name)}, which they run."


def _is_old(node: GpuNode, software: Software) -> bool:
    driver, minimum = node.says.driver, software.minimum
    return driver is not None and minimum is not None and driver.is_before(minimum)


def _of_labels(key: str, known: Sequence[Mapping[str, str]]) -> str:
    """Return a hint at the values of a label, or at the label that was meant."""
    values = sorted({each[key] for each in known if key in each})
    if values:
        shown = ", ".join(values[:_MOST])
        return f"On nodes {key} is {shown}."
    every = sorted({label for each in known for label in each})
    close = difflib.get_close_matches(key, every, n=1)
    return (
        f"Did you mean {close[0]}?"
        if close
        else "`kubectl get nodes --show-labels` shows them all."
    )
