"""`cloche infer`: send a request to a service, or print a ready one."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cloche.artifacts import Judge
from cloche.cli import answers, options, rendering, session
from cloche.errors import ClocheError, UsageError
from cloche.inputs.service_requests import live_repository, request_parameters
from cloche.targets import ReplicaAddress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from cloche.artifacts import Golden, KubernetesPlace, ModelRepository


@click.command()
@options.service
@click.option(
    "-i",
    "--input",
    "source",
    metavar="FILE",
    help="JSON, .npy, .npz, CSV or an image; - reads stdin.",
)
@click.option("-p", "--parameter", "parameters", metavar="NAME=VALUE", multiple=True,
              help="An inference parameter of the model; VALUE is JSON or text.")  # fmt: skip
@click.option("--example", is_flag=True, help="Print a ready request as curl and as Python.")
@click.option("--timeout", type=options.duration, default="60s", show_default=True,
              help="How long to wait for the answer.")  # fmt: skip
@options.at_target
@options.as_json
def command(
    *, name: str, place: KubernetesPlace | None, source: str | None, parameters: tuple[str, ...],
    example: bool, timeout: float, as_json: bool,
) -> None:  # fmt: skip
    """Send a request to service NAME through the gateway, and print the answer.

    The input is checked against the model's inputs before it is sent. JSON is
    {"INPUT": values, ...}, the values alone for a model with one input, or a KServe v2 request. CSV
    has a column per input, or the rows of one tensor. An image is resized to the model's height and
    width, with values from 0 to 1 for float inputs and 0 to 255 otherwise; its answer is shown as
    its best classes, as are scores of classes with names (`labels:` in cloche.yaml).
    """
    if (source is None) is not example:
        raise UsageError(
            "usage.input",
            "Either --input FILE or --example is needed.",
            hint=f"`cloche infer {name} --example` prints a ready request.",
        )
    here = session.begin(place)
    control = here.control()
    status = control.service(name)
    repository = live_repository(control, status)
    if source is None:
        golden, needed = _golden(control.revision(name, status["live"]).deployment.golden)
        _show_example(status, repository, golden, needed, as_json)
        return
    given = _parameters(parameters)
    with _address(here, status) as server:
        _ask(server, status, repository, source, given, timeout=timeout, as_json=as_json)


def _address(
    here: session.Session, status: dict[str, Any]
) -> AbstractContextManager[ReplicaAddress]:
    """Return where a service answers: the gateway, in a cluster one of its pods."""
    if here.place is not None:
        return here.opened().target.reach(status["service"], status["live"])
    return nullcontext(ReplicaAddress(f"http://{status['grpc']}", status["grpc"]))


def _golden(golden: Golden | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return inputs and parameters of a golden request; empty if none is known to be accepted."""
    if golden is None or golden.judge is Judge.NONE:
        return {}, {}
    from cloche import composition, settings
    from cloche.verification import bodies

    request, store = golden.requests[0], composition.store(settings.load())
    try:
        return bodies.read(request, store), bodies.parameters_of(request, store)
    except ClocheError:  # the store of another home, or one that was cleaned
        return {}, {}


def _show_example(
    status: dict[str, Any],
    repository: ModelRepository,
    golden: dict[str, Any],
    parameters: dict[str, Any],
    as_json: bool,
) -> None:
    from cloche.cli import request_example

    at = request_example.Addressed(status["http"], status["grpc"], status["service"])
    example = request_example.of(repository, at, golden, parameters)
    if as_json:
        rendering.show_json({"service": status["service"], **example})
        return
    click.echo(f"# curl\n{example['curl']}\n\n# Python\n{example['python']}")


def _ask(
    server: ReplicaAddress,
    status: dict[str, Any],
    repository: ModelRepository,
    source: str,
    parameters: dict[str, Any],
    *,
    timeout: float,
    as_json: bool,
) -> None:
    """Send a request and print its answer, or each answer of its stream."""
    from cloche.clients.kserve import sequences
    from cloche.clients.kserve.tensors import datatype_of, encode
    from cloche.inputs import missing, request_file
    from cloche.inputs.declared import Declared

    main = repository.main
    tensors, written = request_file.request(source, Declared.of(main))
    parameters = {**written, **parameters}
    body, length = encode(tensors, binary=True, parameters=request_parameters(parameters))
    types = {spec.name: spec.datatype for spec in main.outputs}
    known = answers.classes(repository, of_image=request_file.is_image(source))
    headers = {"cloche-service": status["service"]} | sequences.headers(parameters)
    ask = _streamed if main.decoupled else _answered
    request = _Request(main.name, body, length, headers, timeout)
    for outputs, revision, took in ask(server, status, request):
        whole = missing.with_gaps(outputs, main.outputs)
        described = {name: (types.get(name) or datatype_of(a), a) for name, a in whole.items()}
        shown = answers.Shown(described, status["service"], revision, took)
        shown.as_json(known) if as_json else shown.as_text(known)


@dataclass(frozen=True, slots=True)
class _Request:
    """A body for a model, and how it is sent."""

    model: str
    body: bytes
    length: int | None
    headers: dict[str, str]
    timeout: float
    """Seconds to wait for the answer."""


def _answered(
    server: ReplicaAddress, status: dict[str, Any], request: _Request
) -> Iterator[tuple[dict[str, Any], str, float]]:
    """Yield the one answer, its revision and the milliseconds that it took."""
    from cloche.clients.kserve.client import InferenceClient
    from cloche.clients.kserve.tensors import decode

    with InferenceClient(server.http, timeout=request.timeout, headers=request.headers) as client:
        began = time.perf_counter()
        answer = client.infer(request.model, request.body, request.length)
        took = (time.perf_counter() - began) * 1000
    yield (
        decode(answer.body, answer.header_length),
        answer.headers.get("cloche-revision", str(status["live"])),
        took,
    )


def _streamed(
    server: ReplicaAddress, status: dict[str, Any], request: _Request
) -> Iterator[tuple[dict[str, Any], str, float]]:
    """Yield each answer of a stream and the milliseconds since the request."""
    from cloche.clients.kserve import stream

    metadata, began = tuple(request.headers.items()), time.perf_counter()
    for answer in stream.infer(
        server.grpc or "",
        request.model,
        request.body,
        request.length or 0,
        timeout=request.timeout,
        metadata=metadata,
    ):
        yield answer.tensors, str(status["live"]), (time.perf_counter() - began) * 1000


def _parameters(given: tuple[str, ...]) -> dict[str, Any]:
    """Return `NAME=VALUE` pairs; a value that is no JSON is text."""
    parameters: dict[str, Any] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            hint = "Write it as NAME=VALUE, such as --parameter power=3."
            raise UsageError("usage.parameter", f"{pair!r} is no parameter.", hint=hint)
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            parameters[name] = value
    return parameters
