"""The Docker or Podman at hand, by its command line.

`engine.py` says what is asked of it, `program.py` runs it and translates what it says.
"""
