"""Which recorded requirement lines can be locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloche.environments import requirements, uv
from cloche.environments.uv import explain, without_credentials
from cloche.errors import ClocheError, ErrorGroup


def test_lines_are_sorted_by_what_they_are() -> None:
    parsed = requirements.parse((
        "numpy==2.1 ; python_version > '3.9'",
        "torch @ https://index.example/torch-2.whl",
        "-c scipy<2",
        "--extra-index-url https://user:word@index.example/simple",
        "--no-binary=annoy",
        "",
    ))  # fmt: skip
    assert len(parsed.packages) == 2
    assert parsed.constraints == ("scipy<2",)
    assert parsed.options == (
        "--extra-index-url https://index.example/simple", "--no-binary=annoy",
    )  # fmt: skip


def test_options_of_pip_become_those_of_uv_or_are_left_out() -> None:
    digest = "sha256:" + "0" * 64
    parsed = requirements.parse((
        "--pre", "--require-hashes", "--trusted-host index.example", "--only-binary :all:",
        "--no-binary annoy", "--no-index", f"A_b==1 --hash={digest}  --hash=sha512:00",
    ))  # fmt: skip
    assert parsed.prereleases
    assert parsed.packages == ("A_b==1",)
    assert parsed.digests == {"a-b": {digest}}
    assert parsed.options == ("--no-index", "--no-binary annoy")
    assert requirements.ignored("numpy") is None
    assert requirements.ignored("--require-hashes") == ""
    assert "UV_INSECURE_HOST" in (requirements.ignored("--trusted-host x") or "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("git+https://example.com/a/b@main", "version control"),
        ("b @ git+ssh://git@example.com/a/b", "version control"),
        ("./dist/own.whl", "a file of the machine"),
        ("/opt/own", "a file of the machine"),
        ("own-1.0-py3-none-any.whl", "a file of the machine"),
        ("own @ file:///opt/own.whl", "a file of the machine"),
        ("-e .", "a file of the machine"),
        ("--find-links /opt/wheels", "a folder of the machine"),
        ("--no-such-option", "not a requirement"),
        ("$(reboot)", "not a requirement"),
    ],
)
def test_lines_that_cannot_be_locked(line: str, words: str) -> None:
    with pytest.raises(ClocheError, match=words):
        requirements.parse((line,))


def test_all_wrong_lines_are_reported_at_once() -> None:
    with pytest.raises(ErrorGroup) as caught:
        requirements.parse(("numpy", "-e .", "--no-such-option"))
    assert len(caught.value.errors) == 2


@pytest.mark.parametrize(
    ("words", "code", "retriable"),
    [
        ("error: No solution found when resolving", "environment.failed", False),
        ("Failed to fetch: `https://u:p@i.example/x`: dns error", "environment.network", True),
        ("HTTP status client error (401 Unauthorized)", "environment.access", False),
        ("failed to write: No space left on device (os error 28)", "environment.disk", True),
    ],
)
def test_what_uv_says_becomes_an_error(
    words: str, code: str, retriable: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    error = explain(words, tmp_path_factory.getbasetemp())
    assert (error.code, error.retriable) == (code, retriable)
    assert "u:p@" not in error.what


@pytest.mark.parametrize(
    ("store", "given", "trusted"),
    [
        (True, {}, "true"),
        (False, {}, None),
        (True, {"SSL_CERT_FILE": "/own.pem"}, None),
        (True, {"UV_SYSTEM_CERTS": "false"}, "false"),
        (True, {"UV_NATIVE_TLS": "false"}, None),
    ],
)
def test_the_authorities_of_the_system_are_trusted_unless_others_are_named(
    store: bool, given: dict[str, str], trusted: str | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "store.pem").touch()
    found = tmp_path / ("store.pem" if store else "none.pem")
    monkeypatch.setattr(uv, "_SYSTEM_STORES", (str(found),))
    assert uv._variables(given).get("UV_SYSTEM_CERTS") == trusted
    assert uv._variables(given).items() >= given.items()


def test_credentials_leave_no_trace() -> None:
    assert without_credentials("at https://me:secret@i/x and http://t@j") == (
        "at https://i/x and http://j"
    )


@pytest.mark.parametrize("user", ["${TOKEN}", "${NAME}:${TOKEN}", "me:${TOKEN}"])
def test_a_variable_is_no_credential(user: str) -> None:
    assert without_credentials(f"https://{user}@i/x") == f"https://{user}@i/x"
    assert without_credentials(f"https://{user}word@i/x") == "https://i/x"
