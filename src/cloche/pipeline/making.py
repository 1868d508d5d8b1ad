"""Makes a deployment: the model is inspected, answers, and its repository is built from that."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import Deployment, Member
from cloche.pipeline import stages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.artifacts import (
        Conversion,
        Golden,
        InferenceBody,
        Loading,
        Lock,
        ModelFacts,
        ModelRepository,
        ModelSnapshot,
        OwnRun,
    )
    from cloche.pipeline.software import Software
    from cloche.spec import ServiceSpec
    from cloche.store import Store
    from cloche.verification.asked import Tensors
    from cloche.verification.examination import Examined

_UNRESOLVABLE = "environment.unresolvable"
_OF_CONVERSION = ("conversion.", _UNRESOLVABLE)
"""Codes of errors that tell that a model cannot be converted."""
_NO_CONVERTER = "no release of the converter goes with the model's requirements"


@dataclass(frozen=True, slots=True)
class Making:
    """What a deployment is made of and with."""

    spec: ServiceSpec
    example: Path | None
    """The file of the spec's example."""
    labels: tuple[str, ...]
    """The spec's names of classes; empty without any."""
    store: Store
    software: Software
    lock: Callable[[ModelFacts], Lock | None]

    def deployment(
        self, snapshot: ModelSnapshot, *, run_model: bool, source: Source | None = None
    ) -> Deployment:
        """Inspect a model, let it answer, and build its repository from what it is seen to do.

        `source` is what it is served from, where that is known.
        """
        from cloche.verification import examination, spec_example

        spec, store = self.spec, self.store
        source = source or self.source(snapshot, self.known(snapshot))
        draft = self.built(source)
        member = Member(draft.main.name, snapshot, source.facts, source.lock, source.conversion)
        given = None
        if self.example is not None:
            given = spec_example.keep(self.example, source.facts, draft, store)
        sandbox = spec.sandbox.artifact()
        model = self.software.reference_run(member, draft, store, sandbox) if run_model else None
        limit = spec.operated().start_limit
        with self.software.progress.task("Asking the model") if model else nullcontext():
            examined = examination.examine(
                member, draft.main, given, model, store, timeout=limit, known=source.sample
            )
        examined.refuse_batches(spec.batching.max_batch_size)
        repository = draft
        if examined.facts != source.facts:
            repository = self.built(replace(source, facts=examined.facts))
        return Deployment(
            service=spec.service_name,
            members=(replace(member, facts=examined.facts),),
            repository=repository,
            served=spec.served(),
            operated=spec.operated(),
            example=given.request if given is not None else None,
            golden=self._golden(examined, repository, source) if run_model else None,
        )

    def unasked(self, snapshot: ModelSnapshot, source: Source) -> Deployment:
        """Build the repository of what a model is served from; it is asked nothing."""
        from cloche.verification import spec_example

        spec, repository = self.spec, self.built(source)
        example = None
        if self.example is not None:
            example = spec_example.keep(self.example, source.facts, repository, self.store).request
        name = repository.main.name
        return Deployment(
            service=spec.service_name,
            members=(Member(name, snapshot, source.facts, source.lock, source.conversion),),
            repository=repository,
            served=spec.served(),
            operated=spec.operated(),
            example=example,
        )

    def again(self, snapshot: ModelSnapshot, recorded: Deployment) -> Deployment | None:
        """Make the files of a deployment that another machine recorded; nothing is asked.

        A conversion is made again. None where something comes out otherwise.
        """
        member, made = recorded.main, None
        if member.conversion is not None:
            known, locked = self.known(snapshot), replace(self, lock=lambda _: member.lock)
            made = locked.source(snapshot, known).conversion
            if made is None or made.digest != member.conversion.digest:
                return None
        source = Source(snapshot, member.facts, member.lock, made)
        repository = self.built(source)
        return recorded if repository.digest == recorded.repository.digest else None

    def _golden(self, examined: Examined, repository: ModelRepository, source: Source) -> Golden:
        from cloche import conversion

        made = examined.golden(repository.main, self.store)
        return conversion.as_close_as_measured(made, source.conversion)

    def built(self, source: Source) -> ModelRepository:
        """Build the repository; a converted model needs no environment to be served."""
        from cloche.conversion import converted_snapshot

        served, lock = source.snapshot, source.lock
        if source.conversion is not None:
            served, lock = converted_snapshot(served, source.conversion), None
        return stages.build(
            self.spec.service_name, served, source.facts, lock, self.spec, self.store
        )

    def known(self, snapshot: ModelSnapshot) -> ModelFacts:
        """Return what inspection finds; raises ClocheError for a model that nothing serves."""
        from cloche.formats import require_servable

        options = self.spec.served().model
        known = stages.facts(snapshot, self.store, options, service=self.spec.service_name)
        require_servable(known, snapshot.pinned)
        return known

    def source(self, snapshot: ModelSnapshot, known: ModelFacts) -> Source:
        """Return what the model is served from; it runs if only that tells how."""
        source = self._unlabelled(snapshot, known)
        if not self.labels:
            return source
        return replace(source, facts=replace(source.facts, labels=self.labels))

    def _unlabelled(self, snapshot: ModelSnapshot, known: ModelFacts) -> Source:
        from cloche import conversion

        if known.convertible is not None:
            return self._converted_or_not(snapshot, known, known.convertible)
        lock = self.lock(known)
        if known.loading is None or known.loading.declared or lock is None:
            return Source(snapshot, known, lock)
        shown = self._own_run(snapshot, known, known.loading, lock)
        if shown.conversion is None:
            conversion.require(self.spec.served().model, shown.why, snapshot)
            return Source(snapshot, conversion.as_it_is(known, shown), lock, None, shown.sample)
        return self._of_conversion(snapshot, known, shown, shown.conversion, lock)

    def _converted_or_not(
        self, snapshot: ModelSnapshot, known: ModelFacts, loading: Loading
    ) -> Source:
        """Return what a model is served from that is served either way: nothing here may fail."""
        from cloche import conversion
        from cloche.errors import ClocheError

        lock = None
        try:
            lock = self.lock(known)
            assert lock is not None  # noqa: S101 - it has requirements
            shown = self._own_run(snapshot, known, loading, lock)
        except ClocheError as error:
            if not error.code.startswith(_OF_CONVERSION):
                raise
            why = error.what if error.code != _UNRESOLVABLE else _NO_CONVERTER
        else:
            if shown.conversion is not None:
                return self._of_conversion(snapshot, known, shown, shown.conversion, lock)
            why = shown.why or "nothing converts it"
        conversion.require(self.spec.served().model, why, snapshot)
        known = conversion.unconverted(known, why)
        return Source(snapshot, known, lock or self.lock(known))

    def _of_conversion(
        self,
        snapshot: ModelSnapshot,
        known: ModelFacts,
        shown: OwnRun,
        converted: Conversion,
        lock: Lock,
    ) -> Source:
        from cloche import conversion

        onnx = stages.facts(conversion.converted_snapshot(snapshot, converted), self.store)
        facts = conversion.as_converted(known, onnx, shown)
        return Source(snapshot, facts, lock, converted, shown.sample)

    def _own_run(
        self, snapshot: ModelSnapshot, known: ModelFacts, loading: Loading, lock: Lock
    ) -> OwnRun:
        from cloche import conversion

        request = self._request(known) if self.example is not None else None
        asked = conversion.Asked(
            loading,
            known.inputs,
            request,
            convert=self.spec.conversion != "off",
            tolerance=self.spec.tolerance,
            declared=known.inputs_declared,
        )
        limit = self.spec.operated().start_limit
        return self.software.own_run(
            snapshot, asked, lock, self.store, timeout=limit,
            sandbox=self.spec.sandbox.artifact(),
        )  # fmt: skip

    def _request(self, known: ModelFacts) -> Tensors | None:
        """Return the user's example before the model has run; None if it does not fit."""
        from cloche.errors import ClocheError
        from cloche.inputs import request_file, undeclared
        from cloche.inputs.declared import Declared

        assert self.example is not None  # noqa: S101 - the caller looked
        if not known.inputs:
            return undeclared.read(self.example)
        try:
            tensors = request_file.tensors(str(self.example), Declared(known.inputs))
        except ClocheError:
            return None  # it is read again, and refused, when all is known
        return {name: tensor.array for name, tensor in tensors.items()}


@dataclass(frozen=True, slots=True)
class Source:
    """What a repository is built from: the model as it was resolved, or what it became."""

    snapshot: ModelSnapshot
    facts: ModelFacts
    lock: Lock | None
    conversion: Conversion | None = None
    sample: InferenceBody | None = None
    """A request that the model has answered."""
