"""`cloche completion`: completion for bash, zsh and fish."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cloche.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
FILES = {
    "bash": ".local/share/bash-completion/completions/cloche",
    "zsh": ".zfunc/_cloche",
    "fish": ".config/fish/completions/cloche.fish",
}
NEXT = {
    "bash": "New shells complete `cloche` where the package bash-completion is installed.",
    "zsh": "Have `fpath+=~/.zfunc; autoload -Uz compinit; compinit` in ~/.zshrc.",
    "fish": "New shells complete `cloche`.",
}

_shell = click.argument("shell", type=click.Choice(SHELLS), required=False)


@click.group()
def command() -> None:
    """Show or install completion for the shell."""


@command.command()
@_shell
def show(shell: str | None) -> None:
    """Print the completion script of SHELL (default: the shell in use)."""
    click.echo(_script(shell or _current()))


@command.command()
@_shell
def install(shell: str | None) -> None:
    """Write the completion script where SHELL (default: the shell in use) looks for it."""
    chosen = shell or _current()
    path = Path.home() / FILES[chosen]
    script = _script(chosen)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script + "\n", encoding="utf-8")
    click.echo(f"Wrote {path}. {NEXT[chosen]}")


def _current() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UsageError(
            "completion.shell",
            f"There is no completion for the shell {name!r}." if name else "SHELL is not set.",
            hint=f"Name one of {', '.join(SHELLS)}.",
        )
    return name


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    from cloche.cli.application import application

    completion = get_completion_class(shell)
    if completion is None:  # a shell that this version of click does not support
        raise UsageError("completion.shell", f"There is no completion for {shell}.")
    return completion(application, {}, "cloche", "_CLOCHE_COMPLETE").source()
