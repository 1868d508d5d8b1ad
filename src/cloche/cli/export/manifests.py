"""`cloche export kubernetes`, `kustomize` and `helm`: a service for whoever keeps the cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import ScaledBy
from cloche.cli import deploy, options, rendering, session, specification
from cloche.refusals import no_prometheus
from cloche.targets.kubernetes.gitops.objects import ADDONS
from cloche.units import count_text

if TYPE_CHECKING:
    from cloche.pipeline.gitops import Exported


def _verb(form: str, summary: str, then: str) -> click.Command:
    """Return the verb of one form; `then` is what to do with what it wrote."""

    @click.command(form, help=f"{summary}\n\n{_ABOUT}")
    @_asked
    def command(*, output: Path, as_json: bool, **given: Any) -> None:
        exported = _export(form, output, **given)
        if as_json:
            rendering.show_json(_report(exported, output))
            return
        click.echo(rendering.fields([
            ("image", exported.image),
            ("objects", ", ".join(exported.objects)),
            ("written", f"{count_text(len(exported.files.written), 'file')} to {output}"),
            *([("removed", ", ".join(exported.files.removed))] if exported.files.removed else []),
        ]))  # fmt: skip
        click.echo(f"\n{then.format(output=output)}")

    return command


_ABOUT = """\
The image is pushed to the registry of the target; its cluster is not asked. What is written works
with no Cloche: one Deployment that Kubernetes rolls, each new pod answering the golden request
before an old one ends. The same inputs give the same bytes; files that were changed by hand are not
written over."""


_asked = options.stacked(
    options.model,
    options.file,
    options.name,
    options.example,
    click.option(
        "--target", required=True, metavar="NAME", help="A place of `targets` in cloche.yaml.",
    ),
    click.option(
        "--with", "addons", multiple=True, type=click.Choice(ADDONS),
        help="What the cluster has beyond Kubernetes: objects of its kinds are written, too.",
    ),
    click.option(
        "--output", type=click.Path(path_type=Path), metavar="DIR", required=True,
        help="The folder to write; other files in it stay.",
    ),
    click.option("--overwrite", is_flag=True, help="Write over files that were changed."),
    options.as_json,
)  # fmt: skip


def _export(
    form: str,
    output: Path,
    *,
    model: str | None,
    file: Path | None,
    name: str | None,
    example: Path | None,
    target: str,
    addons: tuple[str, ...],
    overwrite: bool,
) -> Exported:
    from cloche import cache
    from cloche.pipeline import gitops
    from cloche.targets.kubernetes.gitops import folder

    here = session.begin()
    spec, directory = specification.chosen(model, file, name, example)
    place = spec.place(target, file)
    spec = spec.at(target)
    exposure = place.exposure
    needs_url = exposure.scaled_by is ScaledBy.KEDA and exposure.prometheus_url is None
    if spec.autoscale is not None and needs_url:
        hint = "Write prometheus_url, such as http://prometheus.monitoring.svc:9090."
        raise no_prometheus(f"targets.{target}", hint)
    folder.check(output, overwrite=overwrite)
    with cache.under_way(here.settings):
        deployment = deploy.prepare(here, spec, directory)
        return gitops.export(
            deployment, place, form, output, addons=addons,
            overwrite=overwrite, environment=os.environ, settings=here.settings,
            progress=here.progress,
        )  # fmt: skip


def _report(exported: Exported, output: Path) -> dict[str, Any]:
    return {
        "path": str(output.absolute()),
        "image": exported.image,
        "objects": list(exported.objects),
        "written": list(exported.files.written),
        "removed": list(exported.files.removed),
    }


kubernetes = _verb(
    "kubernetes", "Write the objects of a service, a file each.", "kubectl apply -f {output}"
)
kustomize = _verb(
    "kustomize", "Write the objects of a service as a kustomization.", "kubectl apply -k {output}"
)
helm = _verb(
    "helm", "Write the objects of a service as a chart of Helm.",
    "helm upgrade --install NAME {output}",
)  # fmt: skip
