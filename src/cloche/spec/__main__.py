"""`python -m cloche.spec > docs/cloche.schema.json` writes the published schema."""

from __future__ import annotations

import sys

from cloche.spec.schema import schema_text

sys.stdout.write(schema_text())
