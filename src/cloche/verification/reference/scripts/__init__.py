"""Scripts that run a model directly, each in the environment of the model or of the server.

`cloche.verification.direct_run` starts them as files in a process of their own. They import nothing
of Cloche but their neighbour `exchange.py`, and keep to the syntax of Python 3.8.
"""
