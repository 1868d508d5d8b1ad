"""The group of all verbs, and the only place where errors become messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cloche.errors import ClocheError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Section → verb → one line. The lines are here so that `cloche --help` imports no verb. A verb is
# the module of its name; a test compares the two.
SECTIONS: dict[str, dict[str, str]] = {
    "From a model to a service": {
        "init": "Write a cloche.yaml for a model.",
        "inspect": "Show the facts of a model without running it.",
        "plan": "Show what a deploy would change, and change nothing.",
        "deploy": "Serve a model, verified, behind the gateway.",
        "image": "Make, show and copy the image of a service.",
        "export": "Write what other builders make that image from.",
        "verify": "Replay the golden request of a service.",
    },
    "Services": {
        "status": "Show the gateway, the services and their replicas.",
        "top": "Show the requests of the services, again and again.",
        "infer": "Send a request to a service.",
        "logs": "Show the logs of a service's replicas.",
        "events": "Show what happened to the services.",
        "history": "List the revisions and rollouts of a service.",
        "rollback": "Bring back an earlier revision of a service.",
        "adopt": "Take over a Deployment made by hand, with no request lost.",
        "ship": "Take a service from one target to another, with the same digests.",
        "scale": "Change the number of replicas of a service.",
        "restart": "Replace the replicas of a service one by one, with no request lost.",
        "delete": "Stop and remove a service.",
        "up": "Serve again what was served before `cloche down`.",
        "down": "Stop everything that runs under CLOCHE_HOME.",
    },
    "This machine": {
        "doctor": "Check what Cloche needs on this machine.",
        "cache": "Show or clean the cache.",
        "serve": "Run the control plane in the foreground, or by systemd.",
        "demo": "From a model registry to verified answers, on this machine.",
        "completion": "Completion for the shell.",
    },
}


class Verbs(click.Group):
    """A group that imports a verb's module when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the verbs in the order of the help."""
        return [verb for verbs in SECTIONS.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a verb; None for an unknown name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"cloche.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb; an unknown word raises with the nearest verb as hint."""
        verbs = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in verbs:
            import difflib

            near = difflib.get_close_matches(args[0], verbs, 1)
            raise UsageError(
                "usage.unknown_verb",
                f"There is no command {args[0]!r}.",
                hint=f"Did you mean `cloche {near[0]}`?" if near else "See `cloche --help`.",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the verbs by section."""
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(verbs.items()))


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from cloche.version import __version__

        click.echo(f"cloche {__version__}")
        ctx.exit()


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version.",
)  # fmt: skip
@click.pass_context
def application(ctx: click.Context) -> None:
    """Serve a trained model from a file or a registry: verified, behind one gateway.

    Cloche keeps all its files in the folder CLOCHE_HOME (default ~/.cloche).
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; the only place that renders errors."""
    from cloche.cli import failures

    # httpx imports its own command line if it can. Importing it takes longer than the rest of
    # httpx, which most verbs use, so it is hidden.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    as_json = "--json" in arguments
    try:
        return _invoke(arguments)
    except ClocheError as error:
        failures.render(error, as_json=as_json)
        return error.exit_code
    except click.ClickException as error:
        return failures.render_usage(error, as_json=as_json)
    except BrokenPipeError:
        # The reader (`cloche logs | head`) has gone; nothing more can be shown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 the last resort: a report instead of a traceback
        return failures.render_unexpected(error, as_json=as_json)


def _invoke(arguments: Sequence[str]) -> int:
    if os.environ.get("_CLOCHE_COMPLETE"):
        application.main(list(arguments), prog_name="cloche")
    try:
        with application.make_context("cloche", list(arguments)) as ctx:
            result: Any = application.invoke(ctx)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    return result if isinstance(result, int) else 0
