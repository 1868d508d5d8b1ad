"""Scripts that run a model directly, each in the environment of the model or of the server.

They are started as files by `cloche.rollout.direct` in a process of their own, import nothing of
Cloche but their neighbour `exchange.py`, and keep to the syntax of Python 3.8.
"""
