"""The inference parameters of a request, checked by the schema that the model was logged with.

Lists and mappings travel as JSON text, since the protocol has neither. Imports nothing of Cloche.
Syntax for Python 3.8.
"""

from __future__ import annotations

import json
from typing import Any

_OF_TRITON = ("sequence_", "binary_data", "triton_", "priority", "timeout", "headers")
"""How the names of request parameters begin that the protocol itself defines."""


class WrongInput(ValueError):
    """A request's input is not what the model takes; the text says which and what is expected."""


class Parameters:
    """The parameters that a model's signature has."""

    def __init__(self, metadata: Any) -> None:
        """Read the schema of a loaded model's metadata; MLflow before 2.6 has none."""
        asked = getattr(metadata, "get_params_schema", None)
        schema = asked() if asked is not None else None
        self._known = {} if schema is None else {one.name: one for one in schema.params}

    def read(self, request: Any) -> str:
        """Return the parameters of a request as JSON; WrongInput names the one that is wrong."""
        written = request.parameters() if hasattr(request, "parameters") else None
        given = json.loads(written) if written else {}
        wanted = {name: value for name, value in given.items() if not name.startswith(_OF_TRITON)}
        for name in wanted:
            if name not in self._known:
                known = ", ".join(self._known) or "none"
                message = f"the model has no parameter {name}; it has {known}"
                raise WrongInput(message)
        values = {name: _value(value, self._known[name]) for name, value in wanted.items()}
        return json.dumps(values, sort_keys=True)


def _value(value: Any, spec: Any) -> Any:
    """Return a value that MLflow itself takes for a parameter, as it was given."""
    travels = getattr(spec, "shape", None) is not None or not hasattr(spec.dtype, "to_numpy")
    if travels and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise WrongInput(_expected(value, spec)) from None
    check = getattr(type(spec), "validate_param_spec", None)
    if check is not None:
        try:
            check(value, spec)
        except Exception:  # noqa: BLE001 - MLflow's own, of any release
            raise WrongInput(_expected(value, spec)) from None
    return value


def _expected(value: Any, spec: Any) -> str:
    kind = getattr(spec.dtype, "name", None) or "an object"
    if getattr(spec, "shape", None) is not None:
        kind = f"a list of {kind} as JSON, such as {json.dumps(_plain(spec.default))}"
    elif not hasattr(spec.dtype, "to_numpy"):
        kind = f"an object as JSON, {spec.dtype}"
    text = json.dumps(value, ensure_ascii=False)
    return f"the parameter {spec.name} takes {kind}, and {text[:80]} is none"


def _plain(default: Any) -> Any:
    return default.tolist() if hasattr(default, "tolist") else default or [1, 2]
