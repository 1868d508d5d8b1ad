"""A control plane as a process of its own, over a target in memory: what tests start and kill."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cloche.daemon.main import serve
from cloche.errors import ClocheError
from cloche.settings import Settings, load
from cloche.state.sqlite import SqliteState
from fixtures_control import FixedVerifier, LivingTarget, World


def parts(settings: Settings) -> tuple[SqliteState, LivingTarget, FixedVerifier]:
    state = SqliteState(settings.home / "state.db")
    return state, LivingTarget(World()), FixedVerifier()


if __name__ == "__main__":
    try:
        serve(load(), parts)
    except ClocheError as error:
        print(json.dumps({"error": error.to_dict()}), file=sys.stderr)
        sys.exit(error.exit_code)
