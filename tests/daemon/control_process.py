"""A control plane as a process of its own, over a target in memory: what tests start and kill."""

from __future__ import annotations

import json
import sys

from cloche.daemon.main import Parts, serve
from cloche.errors import ClocheError
from cloche.settings import Settings, load
from cloche.state.sqlite import SqliteJournal, SqliteState
from cloche.testing import FixedVerifier, LivingTarget, World


def parts(settings: Settings) -> Parts:
    file = settings.layout.state
    return Parts(SqliteState(file), SqliteJournal(file), LivingTarget(World()), FixedVerifier())


if __name__ == "__main__":
    try:
        serve(load(), parts)
    except ClocheError as error:
        print(json.dumps({"error": error.to_dict()}), file=sys.stderr)
        sys.exit(error.exit_code)
