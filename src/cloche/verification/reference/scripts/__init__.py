"""Scripts that run a model directly, in the environment of the model or the server.

`cloche.verification.direct_run` starts them as files in separate processes. Of Cloche they import
only their sibling `exchange.py`. Syntax for Python 3.8.
"""
