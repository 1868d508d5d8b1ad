"""The command line as a whole: help, usage errors, exit codes, and what it loads."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cloche import spec
from cloche.cli.application import SECTIONS, application

VERBS = [(verb, line) for verbs in SECTIONS.values() for verb, line in verbs.items()]
HEAVY = (
    "httpx",
    "pydantic",
    "rich",
    "numpy",
    "msgspec",
    "onnx",
    "fastapi",
    "tritonclient",
    "ruamel",
)


@pytest.mark.parametrize(("verb", "line"), VERBS)
def test_a_verb_is_the_module_of_its_name_and_has_help(verb, line):
    command = importlib.import_module(f"cloche.cli.{verb}").command
    assert command.help
    assert line.endswith(".")
    names = ["-h", "--help"]  # click keeps the option that it makes first
    with click.Context(command, info_name=verb, help_option_names=names) as context:
        assert "Usage:" in command.get_help(context)


def test_help_names_every_verb(run):
    outcome = run("--help")
    assert outcome.code == 0
    assert all(f"  {verb} " in outcome.out for verb, _ in VERBS)


def test_no_arguments_show_the_help(run):
    outcome = run()
    assert outcome.code == 0
    assert "Usage: cloche" in outcome.out


def test_version(run):
    from cloche import __version__

    assert run("--version").out == f"cloche {__version__}\n"


@pytest.mark.parametrize(
    "program",
    ["import cloche", "from cloche.cli import main; main(['--help'])",
     "from cloche.cli import main; main(['deploy', '--help'])"],
)  # fmt: skip
def test_help_and_import_load_nothing_heavy(program):
    check = f"; import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program + check], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["deplyo"], "usage.unknown_verb", "cloche deploy"),
        (["deploy", "--nmae", "x"], "usage.arguments", "--nmae"),
        (["scale", "digits"], "usage.arguments", "REPLICAS"),
        (["scale", "digits", "many"], "usage.arguments", "many"),
        (["scale", "digits", "--", "-1"], "usage.arguments", "-1 is below 1"),
        (["deploy", "a.onnx", "-f", "b.yaml"], "usage.exclusive", "MODEL and --file"),
        (["deploy"], "usage.no_model", "cloche init MODEL"),
        (["deploy", "-f", "absent.yaml"], "spec.not_found", "absent.yaml"),
        (["deploy", "x.onnx", "--timeout", "soon"], "usage.arguments", "not a duration"),
        (["deploy", "x.onnx", "--name", "Not_Safe"], "spec.value", "not-safe"),
        (["infer", "digits"], "usage.input", "--example"),
        (["infer", "digits", "--example", "--input", "x"], "usage.input", "--example"),
        (["cache", "clean", "--to", "lots"], "usage.arguments", "not a size"),
        (["completion", "show", "tcsh"], "usage.arguments", "tcsh"),
    ],
)  # fmt: skip
def test_wrong_use_is_code_2_and_says_what_to_do(run, home, arguments, code, words):
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert f"error[{code}]" in outcome.err
    assert words in outcome.err
    assert not home.exists()

    outcome = run(*arguments, "--json")
    assert outcome.code == 2
    if "No such option '--json'" not in outcome.out:  # verbs that report nothing have none
        assert outcome.json["error"]["code"] == code


def test_a_spec_given_as_the_model_is_explained(run):
    Path("cloche.yaml").write_text("model: ./model.onnx\n")
    outcome = run("plan", "cloche.yaml")
    assert outcome.code == 2
    assert "Write -f cloche.yaml." in outcome.err


def test_init_writes_a_file_that_names_the_schema(run, home):
    assert "Next: cloche deploy" in run("init", "./resnet50.onnx").out
    first, second, third, *_ = Path("cloche.yaml").read_text().splitlines()
    assert first == f"# yaml-language-server: $schema={home / 'cloche.schema.json'}"
    assert (second, third) == ("name: resnet50", "model: ./resnet50.onnx")
    assert (home / "cloche.schema.json").exists()
    assert "error[init.exists]" in run("init", "./other.onnx").err
    assert run("init", "./other.onnx", "--force", "--json").json["service"] == "other"


def test_init_names_the_keys_that_matter_for_a_file(run):
    weights = Path(__file__).parents[1] / "frameworks" / "on_gpu" / "weights.pt"
    written = run("init", str(weights), "--json").expect(0).json
    assert written["variant"] == "pytorch-weights"
    lines = Path("cloche.yaml").read_text().splitlines()
    assert (
        "# class: torchvision.models.resnet50  # the class or function that makes its module"
        in lines
    )
    assert len(lines) < 20
    plain, again = (
        spec.parse(text, directory=Path.cwd())
        for text in (f"model: {weights}\nname: weights\n", "\n".join(lines))
    )
    assert again == plain
    keys = [line.removeprefix("# ") for line in lines if "  # " in line]
    assert spec.parse("\n".join([f"model: {weights}", *keys])).class_name is not None


@pytest.mark.parametrize("verb", ["plan", "deploy"])
def test_a_gpu_is_for_clusters(run, tmp_path, verb):
    place = "{kind: kubernetes, context: c, namespace: n, registry: r.test/v}"
    path = tmp_path / "cloche.yaml"
    path.write_text(f"model: ./m.onnx\nresources: {{gpu: 1}}\ntargets: {{prod: {place}}}\n")
    error = run(verb, "-f", str(path), "--json").expect(2).json["error"]
    assert error["code"] == "spec.local_gpu"
    assert "--target prod" in error["hint"]


def test_init_does_not_fetch_a_model(run):
    written = run("init", "models:/digits@champion", "--json").expect(0).json
    assert written["variant"] is None


def test_ctrl_c_before_a_deploy_is_recorded_says_so(run, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cloche.cli.deploy.prepare", interrupt)
    outcome = run("deploy", "./model.onnx")
    assert outcome.code == 130
    assert "Nothing was deployed" in outcome.err


def test_settings_that_are_wrong_are_all_shown(run, home):
    home.mkdir()
    (home / "config.toml").write_text('[gateway]\nport = 99999\n[cache]\nmax_size = "lots"\n')
    outcome = run("status")
    assert outcome.code == 2
    assert "99999" in outcome.err
    assert "not a size" in outcome.err


@pytest.mark.parametrize("verb", ["history", "scale", "delete", "verify", "logs", "infer"])
def test_verbs_on_a_home_where_nothing_was_deployed(run, home, verb):
    more = {"scale": ["2"], "infer": ["--example"], "delete": ["--yes"]}.get(verb, [])
    outcome = run(verb, "digits", *more)
    assert outcome.code == 1
    assert "error[control.nothing_deployed]" in outcome.err
    assert not home.exists()


def test_completion_knows_the_verbs(run, monkeypatch):
    for shell in ("bash", "zsh", "fish"):
        assert "_CLOCHE_COMPLETE" in run("completion", "show", shell).out
    monkeypatch.setenv("_CLOCHE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "cloche dep")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        run()


def test_completion_is_installed_where_the_shell_looks(run, monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert run("completion", "install", "fish").code == 0
    written = tmp_path / ".config" / "fish" / "completions" / "cloche.fish"
    assert "_CLOCHE_COMPLETE" in written.read_text()
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "error[completion.shell]" in run("completion", "install").err


def test_an_unforeseen_error_is_reported_without_a_traceback(run, home, monkeypatch):
    def explode(_: object = None) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("cloche.cli.session.begin", explode)
    outcome = run("status")
    assert outcome.code == 1
    assert "error[internal]" in outcome.err
    assert "Traceback" not in outcome.err
    log = home / "logs" / "cli-error.log"
    assert "surprise" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(28, "No space left on device"), "disk.full"),
     (PermissionError(13, "Permission denied", "/x"), "file.permission")],
)  # fmt: skip
def test_failures_of_the_machine_have_names(run, monkeypatch, error, code):
    def explode(_: object = None) -> None:
        raise error

    monkeypatch.setattr("cloche.cli.session.begin", explode)
    assert f"error[{code}]" in run("status").err


def test_ctrl_c_is_code_130(run, monkeypatch):
    def interrupt(_: object = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cloche.cli.session.begin", interrupt)
    outcome = run("status")
    assert outcome.code == 130
    assert outcome.err == "Interrupted.\n"


def test_the_group_is_what_the_reference_documents():
    assert application.list_commands(click.Context(application)) == [verb for verb, _ in VERBS]
