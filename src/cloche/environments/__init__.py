"""A model's dependencies: resolved once into a lock, then installed in a virtual environment.

`lock` turns the recorded requirements of a model into pinned, hashed lines; in one home the same
requirements always give the same lock. `materialize` makes the environment of a lock. Both run uv
and may use the network, so they belong to the command of a user, with that user's index, proxy and
credentials. `usage` lists the environments, `clean` removes those that are not needed.
"""

from cloche.environments.cleaning import clean, usage
from cloche.environments.construction import existing, is_complete, materialize
from cloche.environments.pytorch import choice
from cloche.environments.resolution import adopt, lock

__all__ = ["adopt", "choice", "clean", "existing", "is_complete", "lock", "materialize", "usage"]
