"""Sending a golden request to a server and judging the answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloche.artifacts import Judge, RequestOrigin, TensorDifference, Verification
from cloche.clients.kserve import sequences
from cloche.errors import ClocheError, UsageError
from cloche.verification import answers, bodies, golden
from cloche.verification.comparison import Answer, Tolerances, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import Golden, InferenceBody, RepositoryMember
    from cloche.store import Store
    from cloche.verification.noise import Noise

_FAULTS = ("ModuleNotFoundError", "ImportError", "AttributeError", "NameError", "MemoryError")
"""Errors in a refusal that its input did not cause."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What judged an answer, and what came of it."""

    judge: Judge
    outputs: tuple[TensorDifference, ...] = ()
    detail: str | None = None
    """What is wrong, as a sentence; None if nothing is."""
    why: str | None = None


def verify(
    request: Golden,
    url: str,
    *,
    model: RepositoryMember,
    store: Store,
    grpc: str | None = None,
    noise: Callable[[], Noise] | None = None,
    tf32: bool = False,
    timeout: float = 60.0,
) -> Verification:
    """Send the golden request to the server at a base URL and judge the answer.

    A decoupled model is asked over gRPC at the address `grpc`, and each of its answers is judged.
    `noise` measures how far the model's own answers differ; it is asked only if an answer differs
    by more than the floors, which are wider for one that may use `tf32`. A server that refuses the
    request or violates the protocol fails the verification. Raises UnavailableError if there was no
    answer (no connection, none within `timeout` seconds, a gateway without replicas): that says
    nothing about the model.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    server = _Server(url, grpc, model, store, timeout)
    if request.judge is Judge.NONE:
        judgement = _judge_refusals(request, server)
    elif request.expected is None:
        judgement = _judge_types(request, server, model)
    else:
        judgement = _judge_values(request, server, noise, tf32=tf32)
    return Verification(
        passed=judgement.detail is None,
        origin=request.origin,
        judge=judgement.judge,
        outputs=judgement.outputs,
        duration_ms=round(server.duration_ms, 3),
        at=at,
        url=url,
        detail=_with_origin(judgement.detail, request),
        why=judgement.why or request.why,
        answer_from=request.answer_from,
    )


def ready(url: str, model: RepositoryMember, *, timeout: float = 60.0) -> Verification:
    """Ask a server at a base URL whether a model is ready, where no request of it is known."""
    from cloche.clients.kserve.client import InferenceClient

    started = time.perf_counter()
    with InferenceClient(url, timeout=timeout) as client:
        passed = client.ready(model.name)
    return Verification(
        passed=passed,
        origin=RequestOrigin.MADE,
        judge=Judge.NONE,
        outputs=(),
        duration_ms=round((time.perf_counter() - started) * 1000, 3),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        url=url,
        detail=None if passed else f"The server says that {model.name} is not ready.",
        why="It was adopted: nobody recorded what it should answer. Its server was asked whether"
        " the model is ready.",
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an answer, as sentences; None where nothing is."""

    types: str | None = None
    """With its outputs, their types and shapes."""
    values: str | None = None
    """With its values, where they are compared."""


def fault(
    request: Golden,
    body: bytes,
    header_length: int | None,
    *,
    model: RepositoryMember,
    store: Store,
    tolerances: Tolerances,
) -> Fault:
    """Judge a body that was answered to a golden request; raises ClocheError `store.…`."""
    try:
        got = answers.read(body, header_length)
    except UsageError as error:
        return Fault(error.what)
    types = _detail(answers.judge_types(model.outputs, got))
    if types is not None or request.expected is None:
        return Fault(types)
    expected = golden.read_answer(request.expected, store)
    return Fault(values=_detail(compare(expected, got, tolerances)))


@dataclass(slots=True)
class _Server:
    """The server that is asked."""

    url: str
    grpc: str | None
    model: RepositoryMember
    store: Store
    timeout: float
    duration_ms: float = 0.0
    """How long the last answer took."""

    def ask(self, request: InferenceBody) -> Answer | str:
        """Return the answer, or the reason of a refusal; raises a retriable ClocheError.

        Of a stream it is the first answer whose types are not the declared ones, else the last.
        """
        body = self.store.read(request.digest)
        started = time.perf_counter()
        try:
            return (self._stream if self.model.decoupled else self._ask)(body, request)
        except ClocheError as error:
            if error.retriable:
                raise
            return error.what
        finally:
            self.duration_ms = (time.perf_counter() - started) * 1000

    def _ask(self, body: bytes, request: InferenceBody) -> Answer | str:
        from cloche.clients.kserve.client import InferenceClient

        with InferenceClient(self.url, timeout=self.timeout) as client:
            answer = client.infer(
                self.model.name, body, request.header_length, headers=self._headers(request)
            )
            return answers.read(answer.body, answer.header_length)

    def _stream(self, body: bytes, request: InferenceBody) -> Answer | str:
        from cloche.clients.kserve import stream

        if self.grpc is None or request.header_length is None:
            return "The model answers with streams, and no gRPC address of the server is known."
        last: Answer | None = None
        for each in stream.infer(
            self.grpc,
            self.model.name,
            body,
            request.header_length,
            timeout=self.timeout,
            metadata=tuple(self._headers(request).items()),
        ):
            last = Answer(each.tensors, each.datatypes)
            if any(found.detail for found in answers.judge_types(self.model.outputs, last)):
                return last
        return last if last is not None else "The stream ended without an answer."

    def _headers(self, request: InferenceBody) -> dict[str, str]:
        """Return what a gateway in front of the server asks for."""
        if not self.model.stateful:
            return {}
        return sequences.headers(bodies.parameters_of(request, self.store))


def _judge_values(
    request: Golden, server: _Server, noise: Callable[[], Noise] | None, *, tf32: bool
) -> Judgement:
    assert request.expected is not None  # noqa: S101 - chosen for requests with an answer
    got = server.ask(request.requests[0])
    if isinstance(got, str):
        return Judgement(request.judge, detail=got)
    expected = golden.read_answer(request.expected, server.store)
    outputs, measured = compare(expected, got, Tolerances(request.noise, tf32)), request.noise
    if _detail(outputs) and not measured and noise is not None and _only_values(expected, got):
        measured = noise()
        outputs = compare(expected, got, Tolerances(measured, tf32))
    varying = [output.name for output in outputs if output.by is Judge.TYPES]
    judge = request.judge
    if varying and Judge.TYPES.weaker_than(judge):
        return Judgement(Judge.TYPES, outputs, _detail(outputs), golden.why_types(varying))
    return Judgement(judge, outputs, _detail(outputs))


def _only_values(expected: Answer, got: Answer) -> bool:
    """Return whether answers have the same outputs of the same types and numbers of axes."""
    return all(
        name in got.tensors
        and got.datatypes[name] == expected.datatypes[name]
        and got.tensors[name].ndim == array.ndim
        for name, array in expected.tensors.items()
    )


def _judge_types(request: Golden, server: _Server, model: RepositoryMember) -> Judgement:
    """Ask the requests in turn, until the server accepts one."""
    refusals: list[str] = []
    for body in request.requests:
        got = server.ask(body)
        if isinstance(got, str):
            refusals.append(got)
            continue
        outputs = answers.judge_types(model.outputs, got)
        return Judgement(request.judge, outputs, _detail(outputs))
    return Judgement(request.judge, detail=refusals[0])


def _judge_refusals(request: Golden, server: _Server) -> Judgement:
    """Ask the requests that the model refuses: the server has to refuse them, for their input."""
    for body in request.requests:
        got = server.ask(body)
        if not isinstance(got, str):
            what = "The server answers a request that the model's own framework refuses."
            return Judgement(request.judge, detail=what)
        if any(fault in got for fault in _FAULTS):
            return Judgement(request.judge, detail=got)
    return Judgement(request.judge)


def _with_origin(detail: str | None, request: Golden) -> str | None:
    """Return what is wrong with what can be done where the right answer came from elsewhere."""
    if detail is None or request.answer_from is None:
        return detail
    return (
        f"{detail} The right answer came with {request.answer_from}: while `images.trusted` does"
        " not have its registry, a deploy asks the model's own framework here."
    )


def _detail(outputs: tuple[TensorDifference, ...]) -> str | None:
    return " ".join(output.detail for output in outputs if output.detail) or None
