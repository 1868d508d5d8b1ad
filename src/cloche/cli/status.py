"""`cloche status`: the gateway, the services and their replicas."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cloche import refusals, units
from cloche.cli import failures, options, rendering, session
from cloche.errors import from_dict

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace
    from cloche.settings import Settings

REFRESH_SECONDS = 2.0


_KEPT = {
    "systemd": "systemd starts it again",
    "parent": "started again when it dies, but not after a reboot",
    None: "nothing starts it again: it runs in a terminal",
}


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--watch", is_flag=True, help="Show it again every two seconds until ctrl-C.")
@options.at_target
@options.as_json
def command(*, name: str | None, place: KubernetesPlace | None, watch: bool, as_json: bool) -> None:
    """Show the gateway, the services (or the one named NAME) and their replicas."""
    here = session.begin(place)
    while True:
        report = _report(here, name)
        if watch and not as_json:
            click.clear()
        rendering.show_json(report) if as_json else _show(report, whole=name is None)
        if not watch:
            return
        time.sleep(REFRESH_SECONDS)


def _report(here: session.Session, name: str | None) -> dict[str, Any]:
    if name is None and here.place is None and not here.deployed():
        return _nothing(here.settings)
    with here.reading() as control:
        report: dict[str, Any] = {"control": None} | control.status()
        if name is not None:
            return report | {"services": [control.service(name)]}
        return report


def _nothing(settings: Settings) -> dict[str, Any]:
    address = f"{settings.gateway_host}:{settings.gateway_port}"
    gateway = {
        "ready": False, "http": f"http://{address}", "grpc": address, "pid": None,
        "detail": session.NOTHING, "processes": [],
    }  # fmt: skip
    return {"gateway": gateway, "control": None, "services": [], "kept": None, "problems": []}


def _show_processes(report: dict[str, Any], *, whole: bool) -> None:
    """Show the gateway, and in the `whole` report who starts the control plane again."""
    gateway = report["gateway"]
    if gateway is not None:  # in a cluster each service has an address of its own
        state = "ready" if gateway["ready"] else "not ready"
        phases = [process["phase"] for process in gateway.get("processes", ())]
        if gateway["ready"] and phases.count("ready") < len(phases):
            state += f", {phases.count('ready')} of {len(phases)} processes"
        detail = f"  ({gateway['detail']})" if gateway.get("detail") else ""
        click.echo(rendering.hanging("gateway  ", f"{gateway['http']}  {state}{detail}"))
    if whole and report.get("control") is not None:
        click.echo(f"control  {_KEPT[report['control']['keeper']]}")


def _show(report: dict[str, Any], *, whole: bool) -> None:
    gateway = report["gateway"]
    _show_processes(report, whole=whole)
    for problem in report.get("problems", ()):
        for line in failures.lines_of(from_dict(problem)):
            click.echo(line)
    if not report["services"] and not report.get("problems"):
        click.echo("No services. `cloche deploy MODEL` makes one.")
    if not report["services"]:
        return
    ended = gateway is not None and gateway.get("detail") == refusals.ENDED
    header = ("NAME", "REVISION", "PHASE", "REPLICAS", "VERIFIED", "MODEL", "URL")
    rows = [_row(service, ended=ended) for service in report["services"]]
    click.echo(rendering.table(header, rows))
    if ended:
        click.echo(refusals.BRINGS_BACK)
    for service in report["services"]:
        for line in _problems(service):
            click.echo(line)
    if len(report["services"]) == 1:
        _show_details(report["services"][0])
    warning = _cache_warning(report["kept"])
    if warning is not None:
        click.echo(warning)


def _show_details(service: dict[str, Any]) -> None:
    """Show what judged the only service that is shown, and what there is to know about it."""
    conversion, verification = service["conversion"], service["verification"]
    scaling, traffic = service["replicas"]["scaling"], service["traffic"]
    if traffic is not None:
        click.echo(f"  {_traffic_text(traffic)}")
    if scaling is not None:
        click.echo(f"  {_scaling_text(scaling)}")
    if any(each["runtime"] == "container" for each in service["replicas"]["items"]):
        click.echo("  replicas: containers of the service's image.")
    for line in _sandbox_lines(service):
        click.echo(f"  sandbox: {line}")
    if conversion is not None:
        close = rendering.parity_text(conversion["parity"], conversion["requests"])
        _tell("converted", f"{conversion['converter']}: {close}.")
    if verification is not None:
        judged = rendering.judged_text(
            verification["origin"], verification["judge"], verification.get("answer_from")
        )
        _tell("verified", f"{judged}. {verification['why'] or ''}".rstrip())
    for warning in service["warnings"]:
        _tell(f"warning[{warning['code']}]", warning["what"])


def _sandbox_lines(service: dict[str, Any]) -> list[str]:
    """Return what is unusual of what the code of the live revision reaches."""
    replicas = [
        each for each in service["replicas"]["items"] if each["revision"] == service["live"]
    ]
    told = [each["closed"] for each in replicas if each.get("closed") is not None]
    lines = []
    if any("files" not in closed for closed in told):
        lines.append("none: the model's code reads and changes whatever you may.")
    if told and all("network" in closed for closed in told):
        lines.append("the model's code has no network.")
    return lines


def _tell(what: str, text: str) -> None:
    click.echo(rendering.hanging(f"  {what}: ", text))


def _cache_warning(kept: dict[str, int] | None) -> str | None:
    """Return a warning if the kept revisions exceed the limit of the cache."""
    if kept is None or kept["bytes"] <= kept["limit"]:
        return None
    size, limit = units.size_text(kept["bytes"]), units.size_text(kept["limit"])
    return (
        f"Revisions that can be brought back take {size}, more than the cache's limit of {limit}.\n"
        "  hint: Raise cache.max_size, or keep fewer revisions with `rollout: {keep: N}`."
    )


def _row(service: dict[str, Any], *, ended: bool) -> tuple[str, ...]:
    """Return the cells of a service; where all was `ended`, what was live is down."""
    live, wanted = service["live"], service["wanted"]
    revision = str(live or wanted)
    if live is not None and wanted != live:
        revision = f"{live} → {wanted}"
    verified = rendering.judge_text(service["verification"])
    replicas = service["replicas"]
    phase = "down" if ended and service["phase"] == "live" else service["phase"]
    return (
        service["service"], revision, phase, _replicas_text(replicas), verified,
        service["model"]["pinned"], service["http"],
    )  # fmt: skip


def _replicas_text(replicas: dict[str, Any]) -> str:
    """Return `2/3`, or `5 of 2..20` where the number follows a measure."""
    if "most" in replicas:
        return f"{replicas['ready']} of {replicas['wanted']}..{replicas['most']}"
    return f"{replicas['ready']}/{replicas['wanted']}"


def _traffic_text(traffic: dict[str, Any]) -> str:
    """Return how a service is asked and answers, as a line."""
    last = f"in the last {traffic['seconds']:.0f} s"
    if not traffic["requests"] and not traffic["lost"]:
        return f"traffic: no request {last}."
    p50, p99 = (rendering.milliseconds_text(traffic[key]) for key in ("p50_ms", "p99_ms"))
    asked = units.count_text(traffic["requests"], "request")
    bad = f"{units.count_text(traffic['errors'], 'error')}, {traffic['lost']} lost"
    return (
        f"traffic: {traffic['requests_per_second']:.1f}/s; {last} {asked}, {bad}, p50 {p50},"
        f" p99 {p99}."
    )


def _scaling_text(scaling: dict[str, Any]) -> str:
    """Return what an autoscaler makes of a service, as a line."""
    if scaling["trouble"]:
        return f"autoscaler: it keeps the number of replicas: {scaling['trouble']}"
    if scaling["replicas"] is None:
        return "autoscaler: it has measured nothing yet."
    measured = ", ".join(f"{name} {value}" for name, value in scaling["measured"].items())
    replicas = rendering.count_text(scaling["replicas"], "replica")
    return f"autoscaler: {replicas} for {measured or 'what it measures'}."


def _problems(service: dict[str, Any]) -> list[str]:
    """Return the problems of a service, a line each."""
    lines = []
    failure = service.get("failure")
    if failure:
        head = f"  {service['service']}: error[{failure['code']}]: "
        lines.append(rendering.hanging(head, failure["what"]))
        if failure.get("hint"):
            lines.append(rendering.hanging("    hint: ", failure["hint"]))
    return [*lines, *filter(None, map(_replica_problem, service["replicas"]["items"]))]


def _replica_problem(replica: dict[str, Any]) -> str | None:
    """Return what is wrong with a replica, as a line; None if nothing is."""
    phase, detail = replica["phase"], replica.get("detail")
    begins = phase == "starting" and replica.get("unready_since") is None
    if begins or phase == "stopping" or (phase == "ready" and not detail):
        return None
    word = "degraded" if phase == "ready" else phase
    begun = rendering.age_text(replica.get("unready_since") or replica["since"])
    again = f", restarted {replica['restarts']} times" if replica["restarts"] > 1 else ""
    head = f"  {replica['id']} is {word} ({begun}{again})"
    return rendering.hanging(f"{head}: ", detail) if detail else head
