"""What a model's code, or the build of a package, sees of the machine: little, and closed by Linux.

`Walls` say what is left; `enter` puts them on and becomes the program. It, `landlock`, `namespaces`
and `seccomp` need the standard library alone, so that any Python runs them.
"""

from cloche.sandbox.walls import FILES, NETWORK, SOCKETS, Walls

__all__ = ["FILES", "NETWORK", "SOCKETS", "Walls"]
