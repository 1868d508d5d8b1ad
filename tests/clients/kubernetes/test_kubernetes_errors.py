"""What refusals of an API server mean; the bodies are those of real ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.clients.kubernetes.errors import (
    Asked,
    FieldConflictError,
    ForbiddenError,
    MissingObjectError,
    QuotaError,
    helps_again,
    refusal,
)
from cloche.clients.kubernetes.status import status_of
from cloche.errors import (
    BusyError,
    ClocheError,
    NotFoundError,
    StaleError,
    UnavailableError,
    UsageError,
)

ASKED = Asked("staging", "ConfigMap a in namespace vision", "Log in again.")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["kind", "reason", "message", "details", "metadata", "causes"])


def refused(code: int, reason: str, message: str, **details: Any) -> ClocheError:
    body = {"kind": "Status", "reason": reason, "message": message, "details": details}
    return refusal(status_of(code, body), ASKED)


Case = tuple[int, str, str, dict[str, Any], type[ClocheError], str, str]
"""Status, reason, message and details; class, code and words of the error."""
CASES: list[Case] = [
    (401, "Unauthorized", "Unauthorized", {}, ClocheError, "unauthorized", "wrong or have expired"),
    (
        403,
        "Forbidden",
        (
            'deployments.apps is forbidden: User "ann" cannot list resource "deployments" in API'
            ' group "apps" in the namespace "vision"'
        ),
        {"kind": "deployments", "group": "apps"},
        ForbiddenError,
        "forbidden",
        "ann may not list deployments.apps in namespace vision.",
    ),
    (
        403,
        "Forbidden",
        (
            'nodes "x" is forbidden: User "ann" cannot get resource "nodes" in API group "" at the'
            " cluster scope"
        ),
        {"kind": "nodes", "name": "x"},
        ForbiddenError,
        "forbidden",
        "ann may not get nodes.",
    ),
    (
        403,
        "Forbidden",
        'forbidden: User "ann" cannot get path "/version"',
        {},
        ForbiddenError,
        "forbidden",
        "ann may not get /version.",
    ),
    (
        403,
        "Forbidden",
        (
            'configmaps "a" is forbidden: unable to create new content in namespace vision because'
            " it is being terminated"
        ),
        {"causes": [{"reason": "NamespaceTerminating", "message": "…", "field": "…"}]},
        BusyError,
        "terminating",
        "is being deleted",
    ),
    (
        403,
        "Forbidden",
        (
            'configmaps "a" is forbidden: exceeded quota: few, requested: count/configmaps=1, used:'
            " count/configmaps=2, limited: count/configmaps=2"
        ),
        {},
        QuotaError,
        "quota",
        "used: count/configmaps=2",
    ),
    (
        403,
        "Forbidden",
        'pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation',
        {},
        ClocheError,
        "admission",
        'violates PodSecurity "restricted:latest"',
    ),
    (
        400,
        "BadRequest",
        'admission webhook "no.example" denied the request: not on Fridays',
        {},
        ClocheError,
        "admission",
        "not on Fridays",
    ),
    (
        404,
        "NotFound",
        'namespaces "vision" not found',
        {"kind": "namespaces", "name": "vision"},
        NotFoundError,
        "namespace",
        "The cluster has no namespace vision.",
    ),
    (
        404,
        "NotFound",
        'configmaps "a" not found',
        {"kind": "configmaps", "name": "a"},
        MissingObjectError,
        "not_found",
        "The cluster has no ConfigMap a in namespace vision.",
    ),
    (
        404,
        "NotFound",
        "the server could not find the requested resource",
        {},
        NotFoundError,
        "not_served",
        "does not serve",
    ),
    (
        409,
        "AlreadyExists",
        'configmaps "a" already exists',
        {"kind": "configmaps", "name": "a"},
        StaleError,
        "exists",
        "is there already",
    ),
    (
        409,
        "Conflict",
        'Operation cannot be fulfilled on configmaps "a": the object has been modified',
        {"kind": "configmaps", "name": "a"},
        StaleError,
        "stale",
        "changed by someone else",
    ),
    (
        410,
        "Expired",
        "too old resource version: 1 (226)",
        {},
        StaleError,
        "expired",
        "no longer knows",
    ),
    (
        500,
        "",
        (
            "failed to create typed patch object (vision/a; /v1, Kind=ConfigMap): errors:\n"
            "  .dat: field not declared in schema\n  .foo: field not declared in schema"
        ),
        {},
        UsageError,
        "unknown_field",
        "fields that this cluster does not know: .dat, .foo.",
    ),
    (
        400,
        "BadRequest",
        (
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error:'
            ' unknown field "dat", unknown field "foo"'
        ),
        {},
        UsageError,
        "unknown_field",
        "fields that this cluster does not know: dat, foo.",
    ),
    (
        422,
        "Invalid",
        'ConfigMap "a" is invalid: …',
        {
            "causes": [
                {"reason": "FieldValueInvalid", "field": "metadata.name", "message": "too long"},
                {"reason": "FieldValueInvalid", "field": "data", "message": "too much"},
                {"reason": "FieldValueInvalid", "field": "data", "message": "too much"},
            ]
        },
        UsageError,
        "invalid",
        "in namespace vision:\nmetadata.name: too long\ndata: too much",
    ),
    (
        422,
        "Invalid",
        'ConfigMap "a" is invalid: metadata.uid: Invalid value: "x": field is immutable',
        {"causes": [{"field": "metadata.uid", "message": "field is immutable"}]},
        StaleError,
        "stale",
        "another one than was read",
    ),
    (
        400,
        "BadRequest",
        'container "main" in pod "a" is waiting to start: ContainerCreating',
        {},
        UnavailableError,
        "not_started",
        "ContainerCreating",
    ),
    (
        400,
        "BadRequest",
        'container "main" in pod "a" is not available',
        {},
        UnavailableError,
        "not_started",
        "is not available",
    ),
    (
        400,
        "BadRequest",
        'previous terminated container "main" in pod "a" not found',
        {},
        NotFoundError,
        "no_former",
        "nothing is left from before",
    ),
    (
        503,
        "ServiceUnavailable",
        "apiserver not ready",
        {},
        UnavailableError,
        "refused",
        "status 503): apiserver not ready",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[5]}")
def test_refusals(case: Case) -> None:
    code, reason, message, details, kind, name, words = case
    error = refused(code, reason, message, **details)
    assert type(error) is kind
    assert error.code == f"kubernetes.{name}"
    assert words in error.what
    assert error.where == "context staging"


def test_a_conflict_has_field_and_owner() -> None:
    causes = [
        {"reason": "FieldManagerConflict", "field": field, "message": message}
        for field, message in (
            (".spec.replicas", 'conflict with "hpa" with subresource "scale" using apps/v1'),
            (".data.x", 'conflict with "kubectl"'),
        )
    ]
    error = refused(409, "Conflict", "Apply failed with 2 conflicts: …", causes=causes)
    assert isinstance(error, FieldConflictError)
    assert error.conflicts == ((".spec.replicas", "hpa"), (".data.x", "kubectl"))
    assert ".spec.replicas belongs to hpa\n.data.x belongs to kubectl" in error.what


def test_an_anonymous_user_is_told_that_it_is_one() -> None:
    message = 'User "system:anonymous" cannot get path "/version"'
    hint = refused(403, "Forbidden", message).hint
    assert hint is not None
    assert "has no credentials" in hint


def test_a_missing_namespace_that_was_asked_for_is_a_missing_object() -> None:
    body = {"kind": "Status", "details": {"kind": "namespaces", "name": "x"}}
    error = refusal(status_of(404, body), Asked("staging", "Namespace x"))
    assert isinstance(error, MissingObjectError)


@pytest.mark.parametrize(
    ("code", "body", "name"),
    [
        (200, None, "answer"),
        (302, "<html>", "answer"),
        (400, None, "answer"),
        (404, None, "not_served"),
        (401, None, "unauthorized"),
        (502, None, "refused"),
        (429, None, "refused"),
    ],
)
def test_answers_that_no_api_server_wrote(code: int, body: Any, name: str) -> None:
    assert refusal(status_of(code, body), ASKED).code == f"kubernetes.{name}"


@pytest.mark.parametrize(
    ("code", "body", "again"),
    [
        (429, None, True),
        (500, None, True),
        (504, None, True),
        (500, {"message": "failed to create typed patch object (…): …"}, False),
        (409, {"reason": "Conflict", "details": {"kind": "resourcequotas"}}, True),
        (409, {"reason": "Conflict", "details": {"kind": "configmaps"}}, False),
        (409, {"reason": "AlreadyExists", "details": {"kind": "resourcequotas"}}, False),
        (404, None, False),
    ],
)
def test_what_is_worth_another_attempt(code: int, body: Any, again: bool) -> None:
    body = body and {"kind": "Status", **body}
    assert helps_again(status_of(code, body)) is again


def test_the_pause_that_is_asked_for() -> None:
    assert status_of(429, {"kind": "Status", "details": {"retryAfterSeconds": 3}}).pause == 3
    assert status_of(429, {"kind": "Status", "details": {}}).pause is None


@given(st.integers(300, 599), st.dictionaries(KEYS, JSON) | JSON)
def test_any_body_is_an_error_with_words(code: int, body: Any) -> None:
    if isinstance(body, dict):
        body = {**body, "kind": "Status"}
    error = refusal(status_of(code, body), ASKED)
    assert error.code.startswith("kubernetes.")
    assert error.what


@given(st.text())
def test_any_message_of_any_code_is_an_error(message: str) -> None:
    for code in (400, 403, 404, 409, 410, 422, 429, 500):
        assert refused(code, "", message).what
