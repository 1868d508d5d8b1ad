"""A model's own dependencies: resolved once into a lock, and made into a virtual environment.

`lock` turns the requirements that were recorded with a model into pinned, hashed lines; the same
requirements give the same lock for as long as this home exists. `materialize` makes the environment
that a lock describes. Both are done by uv, in processes of their own. They may reach the network,
and so belong to the command that a user runs, with that user's index, proxy and credentials.
`usage` and `clean` say what was made, and take away what nothing needs.
"""

from cloche.environments.cleaning import clean, usage
from cloche.environments.construction import existing, materialize
from cloche.environments.resolution import lock

__all__ = ["clean", "existing", "lock", "materialize", "usage"]
