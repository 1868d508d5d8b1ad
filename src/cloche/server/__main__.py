"""`python -m cloche.server`: the control plane with nothing of the command line in its memory."""

from __future__ import annotations

import json
import sys

from cloche import settings
from cloche.errors import ClocheError
from cloche.server.main import serve


def main() -> int:
    """Serve until told to end; a mistake of the user's is one JSON line on stderr."""
    try:
        serve(settings.load())
    except ClocheError as error:
        print(json.dumps({"error": error.to_dict()}), file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
