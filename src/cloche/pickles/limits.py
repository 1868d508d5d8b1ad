"""How much a scan reads and remembers, whatever a file claims of itself."""

from __future__ import annotations

REMEMBERED = 256 * 2**20
"""Bytes of values that one pickle's reading remembers; what comes later is unknown."""
LONGEST_KEPT = 64 * 2**10
"""Bytes of one argument that is kept; a longer one is passed over."""
DEEPEST_STACK = 20_000_000
DEEPEST_GROUPS = 100_000
MOST_NAMES = 10_000
LONGEST_NAME = 1000
LONGEST_VERSION = 64
MOST_PICKLES = 100_000
"""Pickles in one stream."""
MOST_KEYS = 64
"""Keys of one dictionary that are remembered."""
LONGEST_TUPLE = 32

DECOMPRESSED = 4 * 2**30
"""Bytes that all compressed parts of one file may become together."""
DEEPEST_ARCHIVE = 4
"""Archives, compressed streams and arrays in one another."""
MOST_MEMBERS = 100_000
LONGEST_DIRECTORY = 64 * 2**20
"""Bytes of a zip archive's central directory."""
LONGEST_JSON = 64 * 2**20
LONGEST_NPY_HEADER = 2**20
