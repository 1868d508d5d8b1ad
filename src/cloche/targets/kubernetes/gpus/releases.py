"""Which release of Triton the nodes of clusters can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.images.bases import ngc
from cloche.nvidia import RELEASES, Software, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.nvidia import Release
    from cloche.targets.kubernetes.gpus.survey import Survey


def newest(surveys: Iterable[Survey | None]) -> Release | None:
    """Return the newest release that some node of each cluster runs natively, or may run.

    A cluster that was not seen, or has no node for the pods, rules nothing out. None where no
    release would do.
    """
    seen = [each for each in surveys if each is not None and each.open]
    for release in reversed(RELEASES):
        if ngc.known(release.name).pythons and all(_runs(each, release) for each in seen):
            return release
    return None


def _runs(survey: Survey, release: Release) -> bool:
    software = Software(release.cuda, release.name)
    verdicts = {
        judge(
            software, node.says.driver, node.says.capability, data_centre=node.says.data_centre
        ).verdict
        for node in survey.open
    }
    return bool(verdicts & {Verdict.NATIVE, Verdict.UNKNOWN})
