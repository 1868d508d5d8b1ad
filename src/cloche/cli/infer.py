"""`cloche infer`: send a request to a service, or print a ready one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cloche.cli import options, rendering, session
from cloche.errors import UsageError
from cloche.inputs.service_requests import live_repository

if TYPE_CHECKING:
    from cloche.artifacts import ModelRepository


@click.command()
@options.service
@click.option(
    "-i",
    "--input",
    "source",
    metavar="FILE",
    help="JSON, .npy, .npz, CSV or an image; - reads stdin.",
)
@click.option("--example", is_flag=True, help="Print a ready request as curl and as Python.")
@click.option("--timeout", type=options.duration, default="60s", show_default=True,
              help="How long to wait for the answer.")  # fmt: skip
@options.as_json
def command(*, name: str, source: str | None, example: bool, timeout: float, as_json: bool) -> None:
    """Send a request to service NAME through the gateway, and print the answer.

    The input is checked against the model's inputs before it is sent. JSON is
    {"INPUT": values, ...}, the values alone for a model with one input, or a KServe v2 request. CSV
    has a column per input, or the rows of one tensor. An image is resized to the model's height and
    width, with values from 0 to 1 for float inputs and 0 to 255 otherwise.
    """
    if (source is None) is not example:
        raise UsageError(
            "usage.input",
            "Either --input FILE or --example is needed.",
            hint=f"`cloche infer {name} --example` prints a ready request.",
        )
    control = session.begin().control()
    status = control.service(name)
    repository = live_repository(control, status)
    if source is None:
        _show_example(status, repository, as_json)
        return
    _ask(status, repository, source, timeout, as_json)


def _show_example(status: dict[str, Any], repository: ModelRepository, as_json: bool) -> None:
    from cloche.cli import request_example

    example = request_example.of(repository, status["http"])
    if as_json:
        rendering.show_json({"service": status["service"], **example})
        return
    click.echo(f"# curl\n{example['curl']}\n\n# Python\n{example['python']}")


def _ask(
    status: dict[str, Any], repository: ModelRepository, source: str, timeout: float, as_json: bool
) -> None:
    from cloche.clients.kserve.client import InferenceClient
    from cloche.clients.kserve.tensors import decode, encode
    from cloche.inputs import request_file
    from cloche.inputs.declared import Declared

    tensors = request_file.tensors(source, Declared.of(repository.main))
    body, length = encode(tensors, binary=True)
    headers = {"cloche-service": status["service"]}
    with InferenceClient(f"http://{status['grpc']}", timeout=timeout, headers=headers) as client:
        began = time.perf_counter()
        answer = client.infer(repository.main.name, body, length)
        took = (time.perf_counter() - began) * 1000
    outputs = decode(answer.body, answer.header_length)
    revision = answer.headers.get("cloche-revision", "")
    _show(outputs, status["service"], revision, took, as_json)


def _show(outputs: dict[str, Any], service: str, revision: str, took: float, as_json: bool) -> None:
    from cloche.clients.kserve.tensors import datatype_of

    if as_json:
        rendering.show_json(
            {
                "service": service,
                "revision": int(revision) if revision.isdecimal() else None,
                "duration_ms": round(took, 3),
                "outputs": [
                    {
                        "name": name,
                        "datatype": datatype_of(array),
                        "shape": list(array.shape),
                        "data": _flat_values(array),
                    }
                    for name, array in outputs.items()
                ],
            }
        )
        return
    for name, array in outputs.items():
        click.echo(f"{name} {datatype_of(array)} {list(array.shape)}")
        click.echo(_text(array))


def _flat_values(array: Any) -> list[Any]:
    """Return the values flat, as in the protocol's JSON; bytes as text."""
    if array.dtype.kind == "O":
        return [item.decode(errors="replace") for item in array.ravel()]
    values: list[Any] = array.ravel().tolist()
    return values


def _text(array: Any) -> str:
    import numpy as np

    if array.dtype.kind == "O":
        texts = np.array([item.decode(errors="replace") for item in array.ravel()], dtype=object)
        array = texts.reshape(array.shape)
    return np.array2string(array, threshold=200, max_line_width=100, separator=", ")
